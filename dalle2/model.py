"""`UnclipModel`: a loaded checkpoint. Its operations are in `unclip_base`, its tasks in `tasks`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from PIL import Image

from dalle2 import images
from dalle2.refusal import Refusal
from dalle2.requests import Request
from dalle2.settings import OnStep, Settings, check_seed
from dalle2.tasks import request_of
from dalle2.tasks.attention import Attention
from dalle2.tasks.caption import Caption, ScoredCaption
from dalle2.tasks.dimensions import Dimensions
from dalle2.tasks.enhance import Enhance, enlarged_again
from dalle2.tasks.inpaint import Inpaint
from dalle2.tasks.interpolate import Interpolate
from dalle2.tasks.mix import Mix
from dalle2.tasks.outpaint import Outpaint
from dalle2.tasks.reconstruct import Reconstruct
from dalle2.tasks.steps import Steps
from dalle2.tasks.text_diff import TextDiff
from dalle2.tasks.text_to_image import TextToImage
from dalle2.tasks.tour import Tour
from dalle2.tasks.variations import Variations
from dalle2.unclip_base import Seed, UnclipBase, generators

__all__ = ["Seed", "UnclipModel", "generators"]

Picture = Image.Image


class UnclipModel(UnclipBase):
    """A checkpoint, ready to draw; `dalle2.families.load` makes one.

    Each task is a method, which makes the task's `Request` and draws it; what it takes is told there, in
    `dalle2.tasks`. All pictures carry their record in `info["parameters"]`. Without `settings` the checkpoint's own
    are taken, as the task needs them; `on_step` hears of each step, and ends the drawing by raising.

    A checkpoint with a vocabulary is asked what it knows of a prompt (see `Request.understood`), unless the prompt is
    to be taken as `literal`. NotUnderstood, a ValueError, says what is nearest to a prompt of which it knows nothing.
    """

    def text_to_image(
        self,
        prompts: Sequence[str],
        *,
        seeds: Sequence[int],
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Draw a picture for each prompt and its seed, ValueError for other numbers of them: `TextToImage`."""
        self.require("text_to_image")
        if isinstance(prompts, str) or len(prompts) != len(seeds):
            raise Refusal("text_to_image takes a list of prompts and as many seeds, one for each picture.")
        return self._draw(TextToImage(prompts), seeds, settings, on_step, literal)

    def variations(
        self,
        picture: Picture,
        *,
        seeds: Sequence[int],
        prompt: str | None = None,
        eta: float | None = None,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Draw pictures with the content of another one: `Variations`."""
        return self._draw(Variations(picture, prompt, eta), seeds, settings, on_step, literal)

    def reconstruct(
        self,
        pictures: Sequence[Picture],
        *,
        seeds: Sequence[int],
        refinements: int = 1,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Send pictures through their embeddings and their noise, and back: `Reconstruct`."""
        return Reconstruct(pictures, refinements).draw(self, seeds, settings, on_step)

    def interpolate(
        self,
        ends: Sequence[str | Picture],
        *,
        seed: int,
        frames: int | Sequence[float] = 8,
        noise: Literal["fixed", "slerp"] = "fixed",
        loop: bool = False,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Draw frames on the way through two or more pictures or prompts: `Interpolate`."""
        return self._draw(Interpolate(ends, frames, noise, loop), [seed], settings, on_step, literal)

    def mix(
        self,
        parts: Sequence[tuple[str | Picture, float]],
        *,
        seeds: Sequence[int],
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Draw several pictures or prompts in one, by weight: `Mix`."""
        return self._draw(Mix(parts), seeds, settings, on_step, literal)

    def text_diff(
        self,
        picture: Picture,
        new: str,
        *,
        seed: int,
        old: str | None = None,
        strengths: Sequence[float] | None = None,
        way: Literal["prior", "slerp"] | None = None,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return the picture moved from what `old` says to what `new` says: `TextDiff`."""
        return self._draw(TextDiff(picture, new, old, strengths, way), [seed], settings, on_step, literal)

    def inpaint(
        self,
        picture: Picture,
        mask: Picture,
        *,
        seeds: Sequence[int],
        prompt: str | None = None,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return the picture with what is white in the mask painted anew: `Inpaint`."""
        return self._draw(Inpaint(picture, mask, prompt=prompt), seeds, settings, on_step, literal)

    def outpaint(
        self,
        picture: Picture,
        *,
        seeds: Sequence[int],
        prompt: str | None = None,
        share: float = 0.5,
        anchor: tuple[float, float] = (0.5, 0.5),
        blend: bool = True,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return the picture made small and the world around it painted: `Outpaint`."""
        return self._draw(Outpaint(picture, share, anchor, blend, prompt=prompt), seeds, settings, on_step, literal)

    def enhance(
        self,
        pictures: Sequence[Picture],
        *,
        seeds: Sequence[int],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Enlarge small pictures to what the checkpoint draws, one seed for each, else ValueError: `Enhance`."""
        if len(pictures) != len(seeds):
            raise Refusal("enhance takes as many seeds as pictures, one for each.")
        pairs = zip(pictures, seeds, strict=True)
        return [Enhance(picture).draw(self, [seed], settings, on_step)[0] for picture, seed in pairs]

    def enlarge(
        self,
        picture: Picture,
        size: int,
        *,
        seed: int = 0,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> Picture:
        """Enlarge to `size` pixels a side, which may be more than the checkpoint draws: `Enhance` with a size."""
        return Enhance(picture, size).draw(self, [seed], settings, on_step)[0]

    def dimensions(
        self,
        picture: Picture,
        counts: Sequence[int],
        *,
        seed: int,
        others: Sequence[Picture] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return the picture from a growing number of the axes of its embedding: `Dimensions`."""
        return Dimensions(picture, counts, others).draw(self, [seed], settings, on_step)

    def steps(
        self,
        prompt: str,
        *,
        seed: int,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return what is predicted at each denoising step: `Steps`."""
        return self._draw(Steps(prompt), [seed], settings, on_step, literal)

    def attention(
        self,
        prompt: str,
        *,
        seed: int,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return the picture, and where the decoder read each word: `Attention`."""
        return self._draw(Attention(prompt), [seed], settings, on_step, literal)

    def tour(
        self,
        prompt: str,
        *,
        seed: int,
        literal: bool = False,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> list[Picture]:
        """Return the stations on the way from a prompt to its picture: `Tour`."""
        return self._draw(Tour(prompt), [seed], settings, on_step, literal)

    def caption(self, pictures: Sequence[Picture], num: int = 5) -> list[list[ScoredCaption]]:
        """Return what each picture shows, in words: `Caption`."""
        return Caption(pictures, num).find(self)

    def _draw(
        self,
        request: Request,
        seeds: Sequence[int],
        settings: Settings | None,
        on_step: OnStep | None,
        literal: bool,
    ) -> list[Picture]:
        return (request if literal else request.understood(self)).draw(self, seeds, settings, on_step)

    def redraw(
        self, record: Mapping[str, Any], *, pictures: Sequence[Picture] = (), on_step: OnStep | None = None
    ) -> Picture:
        """Return the picture of this record, alone; `pictures` are those that it started from, if it did.

        ValueError where they are not all given, or the record says too little.
        """
        request, settings = request_of(record, pictures), Settings.from_dict(record["settings"])
        drawn = request.draw(self, [check_seed(record["seed"])], settings, on_step)
        picture = next((picture for picture in drawn if _matches(picture, record)), drawn[0])
        return enlarged_again(self, request, picture, record, on_step)


def _matches(picture: Picture, record: Mapping[str, Any]) -> bool:
    """Whether this one of a series is the one of the record."""
    own = images.read_record(picture)
    return all(own.get(key) == record.get(key) for key in ("part", "number", "stage", "step", "word", "axes"))
