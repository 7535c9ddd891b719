"""`Request`: a task as one frozen value, which the model's methods, the command line, the page and the records share.

A request holds what is asked for. The seeds and the settings come to it when it is drawn, because the same request
can be drawn with several of them.
"""

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2 import images
from dalle2.refusal import Refusal
from dalle2.settings import OnStep, Settings, Step, check_prompt
from dalle2.speech.transcript import Transcript
from dalle2.stage_settings import StageSettings
from dalle2.unclip_base import UnclipBase
from dalle2.understanding.answer import Note, Understanding, record_of
from dalle2.understanding.sentences import NotUnderstood

# Stands for any picture, where only the kind of a request matters.
ANY_PICTURE = Image.new("RGB", (1, 1))

# The pictures that a record may name, by the names that it gives them (see `name_of`).
Pictures = Mapping[str, Image.Image]


@dataclass(frozen=True)
class Request(ABC):
    """What is asked of a checkpoint; ValueError, when it is made, for what no checkpoint can do.

    Attributes:
        name: the task's name in every room: its module, the model's method, the capability, the command, the tab, and
            the "task" of a record.
        former_name: what records called the task before it had that name; "" where it never had another.
        understandings: what its prompts are taken for, as `understood` finds; a prompt that none is of is drawn
            literally.
        heard: what a recogniser made of a recording of its prompt, which may have been corrected since.
    """

    name: ClassVar[str]
    former_name: ClassVar[str] = ""

    understandings: tuple[Understanding, ...] = field(default=(), kw_only=True)
    heard: Transcript | None = field(default=None, kw_only=True)

    @property
    def words(self) -> tuple[str, ...]:
        """The prompts in it, as somebody wrote them."""
        return ()

    @property
    def pictured(self) -> bool:
        """Whether a picture shows what is drawn, so that prompts may say only how it should look."""
        return False

    def understood(self, model: UnclipBase) -> Self:
        """Return the request with what the checkpoint takes its prompts for; itself where there is no vocabulary.

        The pictures' records hold the prompts as they were written, and what was asked for them. NotUnderstood, a
        ValueError, for the first prompt of which nothing is known.
        """
        if model.interpreter is None:
            return self
        found = tuple(model.understand(prompt) for prompt in dict.fromkeys(self.words))
        for understanding in found:
            if not understanding.known:
                raise NotUnderstood(understanding)
        if self.pictured:
            found = tuple(understanding.of_looks() for understanding in found)
        return replace(self, understandings=found)

    def asked(self, prompt: str) -> str:
        """Return what the checkpoint is asked for one of the prompts."""
        return next((found.asked for found in self.understandings if found.prompt == prompt), prompt)

    def contents_asked(self, contents: Sequence[str | Image.Image]) -> list[str | Image.Image]:
        """Return the same, with what the checkpoint is asked for the prompts among them."""
        return [self.asked(content) if isinstance(content, str) else content for content in contents]

    def understanding_record(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Return what a record says of these prompts beside their words; {} where they are drawn literally.

        "asked" is what the checkpoint was asked for the prompt; of several, a table with that of each.
        """
        spoken = {"heard": dataclasses.asdict(self.heard)} if self.heard else {}
        return spoken | record_of(self.understandings, prompts)

    def as_recorded(self, record: Mapping[str, Any]) -> Self:
        """Return the request asking what was asked when this record was written; literally, where it does not say."""
        said = record.get("asked", {})
        asked = dict.fromkeys(self.words, said) if isinstance(said, str) else dict(said)
        notes = (Note("poor"),) if record.get("rarely_drawn_well") else ()
        found = [Understanding(prompt, check_prompt(text), notes=notes) for prompt, text in asked.items()]
        spoken = record.get("heard")
        heard = Transcript(**spoken) if isinstance(spoken, dict) and set(spoken) == {"words", "recogniser"} else None
        return replace(self, understandings=tuple(found), heard=heard)

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that run, in this order, of "prior", "inversion", "decoder" and "upsampler"."""
        return ("prior", "decoder", "upsampler")

    @property
    def series(self) -> int | None:
        """As how many pictures it counts, where all of them come from one seed; None where each seed is one picture."""
        return None

    def rows(self, settings: Settings) -> dict[str, StageSettings]:
        """Of these settings, those of the stages that run; an inversion takes the decoder's."""
        rows = {stage: settings.stages.get("decoder" if stage == "inversion" else stage) for stage in self.stages}
        return {stage: row for stage, row in rows.items() if row is not None}

    def steps(self, settings: Settings) -> dict[str, int]:
        """How many steps each of the stages that run tells of."""
        return {stage: row.loop_steps for stage, row in self.rows(settings).items()}

    def adapt(self, settings: Settings) -> Settings:
        """Return a checkpoint's own settings as this task needs them."""
        return settings

    def own_settings(self, model: UnclipBase) -> Settings:
        """Return the settings with which this checkpoint does this task unless others are chosen."""
        return self.adapt(model.settings)

    def settle(self, chosen: Settings) -> Settings:
        """Return settings that somebody chose, with what the request itself says put in their place."""
        return chosen

    @abstractmethod
    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        """Draw the pictures, each with its record in `info["parameters"]`: one for each seed, or a series from one.

        Without settings the checkpoint's own, adapted. ValueError for what the checkpoint cannot do.
        """

    @classmethod
    @abstractmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        """Return the request of which this picture is all, or a part where a series cannot be drawn in parts.

        KeyError where the record lacks something, or names a picture that is not among these.
        """


def optional_prompt(prompt: str | None) -> str | None:
    """Return the prompt without the blanks around it, or None; ValueError when it cannot be drawn."""
    return None if prompt is None else check_prompt(prompt)


def checked(content: str | Image.Image) -> str | Image.Image:
    """Return a prompt without the blanks around it, and a picture as it is; ValueError when it cannot be drawn."""
    return check_prompt(content) if isinstance(content, str) else content


def only(seeds: Sequence[int]) -> int:
    """Return the seed of a series; ValueError unless there is just one."""
    if len(seeds) != 1:
        raise Refusal(f"All pictures of a series come from one seed: give one, not {len(seeds)}.")
    return seeds[0]


def name_of(content: str | Image.Image) -> str:
    """How a record names what a picture was drawn from: a prompt by itself, a picture by the hash of its pixels."""
    if isinstance(content, str):
        return content
    return "sha256:" + hashlib.sha256(images.to_rgb(content).tobytes()).hexdigest()


def content_of(name: str, pictures: Pictures) -> str | Image.Image:
    """Return the inverse of `name_of`; KeyError for a picture that is not among these."""
    return pictures[name] if name.startswith("sha256:") else name


def picture_of(name: str, pictures: Pictures) -> Image.Image:
    """Return the picture of this name; KeyError when it is not among these."""
    return pictures[name]


def part_of(on_step: OnStep | None, index: int, parts: int, before: Sequence[Image.Image] = ()) -> OnStep | None:
    """Return what hears of one part of several as of a share of the whole, with the pictures that were done before."""
    if on_step is None:
        return None

    def tell(step: Step) -> None:
        done, total = index * step.total + step.index, parts * step.total
        on_step(Step(step.stage, done, total, lambda: [*before, *step.pictures()]))

    return tell
