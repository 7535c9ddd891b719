"""python -m benchmarks.waiting: what visitors are told that they wait, beside what they then wait.

The embedded checkpoint from a cold start, through the service that page, API and MCP share, as `app.py` opens it.
The run fails where the first thing that somebody is told is not 0.7 to 1.3 times the truth; of those behind somebody
who gives up, what they are told next. It needs a quiet machine: what else runs there comes and goes, and no estimate
knows that. It takes about two minutes on two cores.
"""

import argparse
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console
from rich.table import Table

from dalle2.requests import Request
from dalle2.serving.api import options as serving

if TYPE_CHECKING:
    from dalle2.serving.service import Service  # seconds, for which a cold start must not have waited

LEAST, MOST = 0.7, 1.3
TORCH_SECONDS = 60  # that it may take after the first pictures until torch is there


@dataclass
class Visitor:
    """Who asks for something after so many seconds, and may give up after some more; what was told, and when."""

    request: Request
    pictures: int = 4
    comes: float = 0.0
    gives_up: float | None = None
    told: list[tuple[float, float | None]] = field(default_factory=list)
    ended: float = 0.0
    first: float = 0.0  # from when on what is told counts

    def visit(self, service: "Service") -> None:
        """Come, ask and listen to the end."""
        time.sleep(self.comes)
        begun = time.monotonic()
        drawings = service.draw(self.request, 7, 1 if self.request.series else self.pictures)
        for drawing in drawings:
            self.told.append((time.monotonic(), drawing.seconds_left))
            if self.gives_up is not None and time.monotonic() > begun + self.gives_up:
                drawings.close()
        self.ended = time.monotonic()

    def row(self) -> tuple[float | None, float]:
        """Return what was told, None for nothing, and what it took from then on."""
        when, seconds = next(told for told in self.told if told[0] >= self.first)
        return seconds, self.ended - when


def scenarios(picture: Image.Image) -> Generator[tuple[str, list[Visitor]]]:
    """Yield who comes, one scenario after another, each once the one before is over."""
    from dalle2.tasks.inpaint import Inpaint
    from dalle2.tasks.interpolate import Interpolate
    from dalle2.tasks.text_diff import TextDiff
    from dalle2.tasks.text_to_image import TextToImage
    from dalle2.tasks.variations import Variations

    cat, mask = TextToImage(["cat face, noto style"]), Image.new("L", picture.size, 255)
    for name in ("second", "third"):
        yield f"alone, the {name}", [Visitor(cat)]
    yield "alone, after torch has come", [Visitor(cat)]
    yield "two pictures after four", [Visitor(cat, 2)]
    yield "five at once", [Visitor(cat, comes=0.05 * place) for place in range(5)]
    yield "five at once, again", [Visitor(cat, comes=0.05 * place) for place in range(5)]
    yield "twelve with one picture", [Visitor(cat, 1, 0.03 * place) for place in range(12)]
    yield "ones and eights", [Visitor(cat, (1, 8)[place % 2], 0.05 * place) for place in range(6)]
    tasks = [Variations(picture), Inpaint(picture, mask, prompt="dog"), TextDiff(picture, "a dog", strengths=[0.4])]
    tasks.append(Interpolate([picture, "a dog"], frames=6))
    for again in ("first", "second"):
        for task in tasks:
            yield f"{task.name}, the {again}", [Visitor(task)]
    several = [cat, *tasks, cat, Variations(picture)]
    yield "several tasks at once", [Visitor(task, comes=0.05 * place) for place, task in enumerate(several)]
    yield "one gives up", [Visitor(cat, comes=0.05 * place, gives_up=0.5 if place == 1 else None) for place in range(4)]


def meet(service: "Service", visitors: Sequence[Visitor]) -> list[Visitor]:
    """Let the visitors come, and return those who stayed."""
    threads = [threading.Thread(target=visitor.visit, args=(service,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, gone in enumerate(visitors):
        if gone.gives_up is not None:
            for behind in visitors[place + 1 :]:
                behind.first = gone.ended
    return [visitor for visitor in visitors if visitor.gives_up is None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print told, took and their ratio; 1 where a ratio is out of bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__.split("\n")[0])
    parser.parse_args(arguments)
    serving.share_cores()
    from dalle2.serving.service import Service
    from dalle2.serving.warming import warming
    from dalle2.tasks.text_to_image import TextToImage

    service, table, wrong = Service.open(lazy=True), Table(title="What is told, and what it takes"), 0
    for column in ("scenario", "told, s", "took, s", "ratio"):
        table.add_column(column, justify="left" if column == "scenario" else "right")
    with warming(service):
        *_, drawn = service.draw(TextToImage(["cat face, noto style"]), 7, 4)
        for name, visitors in scenarios(drawn.pictures[0]):
            if "torch" in name:
                wait_for_torch(service)
            for visitor in meet(service, visitors):
                told, took = visitor.row()
                ratio = None if told is None else told / took
                wrong += ratio is None or not LEAST <= ratio <= MOST
                table.add_row(name, *("—" if number is None else f"{number:.2f}" for number in (told, took, ratio)))
    Console(width=100).print(table, f"{wrong} of {table.row_count} are not within {LEAST} to {MOST}.", sep="\n")
    return int(wrong > 0)


def wait_for_torch(service: "Service") -> None:
    """Return once the networks are there with which everything else is drawn."""
    model, until = service.model(), time.monotonic() + TORCH_SECONDS
    while getattr(model, "unloaded", False) and time.monotonic() < until:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
