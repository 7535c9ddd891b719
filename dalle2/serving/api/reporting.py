"""Reports of pictures that should not be shown, and what the operator is told of them and of all decisions."""

import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form
from starlette.requests import Request

from dalle2.serving.api import bodies
from dalle2.serving.api.links import Links
from dalle2.serving.api.orders import only
from dalle2.serving.api.problems import Problem, about
from dalle2.serving.api.replies import ERRORS, Counts, Reported
from dalle2.serving.api.schemas import Reporting
from dalle2.serving.api.streams import checked
from dalle2.serving.reports import Report
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_own

if TYPE_CHECKING:
    from dalle2.serving.api.meter import Caller
    from dalle2.serving.api.shared import SharedCaller, SharedLinks

LATEST = 100  # reports that the operator is told of at once

log = logging.getLogger("dalle2.reports")


class Reports:
    """The handlers of one service's reports."""

    def __init__(self, service: Service, links: "Links | SharedLinks") -> None:
        self.service, self.links = service, links
        self.router = APIRouter(responses=ERRORS)
        self.router.add_api_route("/images/reports", self.report, methods=["POST"], response_model=Reported)
        self.router.add_api_route("/counts", self.counts, methods=["GET"], response_model=Counts)

    async def report(
        self, body: Annotated[Reporting, Form(media_type="multipart/form-data")], request: Request
    ) -> dict[str, Any]:
        """Report a picture that should not be shown, by its file or its address: the operator is told."""
        sent = await bodies.pictures(body)
        return await checked(self._kept, body, sent or [await self._at(body.url)], request.state.caller)

    async def counts(self, request: Request) -> dict[str, Any]:
        """Tell the operator who waits, what was refused, and what was reported: with the key of one, or on loopback."""
        if not request.state.caller.operator:
            raise Problem(
                403, "Only an operator's key sees the counts: make one with python -m dalle2 new-key --operator."
            )
        return await checked(self._counted)

    def _kept(self, body: Reporting, pictures: list[bytes], caller: "Caller | SharedCaller") -> dict[str, Any]:
        with about("image"):
            picture = open_own(only(pictures))
        with about("note"):
            report = Report.of(picture, body.reason, body.note or "", bool(body.with_record))
        times = self.service.reports.add(report, caller.name, bounded=not caller.operator)
        return {"object": "report", "picture": report.picture, "reason": report.reason, "times": times}

    def _counted(self) -> dict[str, Any]:
        service = self.service
        try:
            reported, reports = service.reports.counts(), service.reports.latest(LATEST)
        except OSError as error:
            log.error("The reports could not be read", exc_info=error)
            raise Problem(503, "The reports cannot be read, and the server's log says why: try again later.") from error
        return {
            "waiting": len(service.queue.tickets),
            "decisions": dict(service.safety.counts),
            "reported": reported,
            "reports": reports,
        }

    async def _at(self, url: str | None) -> bytes:
        """Return the picture at an address of this server's; b"" where none was named."""
        if url is None:
            return b""
        found = await self.links.get(url.rpartition("/")[2])
        if found is None:
            raise Problem(404, "There is no picture at this address any more: send its file as image.", param="url")
        return found.content
