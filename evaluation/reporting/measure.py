"""A measure: what programs know it by, what readers call it, its number, and the values from which pairs are tested."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Measure:
    """A number over `n` pictures or pairs.

    Attributes:
        key: what programs know it by; two contestants are compared in measures of the same key. Never shown.
        label: what readers see, in whatever words; nothing depends on it.
        value: the number.
        n: how many pictures or pairs it is over.
        better: which way is better; "" for neither, as of an anchor that belongs to no contestant.
        interval: 95%, if known.
        details: plain values that belong to this number alone, as its resize mode.
        values: one a picture (or reference picture), whose mean is the number, where it is such a mean.
        blocks: which of the values hang together, numbered from 0; None where none do.
        left_out: what the number would be without each group of pictures, where it is no mean over these.

    Raises:
        ValueError: for a value or an interval that is not finite: such a number must be explained, not reported. Also
            for a `better` that is none of those.
    """

    key: str
    label: str
    value: float
    n: int
    better: Better
    interval: tuple[float, float] | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    values: np.ndarray | None = field(default=None, kw_only=True, compare=False, repr=False)
    blocks: np.ndarray | None = field(default=None, kw_only=True, compare=False, repr=False)
    left_out: np.ndarray | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, *(self.interval or ())))):
            raise ValueError(f"{self.label} came out as {self.value} {self.interval or ''}: look at what was measured.")
        if self.better not in get_args(Better):
            raise ValueError(f"{self.label} is better {self.better!r}, which is neither higher nor lower nor empty.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measure":
        """Return the inverse of `to_dict`; reports of older versions have a name, which is taken for both.

        KeyError, TypeError or ValueError for anything else: what is read here is shown, sorted and compared elsewhere.
        """
        values = dict(values)
        if "name" in values:
            values["key"] = values["label"] = values.pop("name")
        if values["interval"] is not None:
            low, high = values["interval"]
            values["interval"] = (low, high)
        values.setdefault("details", {})
        for name, kind in (("key", str), ("label", str), ("value", Real), ("n", int), ("details", Mapping)):
            if not isinstance(values[name], kind):
                raise ValueError(f"{name} of a measure is {values[name]!r}")
        return cls(**values)

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON, without those of single pictures."""
        return {
            "key": self.key,
            "label": self.label,
            "value": float(self.value),
            "interval": None if self.interval is None else [float(end) for end in self.interval],
            "n": int(self.n),
            "better": self.better,
            "details": {name: as_json(value) for name, value in self.details.items()},
        }


def as_json(value: Any) -> object:
    """Convert what JSON does not know by itself: numpy's numbers to numbers, other objects to text."""
    if isinstance(value, str | int | float | bool | list | tuple | dict | None):
        return value
    return value.item() if hasattr(value, "item") else str(value)
