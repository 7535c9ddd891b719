"""What a visitor may choose and what progress tells: `Settings`, `Step`, and the checks of prompts and seeds.

Defaults belong to the checkpoint (`model.settings`); limits are written once, here.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, fields, replace
from typing import Any, Self

from PIL import Image

MAX_PROMPT_CHARACTERS = 1000
MAX_SEED = 2**32 - 1
MAX_PICTURES = 16
MAX_STEPS = 1000
MAX_GUIDANCE_SCALE = 100.0
MAX_CANDIDATES = 64
MAX_FRAMES = 240
MAX_RESAMPLINGS = 50
SIZES = (512, 1024)  # pixels a side to which finished pictures can be enlarged
INVERSION_STEPS = 50
TEXT_DIFF_STEPS = 20
INPAINTING_STEPS = 25
INPAINTING_RESAMPLES = 3
DRAFT_DECODER_STEPS = 2
DRAFT_PRIOR_GUIDANCE = 2.0
# Of the ways of a text diff, the strengths that show them well.
STRENGTHS = {"prior": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "slerp": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)}
SCHEDULERS = ("unclip", "ddpm", "ddim", "dpm++", "unipc")
# Those whose steps do not depend on the steps before them, so that one can be undone and taken again.
SINGLE_STEP = ("unclip", "ddpm", "ddim")
PRIORS = ("diffusion", "autoregressive", "linear")
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
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {self.scheduler!r}.")
        if not _is_number(self.eta) or not 0 <= self.eta <= 1:
            raise ValueError(f"eta must be a number from 0 to 1, not {self.eta!r}.")
        if self.eta and self.scheduler != "ddim":
            raise ValueError(f"eta belongs to the scheduler ddim: leave it at 0 with {self.scheduler}.")
        if self.times > 1 and self.scheduler not in SINGLE_STEP:
            raise ValueError(
                f"times must be 1 with {self.scheduler}, which cannot take a step again: use {', '.join(SINGLE_STEP)}."
            )

    @property
    def guided(self) -> bool:
        """Whether what is predicted without the prompt counts too, and with it a negative prompt."""
        return False

    @property
    def evaluations(self) -> int:
        """How often the network is asked for one picture; under guidance it answers twice each time."""
        return self.num_inference_steps * self.times

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the inverse of `to_dict`; ValueError for an unknown or a missing key."""
        _check_keys(values, cls, required={"num_inference_steps"}, more=FORMER)
        own = {entry.name for entry in fields(cls)}
        if "guidance_scale" not in own and values.get("guidance_scale", 1) != 1:
            raise ValueError("The upsampler is never guided: leave its guidance_scale at 1.")
        if "candidates" not in own and values.get("candidates", 1) != 1:
            raise ValueError("Only the prior draws candidates: leave those of the decoder and upsampler at 1.")
        if "kind" not in own and values.get("kind", "diffusion") != "diffusion":
            raise ValueError(
                "Only the prior can be of another kind than diffusion: leave out that of the other stages."
            )
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
            raise ValueError(
                f"guidance_scale must be a number from 0 to {MAX_GUIDANCE_SCALE:g}, not {self.guidance_scale!r}."
            )
        interval = self.guidance_interval
        if (
            not isinstance(interval, tuple | list)
            or len(interval) != 2
            or not all(_is_number(end) for end in interval)
            or not 0 <= interval[0] <= interval[1] <= 1
        ):
            raise ValueError(f"guidance_interval must be two rising numbers from 0 to 1, not {interval!r}.")
        object.__setattr__(self, "guidance_interval", (float(interval[0]), float(interval[1])))

    @property
    def guided(self) -> bool:
        return self.guidance_scale != 1

    @property
    def invertible(self) -> bool:
        """Whether the stage can be walked backwards, which it is without guidance: a diffusion's plain DDIM."""
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
            one, which is never guided; neither has a scheduler.
    """

    candidates: int = 1
    kind: str = "diffusion"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("candidates", self.candidates, MAX_CANDIDATES)
        if self.kind not in PRIORS:
            raise ValueError(f"kind must be one of {', '.join(PRIORS)}, not {self.kind!r}.")

    @property
    def guided(self) -> bool:
        return super().guided and self.kind != "linear"

    @property
    def evaluations(self) -> int:
        return super().evaluations * self.candidates

    def plain_ddim(self, steps: int, guidance_scale: float) -> Self:
        return replace(super().plain_ddim(steps, guidance_scale), candidates=1, kind="diffusion")


@dataclass(frozen=True)
class DecoderSettings(GuidedSettings):
    """The decoder's: image embedding and text to a picture, or to the latents of one."""


@dataclass(frozen=True)
class UpsamplerSettings(StageSettings):
    """The upsampler's: a small picture to a large one, without a word and so without guidance."""


# The stages that a checkpoint may have, in the order in which they run, and the kind of settings that each takes.
STAGE_KINDS: Mapping[str, type[StageSettings]] = {
    "prior": PriorSettings,
    "decoder": DecoderSettings,
    "upsampler": UpsamplerSettings,
}


