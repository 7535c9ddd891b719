"""What a visitor may choose and what progress tells: `Settings`, `Step`, and the checks of prompts and seeds.

Defaults belong to the checkpoint (`model.settings`); limits are written once, here.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

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
RETRACING_STEPS = 50
REWORDING_STEPS = 20
REPAINTING_STEPS = 25
REPAINTING_TIMES = 3
DRAFT_DECODER_STEPS = 2
DRAFT_PRIOR_GUIDANCE = 2.0
# Of the ways of a text diff, the strengths that show them well.
STRENGTHS = {"prior": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "slerp": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)}
SCHEDULERS = ("unclip", "ddpm", "ddim", "dpm++", "unipc")
# Those whose steps do not depend on the steps before them, so that one can be undone and taken again.
FORGETFUL = ("unclip", "ddpm", "ddim")
STAGES = ("prior", "decoder", "upsampler")
PRIORS = ("diffusion", "autoregressive", "linear")


@dataclass(frozen=True)
class StageSettings:
    """How one stage comes to its result; ValueError when a value is out of range.

    `num_inference_steps` is 1..MAX_STEPS; `guidance_scale` is 0..MAX_GUIDANCE_SCALE, 1 being no guidance;
    `guidance_interval` is the share of the steps, first to last in 0..1, that are guided; `eta` is how much fresh
    noise the ddim scheduler adds, from 0 (none) to 1; `times` is how often each step is taken (see
    `sampling.sample`), by default once; `candidates` is how many embeddings the prior draws for each
    picture, of which it keeps the one nearest to the text (paper, section 2.2).

    `kind` is one of PRIORS, for the prior alone to choose. An autoregressive prior has as many steps as the
    checkpoint says, and a linear one just one, which is never guided; neither has a scheduler.
    """

    num_inference_steps: int
    guidance_scale: float = 1.0
    scheduler: str = "unclip"
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    eta: float = 0.0
    times: int = 1
    candidates: int = 1
    kind: str = "diffusion"

    def __post_init__(self) -> None:
        counts = {"num_inference_steps": MAX_STEPS, "times": MAX_RESAMPLINGS, "candidates": MAX_CANDIDATES}
        for name, most in counts.items():
            count = getattr(self, name)
            if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
                raise ValueError(f"{name} must be a whole number from 1 to {most}, not {count!r}.")
        if not _is_number(self.guidance_scale) or not 0 <= self.guidance_scale <= MAX_GUIDANCE_SCALE:
            raise ValueError(
                f"guidance_scale must be a number from 0 to {MAX_GUIDANCE_SCALE:g}, not {self.guidance_scale!r}."
            )
        if self.scheduler not in SCHEDULERS:
            raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)}, not {self.scheduler!r}.")
        if self.kind not in PRIORS:
            raise ValueError(f"kind must be one of {', '.join(PRIORS)}, not {self.kind!r}.")
        interval = self.guidance_interval
        if (
            not isinstance(interval, tuple | list)
            or len(interval) != 2
            or not all(_is_number(end) for end in interval)
            or not 0 <= interval[0] <= interval[1] <= 1
        ):
            raise ValueError(f"guidance_interval must be two rising numbers from 0 to 1, not {interval!r}.")
        object.__setattr__(self, "guidance_interval", (float(interval[0]), float(interval[1])))
        self._check_scheduling()

    def _check_scheduling(self) -> None:
        """What only some schedulers can do."""
        if not _is_number(self.eta) or not 0 <= self.eta <= 1:
            raise ValueError(f"eta must be a number from 0 to 1, not {self.eta!r}.")
        if self.eta and self.scheduler != "ddim":
            raise ValueError(f"eta belongs to the scheduler ddim: leave it at 0 with {self.scheduler}.")
        if self.times > 1 and self.scheduler not in FORGETFUL:
            raise ValueError(
                f"times must be 1 with {self.scheduler}, which cannot take a step again: use {', '.join(FORGETFUL)}."
            )

    @property
    def guided(self) -> bool:
        """Whether what is predicted without the prompt counts too, and with it a negative prompt."""
        return self.guidance_scale != 1 and self.kind != "linear"

    @property
    def retraces(self) -> bool:
        """Whether the stage can be walked backwards, which it is without guidance: a diffusion's plain DDIM."""
        return self == StageSettings(self.num_inference_steps, self.guidance_scale, scheduler="ddim")

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "StageSettings":
        """The inverse of `dataclasses.asdict`; ValueError for an unknown or a missing key."""
        _check_keys(values, cls, required={"num_inference_steps"})
        return cls(**values)


