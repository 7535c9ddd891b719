"""What stands in front: the API behind Ray Serve's proxies, on a service whose painter are replicas elsewhere."""

import asyncio
import logging
from typing import Any, cast

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dalle2 import provenance
from dalle2.serving.api import options as serving
from dalle2.serving.api.alone import beside
from dalle2.serving.api.routes import api
from dalle2.serving.api.streams import ROOM
from dalle2.serving.opening import folder_of
from dalle2.serving.ray.options import Options
from dalle2.serving.ray.painter import RayPainter
from dalle2.serving.service import Service

ANYWHERE = "0.0.0.0"

log = logging.getLogger("dalle2.ray")


class Front:
    """One front: it understands, checks, queues and answers, and draws nothing itself."""

    def __init__(self, options: Options, *replicas: DeploymentHandle) -> None:
        """`replicas` are the deployments of the options' checkpoints, in their order."""
        self._options, self._replicas = options, replicas

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application, once each checkpoint has a replica that tells of it."""
        told = await asyncio.gather(*(replica.describe.remote() for replica in self._replicas))
        models, cards = zip(*told, strict=True)
        names = [model.checkpoint for model in models]
        painter = RayPainter(dict(zip(names, self._replicas, strict=True)), self._options.max_replicas)
        places = {name: folder_of(source) for name, source in zip(names, self._options.checkpoints, strict=True)}
        service = Service(
            *models,
            cards=dict(zip(names, cards, strict=True)),
            folders={name: folder for name, folder in places.items() if folder.is_dir()},
            painter=painter,
            waiting=self._options.waiting,
        )
        # A thread for each who waits: with fewer, what is drawn would wait for those who only wait.
        ROOM.total_tokens = max(ROOM.total_tokens, 2 * (self._options.waiting + 1))
        chosen = self._options.namespace()
        provenance.choose_options(chosen)
        for said in (serving.guard(chosen, service), serving.keep_reports(chosen, service)):
            log.info(said)
        # Behind Ray's proxies a front does not know on which addresses they listen, but it does know who asks.
        shared = serving.shared(chosen)
        keys = serving.keys(chosen, ANYWHERE, shared)
        near = keys is not None and not keys.keys
        app = self.application(service, api(service, keys, chosen.open_api, chosen.log_prompts, near, shared))
        proxies = serving.proxies(chosen)
        return cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), proxies)) if proxies else app

    def application(self, service: Service, app: ASGIApp) -> ASGIApp:
        """Return all that answers, the API's app at /v1."""
        return beside(service, app)


ingress = serve.ingress()(Front)
