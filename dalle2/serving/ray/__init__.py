"""Many machines: Ray Serve runs the API, or the page with it, in front of replicas that draw.

`serve run dalle2.serving.ray.app:api checkpoints=emoji max_replicas=4` starts the API; `demo/on_ray.py` has the page.
In front stands the same `Service` as on one machine, with the same queue; only its painter is another: it sends what
is asked for to a replica, and draws it again elsewhere where one is lost. A seed belongs to a picture, so that the
other replica's pictures are the same.
"""
