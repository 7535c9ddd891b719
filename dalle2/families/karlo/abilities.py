"""What a checkpoint in Karlo's layout can do, told by the names of its parts."""

from collections.abc import Collection

from dalle2.settings import Settings
from dalle2.stage_settings import DecoderSettings, PriorSettings, UpsamplerSettings

KARLO_SETTINGS = Settings(
    prior=PriorSettings(num_inference_steps=25, guidance_scale=4.0),
    decoder=DecoderSettings(num_inference_steps=25, guidance_scale=8.0),
    upsampler=UpsamplerSettings(num_inference_steps=7),
)
# Folders of the priors by `PriorSettings.kind`. Stock diffusers knows the first, and ignores the others.
PRIORS = {
    "diffusion": "prior",
    "autoregressive": "prior_autoregressive",
    "linear": "prior_linear",
    "eclipse": "prior_eclipse",
}


def priors(parts: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of priors among these parts."""
    return tuple(kind for kind, name in PRIORS.items() if name in parts)


def capabilities(parts: Collection[str], describes: bool) -> frozenset[str]:
    """Return what these parts can do; `describes` is whether there are words to describe pictures by."""
    sees = "image_encoder" in parts
    return frozenset(
        ["enhance", "inpaint", "interpolate", "mix", "outpaint"]
        + (["text_to_image", "steps", "tour", "attention"] if priors(parts) else [])
        + (["variations", "reconstruct", "text_diff", "dimensions"] if sees else [])
        + (["caption"] if sees and describes else [])
    )
