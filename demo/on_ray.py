"""`serve run demo.on_ray:page [FIELD=VALUE]...`: the page, with the API at /v1, before replicas that draw.

The fields are those of `dalle2.serving.ray.options.Options`.
"""

import gradio as gr
from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from dalle2.serving.ray.app import application
from dalle2.serving.ray.front import Front
from dalle2.serving.ray.options import Options
from dalle2.serving.service import Service
from demo import gradio_internals
from demo.page import build


class PageFront(Front):
    """A front with the page."""

    def application(self, service: Service, app: ASGIApp) -> ASGIApp:
        blocks, looks = build(service, app)
        looks = {name: value for name, value in looks.items() if name not in gradio_internals.LAUNCH}
        looks |= {"show_error": False}  # as launch has it: an error of ours is for the log alone
        return gr.mount_gradio_app(FastAPI(openapi_url=None), blocks, path="/", **looks)


ingress = serve.ingress()(PageFront)


def page(options: Options) -> Application:
    """Return page and API as an application of Ray Serve; ValueError where there would be several fronts.

    A visitor's requests all go to one front, which has their queue and their files.
    """
    if options.fronts != 1:
        raise ValueError(
            "The page has one front: leave fronts out, or start the API alone (dalle2.serving.ray.app:api)."
        )
    return application(options, ingress)
