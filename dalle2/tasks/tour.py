"""Tour: how the picture of a prompt comes about, from the words to the last pixel, each station drawn.

Its stations answer what a newcomer asks. What do the words say by themselves? (Their text embedding, decoded without a
prior: the paper's figure 8.) What did the prior imagine? (Its embeddings of several seeds, decoded from the same
noise.) What does an embedding leave open? (The same one from other noise.) How does the decoder get there? (Each step.)
Which word drew which pixels? What do the embedding's numbers hold? (The picture from more and more of them: figure 7.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from dalle2.requests import only
from dalle2.settings import MAX_SEED, OnStep, Settings, Step
from dalle2.tasks.attention import highlight_words
from dalle2.tasks.dimensions import AT_ONCE, imagined
from dalle2.tasks.explaining import Explain
from dalle2.unclip_base import UnclipBase, generators

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

OTHERS = 2  # further seeds of the prior, and of the decoder's noise
AXES = (0, 4, 16, 48)  # and then all
IMAGINED = 64  # embeddings, whose axes they are: a quarter of what the task `dimensions` takes, for a visitor who waits
# How often each stage runs: for the steps, what was imagined, the words (where there are any), and the axes.
CALLS = {"prior": 3 + IMAGINED // AT_ONCE, "decoder": 4, "upsampler": 4}

Station = tuple[Image.Image, dict[str, Any]]  # a picture, and what it shows


@dataclass(frozen=True)
class Tour(Explain):
    """The stations on the way from a prompt to its picture, in their order, all from one seed.

    A picture's record says at which `part` it is: "text", "imagined", "drawn" (the same embedding, other noise),
    "steps", "word" or "axes", and beside it which one of that part. What a checkpoint cannot do is left out: Kandinsky
    reads no single words, and a checkpoint may see no pictures.
    """

    name: ClassVar[str] = "tour"

    def steps(self, settings: Settings) -> dict[str, int]:
        return {stage: count * CALLS[stage] for stage, count in super().steps(settings).items()}

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        seed, asked = only(seeds), self.asked(self.prompt)
        tell = _counted(on_step)
        noise = generators([seed])
        embedding = model.embed_prompt([asked], noise, settings, tell)
        state = noise[0].get_state()  # from which every station is decoded, so that only one thing differs
        steps = list(_steps(model, embedding, noise, asked, settings, tell))
        stations = [
            *_imagined(model, embedding, state, seed, asked, settings, tell),
            *steps,
            *_words(model, asked, seed, settings, tell),
            *_axes(model, embedding, state, settings, tell),
        ]
        drawn = [picture for picture, _ in stations]
        shared = {"prompt": self.prompt, **self.understanding_record(self.words)}
        details = [{**shared, **shown} for _, shown in stations]
        return model.attach_records(self.name, drawn, [seed] * len(drawn), settings, details)


def _counted(on_step: OnStep | None) -> OnStep | None:
    """Return what hears of each stage's steps as of a part of all its calls."""
    if on_step is None:
        return None
    done = Counter[str]()
    once: dict[str, int] = {}  # the steps of one call; the first tells

    def tell(step: Step) -> None:
        done[step.stage] += 1
        total = CALLS[step.stage] * once.setdefault(step.stage, step.total)
        on_step(replace(step, index=min(done[step.stage], total), total=total, draw=list))

    return tell


def _at(state: torch.Tensor, count: int) -> list[torch.Generator]:
    """Return generators that all go on from the same state."""
    import torch

    made = [torch.Generator() for _ in range(count)]
    for generator in made:
        generator.set_state(state)
    return made


def _others(seed: int) -> list[int]:
    return [(seed + 1 + number) % (MAX_SEED + 1) for number in range(OTHERS)]


def _imagined(
    model: UnclipBase,
    embedding: torch.Tensor,
    state: torch.Tensor,
    seed: int,
    asked: str,
    settings: Settings | None,
    on_step: OnStep | None,
) -> Iterator[Station]:
    """Yield the words alone, what the prior imagines for this and other seeds, and the same idea from other noise."""
    import torch

    more = model.embed_prompt([asked] * OTHERS, _others(seed), settings, on_step)
    shown: list[dict[str, Any]] = [{"part": "imagined", "number": number} for number in range(1, OTHERS + 2)]
    shown += [{"part": "drawn", "number": number} for number in range(1, OTHERS + 1)]
    rows = [embedding, more, embedding.expand(OTHERS, -1)]
    noise = [*_at(state, OTHERS + 1), *generators(_others(seed))]
    if "text_diff" in model.capabilities:  # whose operations include that of the text embedding
        rows, noise = [model.embed_text([asked]), *rows], [*_at(state, 1), *noise]
        shown = [{"part": "text"}, *shown]
    drawn = model.decode(torch.cat(rows), noise, [asked] * len(noise), settings, on_step)
    yield from zip(drawn, shown, strict=True)


def _steps(
    model: UnclipBase,
    embedding: torch.Tensor,
    noise: list[torch.Generator],
    asked: str,
    settings: Settings | None,
    on_step: OnStep | None,
) -> Iterator[Station]:
    """Yield what is predicted at each step of the decoder and the upsampler."""
    found: list[Station] = []
    side = model.side(settings)

    def collect(step: Step) -> None:
        for picture in step.pictures():
            large = picture.resize((side, side), Image.Resampling.NEAREST)
            found.append((large, {"part": "steps", "stage": step.stage, "step": step.index, "of": step.total}))
        if on_step:
            on_step(step)

    model.decode(embedding, noise, [asked], settings, collect)
    yield from found


def _words(
    model: UnclipBase, asked: str, seed: int, settings: Settings | None, on_step: OnStep | None
) -> Iterator[Station]:
    """Yield the picture, lit where the decoder read each word; nothing for a checkpoint that reads none."""
    if "attention" not in model.capabilities:
        return
    _, words = highlight_words(model, asked, seed, settings, on_step)
    for word, picture in words:
        yield picture, {"part": "word", "word": word}


def _axes(
    model: UnclipBase, embedding: torch.Tensor, state: torch.Tensor, settings: Settings | None, on_step: OnStep | None
) -> Iterator[Station]:
    """Yield the picture from a growing number of its embedding's principal axes, and last from the whole embedding."""
    import torch

    from dalle2 import embeddings as maths

    mean, axes = maths.principal_axes(imagined(model, settings, on_step, IMAGINED))
    counts = [count for count in AXES if count < len(axes)]
    rows = [maths.project(embedding[0], mean, axes[:count]) for count in counts]
    drawn = model.decode(torch.stack([*rows, embedding[0]]), _at(state, len(rows) + 1), None, settings, on_step)
    for count, picture in zip([*counts, embedding.shape[1]], drawn, strict=True):
        yield picture, {"part": "axes", "axes": count, "of": embedding.shape[1]}
