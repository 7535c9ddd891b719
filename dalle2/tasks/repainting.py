"""What inpainting and outpainting have in common: a canvas, some of which is kept and some painted anew."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dalle2 import images
from dalle2.pixels import KnownPixels
from dalle2.requests import Request, optional_prompt
from dalle2.settings import OnStep, Settings
from dalle2.unclip_base import UnclipBase, generators


class Canvas(NamedTuple):
    """What is painted on, and its mask, both at the model's size. White is repainted, black is kept, grey blends."""

    picture: Image.Image
    mask: Image.Image


@dataclass(frozen=True)
class Repaint(Request):
    """The painted part follows the prompt, or without one the picture that the canvas was made of."""

    picture: Image.Image
    prompt: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", optional_prompt(self.prompt))

    @property
    def words(self) -> tuple[str, ...]:
        return (self.prompt,) if self.prompt else ()

    @property
    def stages(self) -> tuple[str, ...]:
        return ("decoder", "upsampler") if self.prompt is None else ("prior", "decoder", "upsampler")

    def adapt(self, settings: Settings) -> Settings:
        return settings.for_inpainting()

    def own_settings(self, model: UnclipBase) -> Settings:
        return model.settings if model.inpaints else super().own_settings(model)

    @abstractmethod
    def canvas(self, side: int) -> Canvas:
        """Return what the model paints on, at so many pixels a side."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return what its record says beside the prompt."""

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        import torch

        model.require(self.name)
        settings = settings or self.own_settings(model)
        canvas = self.canvas(model.side(settings))
        generator = generators(seeds)
        drawn = [canvas.picture.copy() for _ in seeds]
        if canvas.mask.getextrema()[1]:
            if self.prompt is None:
                model.require("variations")
                embeddings, prompts = model.embed_image([self.picture]).expand(len(seeds), -1), None
            else:
                model.require("text_to_image")
                prompts = [self.asked(self.prompt)] * len(seeds)
                embeddings = model.embed_prompt(prompts, generator, settings, on_step)
            repaint = torch.from_numpy(np.array(canvas.mask)).float()[None, None] / 255
            known = KnownPixels(images.to_tensor([canvas.picture]), repaint)
            painted = model.decode(embeddings, generator, prompts, settings, on_step, known=known)
            # Each stage has kept these pixels to its rounding; here they become the same to the last level.
            drawn = [Image.composite(new, canvas.picture, canvas.mask) for new in painted]
        details = {"prompt": self.prompt or "", **self.details(), **self.understanding_record(self.words)}
        return model.attach_records(self.name, drawn, seeds, settings, [details] * len(seeds))
