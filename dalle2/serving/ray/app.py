"""`serve run dalle2.serving.ray.app:api [FIELD=VALUE]...`: the API, on as many machines as the Ray cluster has.

The fields are those of `Options`; a Serve config file has them as `args`.
"""

import re
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from dalle2.families.places import public_name
from dalle2.serving.api import options as serving
from dalle2.serving.ray.front import ingress
from dalle2.serving.ray.options import Options
from dalle2.serving.ray.replica import MOST, Replica

# Old replicas end when their pictures are there, and are killed only after so long.
ENDING_SECONDS, LOOK_SECONDS = 300.0, 0.5
BATCH = 8  # requests of a replica, above which another one is started
ANSWERS = 10  # that a front gives beside those that wait: models, files, refusals
RETRY_SECONDS = 30


def api(options: Options) -> Application:
    """Return the API as an application of Ray Serve."""
    return application(options, ingress)


def application(options: Options, front: Any) -> Application:
    """Return a front with a deployment for each checkpoint behind it; ValueError for names that are not different."""
    names = [re.sub(r"[^\w.-]+", "-", public_name(checkpoint)) for checkpoint in options.checkpoints]
    if len(set(names)) < len(names):
        raise ValueError("Two checkpoints have the same name: give each a folder of another name.")
    replicas = [
        _replicas(options, f"draws-{name}").bind(checkpoint, serving.opening(options.namespace()))
        for name, checkpoint in zip(names, options.checkpoints, strict=True)
    ]
    return _front(options, front).bind(options, *replicas)


def _replicas(options: Options, name: str) -> Any:
    scaling = {
        "min_replicas": options.min_replicas,
        "max_replicas": options.max_replicas,
        "target_ongoing_requests": BATCH,
    }
    fixed = options.min_replicas == options.max_replicas
    return serve.deployment(
        Replica,
        name=name,
        max_ongoing_requests=MOST,
        max_queued_requests=options.waiting or -1,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        graceful_shutdown_timeout_s=ENDING_SECONDS,
        graceful_shutdown_wait_loop_s=LOOK_SECONDS,
        **({"num_replicas": options.min_replicas} if fixed else {"autoscaling_config": AutoscalingConfig(**scaling)}),
    )


def _front(options: Options, front: Any) -> Any:
    return serve.deployment(
        front,
        name="front",
        num_replicas=options.fronts,
        # Its own queue refuses what is too much, in a sentence; above that Ray does.
        max_ongoing_requests=options.waiting + MOST * options.max_replicas * len(options.checkpoints) + ANSWERS,
        max_queued_requests=options.waiting + ANSWERS,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=RETRY_SECONDS),
        ray_actor_options={"num_cpus": 0},
        graceful_shutdown_timeout_s=ENDING_SECONDS,
        graceful_shutdown_wait_loop_s=LOOK_SECONDS,
        # New fronts are there before the old ones go.
        max_surge_percent=100,
    )
