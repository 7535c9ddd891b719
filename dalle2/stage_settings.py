"""How the denoising loop of each kind of stage runs: frozen values that check themselves.

Limits are written once, here.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from typing import Any, Self

from dalle2.refusal import Refusal

MAX_STEPS = 1000
MAX_GUIDANCE_SCALE = 100.0
MAX_CANDIDATES = 64
MAX_RESAMPLINGS = 50
MAX_NOISE_LEVEL = 999
MAX_PICTURE_SIZE = 2048  # pixels a side that a decoder may be asked for
SCHEDULERS = ("unclip", "ddpm", "ddim", "dpm++", "unipc", "pndm")
# Those whose steps do not depend on the steps before them, so that one can be undone and taken again.
SINGLE_STEP = ("unclip", "ddpm", "ddim")
PRIORS = ("diffusion", "autoregressive", "linear", "eclipse")
# Of one forward pass, which has nothing to be guided by.
SINGLE_PASS = ("linear", "eclipse")
# What only some stages have, although the records of version 0.1 name it for all of them.
FORMER = ("guidance_scale", "guidance_interval", "candidates", "kind")


@dataclass(frozen=True)
class StageSettings:
    """How the denoising loop of a stage runs; ValueError when a value is out of range.

    Attributes:
        num_inference_steps: 1..MAX_STEPS.
        scheduler: one of SCHEDULERS.
        eta: how much fresh noise the ddim scheduler adds, from 0 (none) to 1.
        times: how often each step is taken, 1..MAX_RESAMPLINGS (see `sampling.sample`).
    """

    num_inference_steps: int
    _: KW_ONLY
    scheduler: str = "unclip"
    eta: float = 0.0
    times: int = 1

    def __post_init__(self) -> None:
        _check_count("num_inference_steps", self.num_inference_steps, MAX_STEPS)
        _check_count("times", self.times, MAX_RESAMPLINGS)
        if self.scheduler not in SCHEDULERS:
            raise Refusal(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {self.scheduler!r}.")
        if not _is_number(self.eta) or not 0 <= self.eta <= 1:
            raise Refusal(f"eta must be a number from 0 to 1, not {self.eta!r}.")
        if self.eta and self.scheduler != "ddim":
            raise Refusal(f"eta belongs to the scheduler ddim: leave it at 0 with {self.scheduler}.")
        if self.times > 1 and self.scheduler not in SINGLE_STEP:
            raise Refusal(
                f"times must be 1 with {self.scheduler}, which cannot take a step again: use {', '.join(SINGLE_STEP)}."
            )

    @property
    def guided(self) -> bool:
        """Return whether what is predicted without the prompt counts too, and with it a negative prompt."""
        return False

    @property
    def loop_steps(self) -> int:
        """Return how many steps the loop tells of: one more than are asked for by pndm, which takes the first twice."""
        return self.num_inference_steps + (self.scheduler == "pndm" and self.num_inference_steps > 1)

    @property
    def evaluations(self) -> int:
        """Return how often the network is asked for one picture; under guidance it answers twice each time."""
        return self.loop_steps * self.times

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the inverse of `to_dict`; ValueError for an unknown or a missing key."""
        check_keys(values, cls, required={"num_inference_steps"}, more=FORMER)
        own = {entry.name for entry in fields(cls)}
        if "guidance_scale" not in own and values.get("guidance_scale", 1) != 1:
            raise Refusal("The upsampler is never guided: leave its guidance_scale at 1.")
        if "candidates" not in own and values.get("candidates", 1) != 1:
            raise Refusal("Only the prior draws candidates: leave those of the decoder and upsampler at 1.")
        if "kind" not in own and values.get("kind", "diffusion") != "diffusion":
            raise Refusal("Only the prior can be of another kind than diffusion: leave out that of the other stages.")
        return cls(**{name: value for name, value in values.items() if name in own})