@dataclass(frozen=True)
class Settings:
    """The settings of each stage that a checkpoint has, and what the picture should not show.

    A family without a prior, or without an upsampler, has None there. `negative_prompt` (diffusers' name) is read in
    the place of no prompt at all wherever a stage is guided: guidance then leads from it to the prompt. None is no
    negative prompt. "" is the prompt that says nothing, which is the same where a decoder reads text (Karlo's), and
    another thing where it sees nothing but an embedding (Kandinsky's).
    """

    prior: PriorSettings | None
    decoder: DecoderSettings
    upsampler: UpsamplerSettings | None = None
    negative_prompt: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "negative_prompt", check_negative_prompt(self.negative_prompt))

    @property
    def stages(self) -> dict[str, StageSettings]:
        """The stages that there are, by name, in the order in which they run."""
        stages = {name: getattr(self, name) for name in STAGE_KINDS}
        return {name: stage for name, stage in stages.items() if stage is not None}

    def changed(self, changes: Mapping[str, Mapping[str, Any]]) -> "Settings":
        """Return the same with other values in some of its stages, as {"decoder": {"eta": 0.5}}."""
        return replace(self, **{name: replace(self.stages[name], **values) for name, values in changes.items()})

    def for_inversion(self, steps: int | None = None) -> "Settings":
        """Return the same, but with a decoder that can be walked backwards: plain DDIM without guidance.

        Guidance pulls so hard that the way back is lost. INVERSION_STEPS steps bring a picture back.
        """
        return replace(self, decoder=self.decoder.plain_ddim(steps or INVERSION_STEPS, 1.0))

    def for_text_diff(self, steps: int | None = None) -> "Settings":
        """Plain DDIM for a text diff: the decoder's as in `for_inversion`, and a diffusion prior's.

        Both keep their guidance, for the way forth only.
        """
        decoder = self.decoder.plain_ddim(steps or INVERSION_STEPS, self.decoder.guidance_scale)
        if self.prior is None:
            return replace(self, decoder=decoder)
        return replace(self, prior=self.prior.plain_ddim(TEXT_DIFF_STEPS, self.prior.guidance_scale), decoder=decoder)

    def with_guidance(self, scale: float) -> "Settings":
        """Return the same, with this guidance scale in the decoder."""
        return self.changed({"decoder": {"guidance_scale": scale}})

    def for_inpainting(self) -> "Settings":
        """Return the same, but with a decoder that makes repainted pixels agree with kept ones (arXiv 2201.09865).

        ddim does without the decoder's learned variance, which in the embedded weights leaves its range: with unclip
        and ddpm the painted part then comes out grey or black.
        """
        changes = {
            "num_inference_steps": INPAINTING_STEPS,
            "scheduler": "ddim",
            "times": INPAINTING_RESAMPLES,
            "eta": 0.0,
        }
        return self.changed({"decoder": changes})

    def for_draft(self) -> "Settings":
        """Return these in at most four network steps: one of a diffusion prior, two of the decoder, one upsampling.

        A prior's only step is its guess from pure noise, which a strong guidance would overdo. The upsampler's is
        its last network's, which sharpens the enlarged picture as well as the first network's.
        """
        steps = {"prior": 1, "decoder": DRAFT_DECODER_STEPS, "upsampler": 1}
        changes: dict[str, dict[str, Any]] = {name: {"num_inference_steps": steps[name]} for name in self.stages}
        if self.prior:
            changes["prior"]["candidates"] = 1
        if self.prior and self.prior.kind == "diffusion":
            guidance = min(self.prior.guidance_scale, DRAFT_PRIOR_GUIDANCE)
            changes["prior"] |= {"guidance_scale": guidance, "scheduler": "ddim", "times": 1}
        return self.changed(changes)

    def check_negative(self, stages: Collection[str] = tuple(STAGE_KINDS)) -> "Settings":
        """Return these settings; ValueError where a negative prompt has no effect: none of these stages is guided."""
        if self.negative_prompt and not any(stage.guided for name, stage in self.stages.items() if name in stages):
            raise ValueError(
                "The negative prompt has no effect, because nothing is guided here: set a guidance above 1, or leave "
                "it out."
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: a table for each stage, and the negative prompt where there is one."""
        stages = {name: stage.to_dict() for name, stage in self.stages.items()}
        return stages | ({} if self.negative_prompt is None else {"negative_prompt": self.negative_prompt})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """Return the inverse of `to_dict`; ValueError names an unknown or a missing key."""
        _check_keys(values, cls, required={"decoder"})
        rows = {name: kind.from_dict(values[name]) for name, kind in STAGE_KINDS.items() if name in values}
        stages: dict[str, Any] = {"prior": None} | rows
        return cls(**stages, negative_prompt=values.get("negative_prompt"))


@dataclass(frozen=True)
class Step:
    """One step of a stage is done: `stage` is "prior", "inversion", "decoder" or "upsampler", `index` is 1..`total`."""

    stage: str
    index: int
    total: int
    draw: Callable[[], list[Image.Image]] = field(default=list, repr=False, compare=False)

    def pictures(self) -> list[Image.Image]:
        """Return the clean pictures as predicted so far, one a seed, made only when asked; [] in the prior."""
        return self.draw()


OnStep = Callable[[Step], None]


def check_prompt(prompt: str) -> str:
    """Return the prompt without the blanks around it; ValueError when it is empty, too long or not text."""
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


def check_negative_prompt(prompt: str | None) -> str | None:
    """Return the negative prompt without the blanks around it, or None; ValueError when it is too long or not text."""
    if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
        return None if prompt is None else ""
    return check_prompt(prompt)


def check_seed(seed: int) -> int:
    """Return the seed as an int; ValueError unless it is a whole number from 0 to MAX_SEED."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"A seed must be a whole number from 0 to {MAX_SEED}, not {seed!r}.")
    return seed


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_count(name: str, count: object, most: int) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {count!r}.")


def _check_keys(values: object, owner: type[Any], required: set[str], more: Collection[str] = ()) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"{owner.__name__} must be given as a table of names and values, not {values!r}.")
    known = [entry.name for entry in fields(owner)]
    for key in values:
        if key not in known and key not in more:
            raise ValueError(f"{owner.__name__} has no {key!r}: it knows {', '.join(known)}.")
    for key in sorted(required - set(values)):
        raise ValueError(f"{owner.__name__} lacks {key!r}.")