@dataclass(frozen=True)
class Settings:
    """The settings of the three stages, in the order in which they run, and what the picture should not show.

    `negative_prompt` (diffusers' name) is read in the place of no prompt at all wherever a stage is guided: guidance
    then leads from it to the prompt. "" and None are no negative prompt.
    """

    prior: StageSettings
    decoder: StageSettings
    upsampler: StageSettings
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "negative_prompt", check_negative_prompt(self.negative_prompt))
        if self.upsampler.guidance_scale != 1:
            raise ValueError("The upsampler is never guided: leave its guidance_scale at 1.")
        if self.decoder.candidates != 1 or self.upsampler.candidates != 1:
            raise ValueError("Only the prior draws candidates: leave those of the decoder and upsampler at 1.")
        if not self.decoder.kind == self.upsampler.kind == "diffusion":
            raise ValueError(
                "Only the prior can be of another kind than diffusion: leave out that of the other stages."
            )

    def retracing(self, steps: int | None = None) -> "Settings":
        """The same, but with a decoder that can be walked backwards: plain DDIM without guidance.

        Guidance pulls so hard that the way back is lost. RETRACING_STEPS steps bring a picture back.
        """
        return replace(self, decoder=StageSettings(steps or RETRACING_STEPS, scheduler="ddim"))

    def rewording(self, steps: int | None = None) -> "Settings":
        """Plain DDIM for a text diff: the decoder's as in `retracing`, and a diffusion prior's.

        Both keep their guidance, for the way forth only.
        """
        decoder = StageSettings(steps or RETRACING_STEPS, self.decoder.guidance_scale, scheduler="ddim")
        prior = StageSettings(REWORDING_STEPS, self.prior.guidance_scale, scheduler="ddim")
        return replace(self, prior=prior, decoder=decoder)

    def guiding(self, scale: float) -> "Settings":
        """The same, with this guidance scale in the decoder."""
        return replace(self, decoder=replace(self.decoder, guidance_scale=scale))

    def repainting(self) -> "Settings":
        """The same, but with a decoder that makes repainted pixels agree with kept ones (arXiv 2201.09865).

        ddim does without the decoder's learned variance, which in the embedded weights leaves its range: with unclip
        and ddpm the painted part then comes out grey or black.
        """
        changes = {"num_inference_steps": REPAINTING_STEPS, "scheduler": "ddim", "times": REPAINTING_TIMES}
        return replace(self, decoder=replace(self.decoder, eta=0.0, **changes))

    def drafting(self) -> "Settings":
        """The same in at most four network steps: one of a diffusion prior, two of the decoder, one of the upsampler.

        A prior's only step is its guess from pure noise, which a strong guidance would overdo. The upsampler's is
        its last network's, which sharpens the enlarged picture as well as the first network's.
        """
        prior = replace(self.prior, num_inference_steps=1, candidates=1)
        if prior.kind == "diffusion":
            guidance = min(prior.guidance_scale, DRAFT_PRIOR_GUIDANCE)
            prior = replace(prior, guidance_scale=guidance, scheduler="ddim", times=1)
        return replace(
            self,
            prior=prior,
            decoder=replace(self.decoder, num_inference_steps=DRAFT_DECODER_STEPS),
            upsampler=replace(self.upsampler, num_inference_steps=1),
        )

    def negated(self, stages: Collection[str] = STAGES) -> "Settings":
        """These settings; ValueError where a negative prompt has no effect, because none of these stages is guided."""
        if self.negative_prompt and not any(getattr(self, name).guided for name in STAGES if name in stages):
            raise ValueError(
                "The negative prompt has no effect, for nothing is guided here: guide by more than 1, or leave it out."
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: a table for each stage, and the negative prompt where there is one."""
        stages = {name: asdict(getattr(self, name)) for name in STAGES}
        for stage in stages.values():
            stage["guidance_interval"] = list(stage["guidance_interval"])
        return stages | ({"negative_prompt": self.negative_prompt} if self.negative_prompt else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """The inverse of `to_dict`; ValueError names an unknown or a missing key."""
        _check_keys(values, cls, required=set(STAGES))
        stages = {name: StageSettings.from_dict(values[name]) for name in STAGES}
        return cls(**stages, negative_prompt=values.get("negative_prompt", ""))


@dataclass(frozen=True)
class Step:
    """One step of a stage is done: `stage` is "prior", "inversion", "decoder" or "upsampler", `index` is 1..`total`."""

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


def check_negative_prompt(prompt: str | None) -> str:
    """The negative prompt, "" where there is none; ValueError when it is too long or not text."""
    blank = prompt is None or (isinstance(prompt, str) and not prompt.strip())
    return "" if blank else check_prompt(prompt)


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