@dataclass(frozen=True)
class GuidedSettings(StageSettings):
    """A stage with classifier-free guidance.

    Attributes:
        guidance_scale: 0..MAX_GUIDANCE_SCALE, 1 being no guidance.
        guidance_interval: the share of the steps, first to last in 0..1, that are guided.
    """

    guidance_scale: float = 1.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_number(self.guidance_scale) or not 0 <= self.guidance_scale <= MAX_GUIDANCE_SCALE:
            raise Refusal(
                f"guidance_scale must be a number from 0 to {MAX_GUIDANCE_SCALE:g}, not {self.guidance_scale!r}."
            )
        interval = self.guidance_interval
        if (
            not isinstance(interval, tuple | list)
            or len(interval) != 2
            or not all(_is_number(end) for end in interval)
            or not 0 <= interval[0] <= interval[1] <= 1
        ):
            raise Refusal(f"guidance_interval must be two rising numbers from 0 to 1, not {interval!r}.")
        object.__setattr__(self, "guidance_interval", (float(interval[0]), float(interval[1])))

    @property
    def guided(self) -> bool:
        return self.guidance_scale != 1

    @property
    def invertible(self) -> bool:
        """Return whether the stage can be walked backwards, which it is without guidance: a diffusion's plain DDIM."""
        return self == self.plain_ddim(self.num_inference_steps, self.guidance_scale)

    def plain_ddim(self, steps: int, guidance_scale: float) -> Self:
        """Return the same by DDIM at eta 0, each step taken once, and guided throughout."""
        plain = {"guidance_interval": (0.0, 1.0), "scheduler": "ddim", "eta": 0.0, "times": 1}
        return replace(self, num_inference_steps=steps, guidance_scale=guidance_scale, **plain)


@dataclass(frozen=True)
class PriorSettings(GuidedSettings):
    """The prior's: text to image embedding.

    Attributes:
        candidates: how many embeddings are drawn for each picture, 1..MAX_CANDIDATES, of which the one nearest to the
            text is kept (paper, section 2.2).
        kind: one of PRIORS. An autoregressive prior has as many steps as the checkpoint says, and a linear one just
            one, as an ECLIPSE prior has, which are never guided; none of them has a scheduler.
    """

    candidates: int = 1
    kind: str = "diffusion"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("candidates", self.candidates, MAX_CANDIDATES)
        if self.kind not in PRIORS:
            raise Refusal(f"kind must be one of {', '.join(PRIORS)}, not {self.kind!r}.")

    @property
    def guided(self) -> bool:
        return super().guided and self.kind not in SINGLE_PASS

    @property
    def evaluations(self) -> int:
        return (1 if self.kind in SINGLE_PASS else super().evaluations) * self.candidates

    def plain_ddim(self, steps: int, guidance_scale: float) -> Self:
        return replace(super().plain_ddim(steps, guidance_scale), candidates=1, kind="diffusion")


@dataclass(frozen=True)
class DecoderSettings(GuidedSettings):
    """The decoder's: image embedding and text to a picture, or to the latents of one.

    Attributes:
        noise_level: how much noise the decoder sees the image embedding in, 0..MAX_NOISE_LEVEL: the more, the freer
            it is. Above 0 only with a checkpoint that learned it (`model.noise_levels`).
        picture_size: pixels a side, 1..MAX_PICTURE_SIZE, where not the checkpoint's own are wanted and it draws others
            (`model.picture_sizes`); None for its own.
    """

    noise_level: int = 0
    picture_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        level = self.noise_level
        if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= MAX_NOISE_LEVEL:
            raise Refusal(f"noise_level must be a whole number from 0 to {MAX_NOISE_LEVEL}, not {level!r}.")
        if self.picture_size is not None:
            _check_count("picture_size", self.picture_size, MAX_PICTURE_SIZE)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, with the noise level and the picture size where there are any."""
        unsaid = {"noise_level": 0, "picture_size": None}
        return {name: value for name, value in super().to_dict().items() if name not in unsaid or value != unsaid[name]}


@dataclass(frozen=True)
class UpsamplerSettings(StageSettings):
    """The upsampler's: a small picture to a large one, without a word and so without guidance."""


# The stages that a checkpoint may have, in the order in which they run, and the kind of settings that each takes.
STAGE_KINDS: Mapping[str, type[StageSettings]] = {
    "prior": PriorSettings,
    "decoder": DecoderSettings,
    "upsampler": UpsamplerSettings,
}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_count(name: str, count: object, most: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        raise Refusal(f"{name} must be a whole number from 1 to {most}, not {count!r}.")


def check_keys(values: object, owner: type[Any], required: set[str], more: Collection[str] = ()) -> None:
    """Raise ValueError unless the values are a table with the `required` names, and of others the owner's or `more`."""
    if not isinstance(values, Mapping):
        raise Refusal(f"{owner.__name__} must be given as a table of names and values, not {values!r}.")
    known = [entry.name for entry in fields(owner)]
    for key in values:
        if key not in known and key not in more:
            raise Refusal(f"{owner.__name__} has no {key!r}: it knows {', '.join(known)}.")
    for key in sorted(required - set(values)):
        raise Refusal(f"{owner.__name__} lacks {key!r}.")
