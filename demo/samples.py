"""What a checkpoint shows of itself: small pictures in its folder `samples`, and their records in samples/index.json.

`wall` are those of the first screen, by the visitor's language, and `styles` one of each style; `python -m
benchmarks.wall` draws them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service


def walls(service: Service) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return checkpoint -> language -> [{url, record}], without those that have no samples."""
    return {
        checkpoint: {
            language: [_shown(place, index, sample) for sample in wall] for language, wall in index["wall"].items()
        }
        for checkpoint, place, _, index in _found(service)
    }


def styles(service: Service) -> dict[str, list[dict[str, str]]]:
    """Return checkpoint -> [{name, url, prompt}] of its styles; url and prompt are "" where there is no sample."""
    offered = {
        name: [{"name": style, "url": "", "prompt": ""} for style in service.model(name).styles]
        for name in service.checkpoints
    }
    for checkpoint, place, _, index in _found(service):
        for style in offered[checkpoint]:
            if sample := index["styles"].get(style["name"]):
                style |= {"url": f"{place}/{sample['file']}", "prompt": sample["prompt"]}
    return offered


def examples(service: Service, count: int) -> dict[str, list[dict[str, str]]]:
    """Return checkpoint -> [{name, url, language}]: the first pictures of its wall, named by their prompts."""
    return {
        checkpoint: [
            {"name": sample["prompt"], "url": f"{place}/{sample['file']}", "language": language}
            for language, wall in index["wall"].items()
            for sample in wall[:count]
        ]
        for checkpoint, place, _, index in _found(service)
    }


def example_file(service: Service, checkpoint: str, name: str) -> Path:
    """Return the file of the example of this name; Refusal when there is none."""
    found = service.samples(checkpoint)
    walls = found[1]["wall"].values() if found else ()
    file = next((sample["file"] for wall in walls for sample in wall if sample["prompt"] == name), None)
    if found is None or file is None:
        raise Refusal("There is no picture yet: choose, drop or paste one.")
    return found[0] / file


def routes(service: Service) -> list[Mount]:
    """Return the routes that serve the pictures, at addresses that do not tell where the server keeps them."""
    return [Mount(f"/{place}", StaticFiles(directory=folder)) for _, place, folder, _ in _found(service)]


def _found(service: Service) -> Iterator[tuple[str, str, Path, Mapping[str, Any]]]:
    """(checkpoint, address beside the page, folder, index) of each that has samples."""
    for number, checkpoint in enumerate(service.checkpoints):
        if found := service.samples(checkpoint):
            yield checkpoint, f"samples/{number}", *found


def _shown(place: str, index: Mapping[str, Any], sample: Mapping[str, Any]) -> dict[str, Any]:
    record = {"prompt": sample["prompt"], "seed": sample["seed"], "settings": index["settings"]}
    return {"url": f"{place}/{sample['file']}", "record": record}
