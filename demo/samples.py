"""What a checkpoint shows of itself: small pictures in its folder `samples`, and their records in samples/index.json.

`wall` are those of the first screen, by the visitor's language, and `styles` one of each style; `python -m
benchmarks.wall` draws them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service


class Samples(NamedTuple):
    """The pictures of one checkpoint: their address beside the page, their folder, and its index."""

    place: str
    folder: Path
    index: Mapping[str, Any]


def of(service: Service, checkpoint: str) -> Samples | None:
    """Return the samples of a checkpoint that is in memory; None where it has none."""
    found = service.samples(checkpoint)
    return found and Samples(f"samples/{service.offers.index(service.offer(checkpoint))}", *found)


def wall(samples: Samples | None) -> dict[str, list[dict[str, Any]]]:
    """Return language -> [{url, record}] of the first screen's pictures."""
    if samples is None:
        return {}
    settings = samples.index["settings"]
    return {
        language: [
            {
                "url": f"{samples.place}/{one['file']}",
                "record": {"prompt": one["prompt"], "seed": one["seed"], "settings": settings},
            }
            for one in wall
        ]
        for language, wall in samples.index["wall"].items()
    }


def styles(samples: Samples | None, names: Sequence[str]) -> list[dict[str, str]]:
    """Return [{name, url, prompt}] of these styles; url and prompt are "" where there is no sample."""
    drawn = samples.index["styles"] if samples else {}
    place = samples.place if samples else ""
    return [
        {"name": name, "url": f"{place}/{drawn[name]['file']}", "prompt": drawn[name]["prompt"]}
        if name in drawn
        else {"name": name, "url": "", "prompt": ""}
        for name in names
    ]


def examples(samples: Samples | None, count: int) -> list[dict[str, str]]:
    """Return [{name, url, language}]: the first pictures of the wall, named by their prompts."""
    if samples is None:
        return []
    return [
        {"name": one["prompt"], "url": f"{samples.place}/{one['file']}", "language": language}
        for language, wall in samples.index["wall"].items()
        for one in wall[:count]
    ]


def example_file(service: Service, checkpoint: str, name: str) -> Path:
    """Return the file of the example of this name; Refusal when there is none."""
    found = service.samples(checkpoint)
    walls = found[1]["wall"].values() if found else ()
    file = next((sample["file"] for wall in walls for sample in wall if sample["prompt"] == name), None)
    if found is None or file is None:
        raise Refusal("There is no picture yet: choose, drop or paste one.")
    return found[0] / file


def route(service: Service) -> Route:
    """Return the route that serves the pictures, at addresses that do not tell where the server keeps them."""

    def sample(request: Request) -> Response:
        number, name = request.path_params["number"], request.path_params["name"]
        folder = service.folder(service.offers[number].name) if number < len(service.offers) else None
        place = (folder / "samples").resolve() if folder else Path()
        file = (place / name).resolve()
        if folder is None or not file.is_relative_to(place) or file.suffix == ".json" or not file.is_file():
            return PlainTextResponse("There is no such picture.", 404)
        return FileResponse(file)

    return Route("/samples/{number:int}/{name:path}", sample)
