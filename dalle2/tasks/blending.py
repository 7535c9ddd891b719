"""Between and beyond contents: interpolation, mixes, text diffs."""

from collections.abc import Sequence
from typing import Literal

import torch
from PIL import Image

from dalle2 import embeddings as maths
from dalle2.settings import MAX_FRAMES, STRENGTHS, OnStep, Settings, Step, check_prompt, check_seed
from dalle2.verbs import Verbs, generators, name_of


def interpolate(  # noqa: PLR0913
    model: Verbs,
    ends: Sequence[str | Image.Image],
    frames: int | Sequence[float],
    seed: int,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    noise: Literal["fixed", "slerp"] = "fixed",
    loop: bool = False,
) -> list[Image.Image]:
    """Pictures on the way through two or more pictures or prompts (paper, section 3.2).

    `frames` is how many, evenly, or their positions from 0 to 1. With `noise` "fixed" all frames share the seed's
    noise, so that only the content moves; with "slerp" the ends are pictures, and the noise goes from one's own
    to the next one's. With `loop` the way leads back to the first end, which is not repeated.
    """
    model.require("interpolation")
    if len(ends) < 2:
        raise ValueError("An interpolation needs at least two ends, pictures or prompts.")
    if noise not in ("fixed", "slerp"):
        raise ValueError(f"The noise of an interpolation is fixed or slerp, not {noise!r}.")
    positions = _positions(frames, loop)
    seeds = [seed] * len(positions)
    generator = generators(seeds)
    start = None
    if noise == "slerp":
        settings = model.retracing(settings)
        if any(isinstance(end, str) for end in ends):
            raise ValueError("Only a picture has a noise of its own: with prompts among the ends, leave it fixed.")
    embeddings = model.embed(ends, seed, settings, on_step)
    if noise == "slerp":
        own = model.invert(ends, embeddings, None, settings, on_step)
        start = maths.path(_closed(own, loop).flatten(1), positions).unflatten(1, own.shape[1:])
    pictures = model.decode(maths.path(_closed(embeddings, loop), positions), generator, None, settings, on_step, start)
    shared = {"ends": [name_of(end) for end in ends], "noise": noise, "loop": loop}
    details = [{**shared, "position": position} for position in positions]
    return model.sign("interpolation", pictures, seeds, settings, details)


def mix(
    model: Verbs,
    parts: Sequence[tuple[str | Image.Image, float]],
    seeds: Sequence[int],
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """Pictures of several pictures or prompts at once, by weight, one for each seed.

    A negative weight takes a content away; the weights may not sum to zero.
    """
    model.require("mix")
    if not parts:
        raise ValueError("A mix needs at least one picture or prompt.")
    contents, weights = zip(*parts, strict=True)
    generator = generators(seeds)
    embeddings = torch.stack([maths.mix(model.embed(contents, seed, settings, on_step), weights) for seed in seeds])
    pictures = model.decode(embeddings, generator, None, settings, on_step)
    named = [[name_of(content), weight] for content, weight in parts]
    return model.sign("mix", pictures, seeds, settings, [{"parts": named}] * len(seeds))


def text_diff(  # noqa: PLR0913
    model: Verbs,
    picture: Image.Image,
    new: str,
    seed: int,
    old: str | None = None,
    strengths: Sequence[float] | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    way: Literal["prior", "slerp"] | None = None,
) -> list[Image.Image]:
    """The picture moved from what `old` says (None: from nothing said) to what `new` says (paper, section 3.3).

    One picture for each strength, by default those of STRENGTHS; 0 is the picture as the decoder sees it.

    The way "slerp" is the paper's: the embedding is turned toward the difference of the texts, which is all that is
    left at 1 (the paper goes to 0.25 to 0.5), and the decoder starts from the picture's own noise, which keeps its
    composition. The way "prior" lets the diffusion prior tell the embedding anew (see `Verbs.reword`) while the noise
    goes from the picture's own to the seed's, because a new content may need another composition. Without a way it is
    "prior" where there is a diffusion prior.

    The decoder's guidance grows with the strength, from none to that of the settings: a reconstruction needs none, and
    a new content much.
    """
    model.require("text_diff")
    way = way or ("prior" if "diffusion" in model.priors else "slerp")
    if way not in STRENGTHS:
        raise ValueError(f"The way of a text diff is {' or '.join(STRENGTHS)}, not {way!r}.")
    strengths = STRENGTHS[way] if strengths is None else strengths
    if not 1 <= len(strengths) <= MAX_FRAMES or not all(0 <= strength <= 1 for strength in strengths):
        raise ValueError(f"The strengths of a text diff are 1 to {MAX_FRAMES} numbers from 0 to 1.")
    new, old = check_prompt(new), "" if old is None else check_prompt(old)
    settings = settings or model.settings.rewording()
    unguided = model.retracing(settings.guiding(1.0))
    check_seed(seed)
    embedding = model.embed_image([picture])
    texts = model.embed_text([new, old])
    direction = maths.text_diff(texts[:1], texts[1:], embedding.norm(dim=-1, keepdim=True))
    noise = model.invert([picture], embedding, None, unguided, on_step)
    if way == "slerp":
        moved = torch.cat([maths.slerp(embedding, direction, strength) for strength in strengths])
        noise = noise.expand(len(moved), *noise.shape[1:])
    else:
        moved = model.reword(embedding, old, new, strengths, settings, on_step)
        fresh = torch.randn(noise.shape, generator=generators([seed])[0])
        ends = torch.cat([noise, fresh]).flatten(1)
        noise = maths.path(ends, strengths).unflatten(1, noise.shape[1:])
    pictures: list[Image.Image] = []
    for place, strength in enumerate(strengths):
        guided = settings.guiding(1 + strength * (settings.decoder.guidance_scale - 1))
        told = on_step and _part(on_step, place, len(strengths), tuple(pictures))
        row = slice(place, place + 1)
        pictures += model.decode(moved[row], generators([seed]), None, guided, told, noise[row])
    shared = {"picture": name_of(picture), "new": new, "old": old, "way": way}
    return model.sign(
        "text_diff", pictures, [seed] * len(strengths), settings, [{**shared, "strength": s} for s in strengths]
    )


def _part(on_step: OnStep, place: int, parts: int, before: Sequence[Image.Image]) -> OnStep:
    """What hears of one part of several as of a share of the whole, with the pictures that were done before."""

    def told(step: Step) -> None:
        index, total = place * step.total + step.index, parts * step.total
        on_step(Step(step.stage, index, total, lambda: [*before, *step.pictures()]))

    return told


def _positions(frames: int | Sequence[float], loop: bool) -> list[float]:
    if not isinstance(frames, int):
        return [float(position) for position in frames]
    if frames < 2:
        raise ValueError("An interpolation needs at least two frames.")
    if frames > MAX_FRAMES:
        raise ValueError(f"An interpolation has at most {MAX_FRAMES} frames, not {frames:,}.")
    return [index / (frames if loop else frames - 1) for index in range(frames)]


def _closed(rows: torch.Tensor, loop: bool) -> torch.Tensor:
    """The rows, and with `loop` the first one again after the last."""
    return torch.cat([rows, rows[:1]]) if loop else rows
