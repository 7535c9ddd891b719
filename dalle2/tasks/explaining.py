"""Why a picture looks as it does: its embedding axis by axis, its steps one by one, its words on its pixels."""

from collections.abc import Sequence

import torch
from PIL import Image

from dalle2 import embeddings as maths
from dalle2 import images
from dalle2.settings import MAX_FRAMES, OnStep, Settings, Step, check_prompt
from dalle2.verbs import Verbs, generators, name_of

# As many embeddings as the prior imagines without a word, to see in which directions embeddings differ.
IMAGINED = 256


def dimensions(
    model: Verbs,
    picture: Image.Image,
    counts: Sequence[int],
    seed: int,
    others: Sequence[Image.Image] | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """The picture drawn from the first `counts` principal axes of its embedding (paper, section 4 and figure 7).

    The axes are those of the embeddings of `others`; without them, of IMAGINED embeddings that the prior draws
    for no text at all. A count above their number means all of them.
    """
    model.require("variations")
    if not 1 <= len(counts) <= MAX_FRAMES or not all(isinstance(k, int) and k >= 0 for k in counts):
        raise ValueError(f"Name 1 to {MAX_FRAMES} numbers of axes, each 0 or more.")
    seeds = [seed] * len(counts)
    generator = generators(seeds)
    embedding = model.embed_image([picture])[0]
    mean, axes = maths.principal_axes(_imagined(model, settings) if others is None else model.embed_image(others))
    rows = torch.stack([maths.project(embedding, mean, axes[:count]) for count in counts])
    pictures = model.decode(rows, generator, None, settings, on_step)
    details = [{"picture": name_of(picture), "axes": min(count, len(axes))} for count in counts]
    return model.sign("dimensions", pictures, seeds, settings, details)


def steps(
    model: Verbs,
    prompt: str,
    seed: int,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """The clean picture as predicted at each step of the decoder and of the upsampler, at the picture's size."""
    model.require("text_to_image")
    prompt, predicted, details = check_prompt(prompt), [], []

    def collect(step: Step) -> None:
        for picture in step.pictures():
            side = model.picture_size
            predicted.append(picture.resize((side, side), Image.Resampling.NEAREST))
            details.append({"prompt": prompt, "stage": step.stage, "step": step.index})
        if on_step:
            on_step(step)

    noise = generators([seed])
    model.decode(model.embed_prompt([prompt], noise, settings, on_step), noise, [prompt], settings, collect)
    return model.sign("steps", predicted, [seed] * len(predicted), settings, details)


def attention(
    model: Verbs,
    prompt: str,
    seed: int,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """The picture of the prompt, then for each word the same picture lit where the decoder read that word.

    Punctuation is read by the decoder as well, and not shown.
    """
    model.require("attention")
    prompt = check_prompt(prompt)
    picture, looked = model.attend(prompt, seed, settings, on_step)
    maps = zip(looked.words, looked.maps.numpy(), strict=True)
    shown = [(word, heat) for word, heat in maps if any(map(str.isalnum, word))]
    pictures = [picture, *(images.lit(picture, heat) for _, heat in shown)]
    details = [{"prompt": prompt, "word": word} for word in ("", *(word for word, _ in shown))]
    return model.sign("attention", pictures, [seed] * len(pictures), settings, details)


def _imagined(model: Verbs, settings: Settings | None) -> torch.Tensor:
    """What the prior draws for the empty prompt: the spread of all pictures that it knows."""
    model.require("text_to_image")
    batch = 32
    rows = [
        model.embed_prompt([""] * batch, range(first, first + batch), settings) for first in range(0, IMAGINED, batch)
    ]
    return torch.cat(rows)
