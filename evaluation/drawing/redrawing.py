"""Real pictures drawn again by a checkpoint: from their embedding, from their own noise too, or enlarged."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from dalle2.families import EMBEDDED, load
from dalle2.images import square
from dalle2.model import UnclipModel
from dalle2.settings import Settings, Step
from evaluation.cli.ssim_psnr import Mode, Options
from evaluation.drawing.enlargement import enlarged
from evaluation.pictures.loading import canonical, open_file

MANY = 8  # pictures decoded at a time
NEEDS = {"reconstruction": "variations", "inversion": "reconstruct", "upsampler": "enhance"}

Pair = tuple[Image.Image, Image.Image]  # what is drawn, the real one


def redraw(
    files: Sequence[Path], mode: Mode, options: Options, device: str
) -> tuple[Iterator[Pair], dict[str, object]]:
    """Return what the checkpoint makes of each real picture, beside it in the checkpoint's size, and by what.

    Picture i has the seed `options.seed` + i. ValueError for a mode that the checkpoint cannot do.
    """
    if options.at == "decoder" and mode == "upsampler":
        raise ValueError("The upsampler alone leaves the decoder out: leave out --at decoder.")
    model = load(options.checkpoint or EMBEDDED, device)
    model.require(NEEDS[mode])
    settings = model.settings.for_inversion(options.steps) if mode == "inversion" else model.settings
    facts: dict[str, Any] = {"checkpoint": model.checkpoint, "checkpoint_hash": model.checkpoint_hash}
    facts |= {"settings": settings.to_dict(), "at": options.at} | (
        {"refinements": options.refinements} if mode == "inversion" else {}
    )
    return _drawn(model, files, mode, options, settings), facts


def _drawn(
    model: UnclipModel, files: Sequence[Path], mode: Mode, options: Options, settings: Settings
) -> Iterator[Pair]:
    for start in range(0, len(files), MANY):
        real = [canonical(open_file(path), model.picture_size) for path in files[start : start + MANY]]
        seeds = [options.seed + start + index for index in range(len(real))]
        if mode == "upsampler":
            made = enlarged(model, real, seeds)
        else:
            embeddings = model.embed_image(real)
            noise = None
            if mode == "inversion":
                noise = model.invert(real, embeddings, settings=settings, refinements=options.refinements)
            small: list[Image.Image] = []
            made = model.decode(embeddings, seeds, None, settings, lambda step, to=small: _keep(step, to), noise)
            if options.at == "decoder":
                made, real = small, [square(one, small[0].width) for one in real]
        yield from zip(made, real, strict=True)


def _keep(step: Step, small: list[Image.Image]) -> None:
    """Of what the decoder reports, its own picture at the end."""
    if step.stage == "decoder" and step.index == step.total:
        small += step.pictures()
