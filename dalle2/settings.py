"""What a visitor may choose and what progress tells: `Settings`, `Step`, and the checks of prompts and seeds.

Defaults belong to the checkpoint (`model.settings`); limits are written once, here and in `stage_settings.py`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from dalle2.refusal import Refusal
from dalle2.stage_settings import (
    MAX_STEPS,
    STAGE_KINDS,
    DecoderSettings,
    PriorSettings,
    StageSettings,
    UpsamplerSettings,
    check_keys,
)

MAX_PROMPT_CHARACTERS = 1000
MAX_SEED = 2**32 - 1
MAX_PICTURES = 16
MAX_FRAMES = 240
SIZES = (512, 1024)  # pixels a side to which finished pictures can be enlarged
INVERSION_STEPS = 50
TEXT_DIFF_STEPS = 20
INPAINTING_STEPS = 25
INPAINTING_RESAMPLES = 3
DRAFT_DECODER_STEPS = 2
DRAFT_PRIOR_GUIDANCE = 2.0
# How good pictures should be, in the checkpoint's own numbers of steps.
QUALITIES = {"fast": 0.5, "default": 1.0, "best": 2.5}
# Of the ways of a text diff, the strengths that show them well.
STRENGTHS = {"prior": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "slerp": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)}


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
        """Return the stages that there are, by name, in the order in which they run."""
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
        """Return the same by plain DDIM for a text diff: the decoder's as in `for_inversion`, and a diffusion prior's.

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

    def with_steps(self, factor: float, most: int = MAX_STEPS) -> "Settings":
        """Return the same with so many times the steps, at least one and at most `most`, in each stage."""
        steps = {name: round(stage.num_inference_steps * factor) for name, stage in self.stages.items()}
        return self.changed({name: {"num_inference_steps": min(max(count, 1), most)} for name, count in steps.items()})

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
            raise Refusal(
                "The negative prompt has no effect, because nothing is guided here: set a guidance above 1, or leave "
                "it out."
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON: a table for each stage, and the negative prompt where there is one."""
        stages = {name: stage.to_dict() for name, stage in self.stages.items()}
        return stages | ({} if self.negative_prompt is None else {"negative_prompt": self.negative_prompt})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """Return the inverse of `to_dict`; ValueError names an unknown or a missing key."""
        check_keys(values, cls, required={"decoder"})
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
        raise Refusal(f"A prompt must be text, not {type(prompt).__name__}.")
    prompt = prompt.strip()
    if not prompt:
        raise Refusal("The prompt is empty: write what the picture should show.")
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise Refusal(
            f"The prompt has {len(prompt):,} characters, but at most {MAX_PROMPT_CHARACTERS:,} are allowed: shorten it."
        )
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise Refusal("The prompt holds half of a character (a lone surrogate): type or paste it again.")
    return prompt


def check_negative_prompt(prompt: str | None) -> str | None:
    """Return the negative prompt without the blanks around it, or None; ValueError when it is too long or not text."""
    if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
        return None if prompt is None else ""
    return check_prompt(prompt)


def check_seed(seed: int) -> int:
    """Return the seed as an int; ValueError unless it is a whole number from 0 to MAX_SEED."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise Refusal(f"A seed must be a whole number from 0 to {MAX_SEED}, not {seed!r}.")
    return seed
