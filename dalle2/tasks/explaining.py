"""What steps, attention and the tour have in common: they show how the picture of one prompt comes about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dalle2.requests import Pictures, Request
from dalle2.settings import check_prompt


@dataclass(frozen=True)
class Explain(Request):
    """The picture of a prompt, seen in several ways, which count as one picture."""

    prompt: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", check_prompt(self.prompt))

    @property
    def words(self) -> tuple[str, ...]:
        return (self.prompt,)

    @property
    def series(self) -> int | None:
        return 1

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        return cls(record["prompt"])
