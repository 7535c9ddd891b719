"""What a visitor may choose and what progress tells: `Settings`, `Step`, and the checks of prompts and seeds.

Defaults belong to the checkpoint (`model.settings`); limits are written once, here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields

from PIL import Image

MAX_PROMPT_CHARACTERS = 1000
MAX_SEED = 2**32 - 1
MAX_PICTURES = 16
MAX_STEPS = 1000
MAX_GUIDANCE_SCALE = 100.0
SCHEDULERS = ("unclip", "ddpm", "ddim", "dpm++", "unipc")


@dataclass(frozen=True)
class StageSettings:
    """How one stage is denoised; ValueError when a value is out of range.

    `num_inference_steps` is 1..MAX_STEPS; `guidance_scale` is 0..MAX_GUIDANCE_SCALE, 1 being no guidance;
    `guidance_interval` is the share of the steps, first to last in 0..1, that are guided.
    """

    num_inference_steps: int
    guidance_scale: float = 1.0
    scheduler: str = "unclip"
    guidance_interval: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        steps = self.num_inference_steps
        if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= MAX_STEPS:
            raise ValueError(f"num_inference_steps must be a whole number from 1 to {MAX_STEPS}, not {steps!r}.")
        if not _is_number(self.guidance_scale) or not 0 <= self.guidance_scale <= MAX_GUIDANCE_SCALE:
            raise ValueError(
                f"guidance_scale must be a number from 0 to {MAX_GUIDANCE_SCALE:g}, not {self.guidance_scale!r}."
            )
        if self.scheduler not in SCHEDULERS:
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {self.scheduler!r}.")
        interval = self.guidance_interval
        if (
            not isinstance(interval, tuple | list)
            or len(interval) != 2
            or not all(_is_number(end) for end in interval)
            or not 0 <= interval[0] <= interval[1] <= 1
        ):
            raise ValueError(f"guidance_interval must be two rising numbers from 0 to 1, not {interval!r}.")
        object.__setattr__(self, "guidance_interval", (float(interval[0]), float(interval[1])))

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "StageSettings":
        """The inverse of `dataclasses.asdict`; ValueError for an unknown or a missing key."""
        _check_keys(values, cls, required={"num_inference_steps"})
        return cls(**values)


@dataclass(frozen=True)
class Settings:
    """The settings of the three stages, in the order in which they run."""

    prior: StageSettings
    decoder: StageSettings
    upsampler: StageSettings

    def __post_init__(self) -> None:
        if self.upsampler.guidance_scale != 1:
            raise ValueError("The upsampler is never guided: leave its guidance_scale at 1.")

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Plain values, ready for JSON."""
        stages = asdict(self)
        for stage in stages.values():
            stage["guidance_interval"] = list(stage["guidance_interval"])
        return stages

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, object]]) -> "Settings":
        """The inverse of `to_dict`; ValueError names an unknown or a missing key."""
        _check_keys(values, cls, required={"prior", "decoder", "upsampler"})
        return cls(**{name: StageSettings.from_dict(stage) for name, stage in values.items()})


@dataclass(frozen=True)
class Step:
    """One step of a stage is done: `stage` is "prior", "decoder" or "upsampler", `index` is 1..`total`."""

    stage: str
    index: int
    total: int
    draw: Callable[[], list[Image.Image]] = field(default=list, repr=False, compare=False)

    def pictures(self) -> list[Image.Image]:
        """The clean pictures as predicted so far, one a seed, made only when asked; [] in the prior."""
        return self.draw()


OnStep = Callable[[Step], None]


def check_prompt(prompt: str) -> str:
    """The prompt without the blanks around it; ValueError when it is empty, too long or not text."""
    if not isinstance(prompt, str):
        raise ValueError(f"A prompt must be text, not {type(prompt).__name__}.")
    prompt = prompt.strip()
    if not prompt:
        raise ValueError("The prompt is empty: write what the picture should show.")
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise ValueError(
            f"The prompt has {len(prompt):,} characters, but at most {MAX_PROMPT_CHARACTERS:,} are allowed: shorten it."
        )
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise ValueError("The prompt holds half of a character (a lone surrogate): type or paste it again.")
    return prompt


def check_seed(seed: int) -> int:
    """The seed as an int; ValueError unless it is a whole number from 0 to MAX_SEED."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"A seed must be a whole number from 0 to {MAX_SEED}, not {seed!r}.")
    return seed


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_keys(values: object, owner: type, required: set[str]) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"{owner.__name__} must be given as a table of names and values, not {values!r}.")
    known = [entry.name for entry in fields(owner)]
    for key in values:
        if key not in known:
            raise ValueError(f"{owner.__name__} has no {key!r}: it knows {', '.join(known)}.")
    for key in sorted(required - set(values)):
        raise ValueError(f"{owner.__name__} lacks {key!r}.")
