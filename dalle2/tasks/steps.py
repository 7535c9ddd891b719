"""Steps: what is predicted at each denoising step of drawing a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from dalle2.requests import only
from dalle2.settings import OnStep, Settings, Step
from dalle2.tasks.explaining import Explain
from dalle2.unclip_base import UnclipBase, generators


@dataclass(frozen=True)
class Steps(Explain):
    """The clean picture as predicted at each step of the decoder and of the upsampler, at the picture's size."""

    name: ClassVar[str] = "steps"

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require("text_to_image")
        seed, side = only(seeds), model.side(settings)
        asked, shared = [self.asked(self.prompt)], {"prompt": self.prompt, **self.understanding_record(self.words)}
        predicted: list[Image.Image] = []
        details: list[dict[str, Any]] = []

        def collect(step: Step) -> None:
            for picture in step.pictures():
                predicted.append(picture.resize((side, side), Image.Resampling.NEAREST))
                details.append({**shared, "stage": step.stage, "step": step.index})
            if on_step:
                on_step(step)

        noise = generators([seed])
        embedding = model.embed_prompt(asked, noise, settings, on_step)
        model.decode(embedding, noise, asked, settings, collect)
        return model.attach_records(self.name, predicted, [seed] * len(predicted), settings, details)
