"""`Understanding`: what was made of a prompt, as one frozen value that command line, page, API and records share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

DRAWN, UNKNOWN = "drawn", "unknown"


@dataclass(frozen=True)
class NearConcept:
    """A known concept and how near it is to the prompt.

    Attributes:
        code: its code points, such as "2764". label: English. chinese: its Chinese label.
        score: 1 for the very words, else about a cosine. trained: whether the checkpoint was ever shown it.
    """

    code: str
    label: str
    chinese: str
    score: float
    trained: bool = True


@dataclass(frozen=True)
class Note:
    """What cannot be had, or was left out. `kind` is a key of `sentences.NOTES`, `words` are the visitor's."""

    kind: str
    words: str = ""


@dataclass(frozen=True)
class Understanding:
    """What a prompt is taken for.

    Attributes:
        prompt: the visitor's words.
        asked: what the prior is asked, which may be the very words; "" where nothing known is near enough.
        concept: what is drawn; None where the words are taken literally, or nothing is near enough.
        style, background: of those that the checkpoint knows; "" where none is named.
        nearest: other concepts that may have been meant, the nearest first.
        notes: what cannot be had, or was left out.
        guessed: whether the concept is only the best guess at a description.
        literal: whether the words were taken as they are, without looking for what they mean.
    """

    prompt: str
    asked: str
    concept: NearConcept | None = None
    style: str = ""
    background: str = ""
    nearest: tuple[NearConcept, ...] = ()
    notes: tuple[Note, ...] = ()
    literal: bool = False
    guessed: bool = False

    @property
    def known(self) -> bool:
        """Whether there is something to draw."""
        return bool(self.asked)

    @property
    def verbatim(self) -> bool:
        """Whether the prior is asked the visitor's own words."""
        return self.asked == self.prompt

    @property
    def rarely_drawn_well(self) -> bool:
        """Whether the concept is known to come out badly."""
        return any(note.kind == "poor" for note in self.notes)

    def of_looks(self) -> "Understanding":
        """Return the same of somebody who need not name a thing: a style alone is then all that is asked for."""
        return replace(self, notes=tuple(note for note in self.notes if note.kind != "bare"))

    @property
    def alternatives(self) -> tuple[NearConcept, ...]:
        """What else can be offered to a visitor who meant something else."""
        return tuple(near for near in self.nearest if self.concept is None or near.code != self.concept.code)


def literal(prompt: str, notes: Iterable[Note] = ()) -> Understanding:
    """Return the prompt taken as it is."""
    return Understanding(prompt, prompt, notes=tuple(notes), literal=True)


def record_of(understandings: Sequence[Understanding], prompts: Sequence[str]) -> dict[str, Any]:
    """Return what a record says of these prompts, as `Request.understanding_record` tells."""
    taken = {found.prompt: found for found in understandings if found.prompt in prompts and not found.literal}
    if not taken:
        return {}
    asked = {prompt: found.asked for prompt, found in taken.items()}
    poor = any(found.rarely_drawn_well for found in taken.values())
    said = asked if len(set(prompts)) > 1 else next(iter(asked.values()))
    return {"asked": said, **({"rarely_drawn_well": True} if poor else {})}
