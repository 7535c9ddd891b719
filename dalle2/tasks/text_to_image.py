"""Text to image: the prior imagines a prompt's embedding, the decoder draws it (paper, section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2.requests import Pictures, Request
from dalle2.settings import OnStep, Settings, check_prompt
from dalle2.understanding.answer import Note, Understanding, literal
from dalle2.understanding.sentences import NotUnderstood
from dalle2.verbs import Verbs, generators


@dataclass(frozen=True)
class TextToImage(Request):
    """Pictures of prompts, each of which was understood before (`model.understand`, or `literal` for the very words).

    One prompt is drawn with each seed, several prompts with one seed each, or all with the same one.
    NotUnderstood, a ValueError, for the first prompt of which nothing is known.
    """

    name: ClassVar[str] = "text_to_image"

    prompts: Sequence[Understanding]

    def __post_init__(self) -> None:
        for one in self.prompts:
            if not one.known:
                raise NotUnderstood(one)

    @property
    def series(self) -> int | None:
        return None if len(self.prompts) == 1 else len(self.prompts)

    def draw(
        self, model: Verbs, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        prompts = list(self.prompts) * (len(seeds) if len(self.prompts) == 1 else 1)
        seeds = list(seeds) * (len(prompts) if len(seeds) == 1 else 1)
        asked, noise = [one.asked for one in prompts], generators(seeds)
        embeddings = model.embed_prompt(asked, noise, settings, on_step)
        pictures = model.decode(embeddings, noise, asked, settings, on_step)
        return model.sign(self.name, pictures, seeds, settings, [_details(one) for one in prompts])

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        # What was asked then is asked again; without it the words were taken as they are.
        asked, prompt = record.get("asked"), check_prompt(record["prompt"])
        if asked is None:
            return cls([literal(prompt)])
        notes = (Note("poor"),) if record.get("rarely_drawn_well") else ()
        return cls([Understanding(prompt, check_prompt(asked), notes=notes)])


def _details(one: Understanding) -> dict[str, Any]:
    """What a record says of its words."""
    asked = {} if one.literal else {"asked": one.asked}
    return {"prompt": one.prompt, **asked, **({"rarely_drawn_well": True} if one.rarely_drawn_well else {})}


# Stands for any prompt, where only the kind of a request matters.
ANY_PROMPT = TextToImage([literal("a prompt")])
