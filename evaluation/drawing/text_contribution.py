"""The same prompts and seeds drawn with the text left out here and there."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from dalle2 import images
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.seeds import generators
from dalle2.settings import Settings, check_prompt, check_seed
from evaluation.pictures.manifest import is_whole
from evaluation.prompts.prompt_sets import PromptSet
from evaluation.reporting.report import write_text

HEAD = "text_contribution.json"
# Keys of the ways, and what readers see.
FULL, PRIOR, DECODER, NEITHER, SHUFFLED, REAL = ("full", "prior", "decoder", "neither", "shuffled", "real_embedding")
WAYS = {
    FULL: "text in prior and decoder",
    PRIOR: "text in the prior alone",
    DECODER: "text in the decoder alone",
    NEITHER: "no text",
    SHUFFLED: "another prompt's text",
    REAL: "no text, the real picture's embedding",
}


@dataclass(frozen=True)
class DrawnPictures:
    """The pictures of each way, in the order of the prompts, and the weights that drew them."""

    files: Mapping[str, Sequence[Path]]
    checkpoint_hash: str
    picture_size: int


def draw(
    prompts: PromptSet,
    out: Path,
    checkpoint: str,
    *,
    seed: int = 0,
    batch_size: int = 8,
    device: str = "cpu",
    draft: bool = False,
) -> DrawnPictures:
    """Draw what `out` lacks of every way; ValueError for prompts that cannot be drawn, and for pictures of another run.

    The embedding of the real picture is a way only where every prompt names one, and the checkpoint sees pictures.
    """
    captions = [check_prompt(prompt.caption) for prompt in prompts.prompts]
    if len(set(captions)) < 2:
        raise ValueError("The contribution of the text needs at least two different prompts.")
    check_seed(seed + len(captions) - 1)
    model = load(checkpoint, device=device)
    model.require("text_to_image")
    settings = model.settings.for_draft() if draft else model.settings
    real = [prompt.reference for prompt in prompts.prompts if prompt.reference is not None]
    seen = len(real) == len(captions) and "variations" in model.capabilities
    ways = [way for way in WAYS if way != REAL or seen]
    head = {"checkpoint": model.checkpoint_hash, "prompts": prompts.sha256, "seed": seed, "batch_size": batch_size}
    _require_same(out, {**head, "settings": settings.to_dict()})
    files = {way: [out / way / f"{index:06d}.png" for index in range(len(captions))] for way in ways}
    others = [captions[index] for index in _others(captions, seed)]
    total = len(ways) * len(captions)
    with tqdm(total=total, desc="drawing", unit=" pictures", disable=not sys.stderr.isatty()) as bar:
        for way, paths in files.items():
            (out / way).mkdir(parents=True, exist_ok=True)
            for first in range(0, len(captions), batch_size):
                some = slice(first, first + batch_size)
                if not all(map(is_whole, paths[some])):
                    seeds = [seed + index for index in range(len(captions))[some]]
                    texts = (others if way == SHUFFLED else captions)[some]
                    pictures = _drawn(model, way, texts, seeds, settings, real[some])
                    for path, picture in zip(paths[some], pictures, strict=True):
                        images.save(picture, path)
                bar.update(len(paths[some]))
    return DrawnPictures(files, model.checkpoint_hash, model.side(settings))


def _drawn(
    model: UnclipModel, way: str, texts: Sequence[str], seeds: Sequence[int], settings: Settings, real: Sequence[Path]
) -> list[Image.Image]:
    """Draw a batch: the prior reads the texts, or nothing, and so does the decoder."""
    blank = [""] * len(texts)
    read_by_prior, read_by_decoder = way in (FULL, PRIOR, SHUFFLED), way in (FULL, DECODER, SHUFFLED)
    noise = generators(seeds)  # the decoder goes on where the prior left off, as in `TextToImage`
    embeddings = model.embed_prompt(texts if read_by_prior else blank, noise, settings)
    if way == REAL:  # of which the prior draws nothing, but must take as many random numbers
        embeddings = model.embed_image([images.open_picture(path) for path in real])
    return model.decode(embeddings, noise, texts if read_by_decoder else None, settings)


def _others(captions: Sequence[str], seed: int) -> Iterator[int]:
    """Yield for each prompt the index of another caption: the next different one in a shuffled circle."""
    circle = np.random.default_rng(seed).permutation(len(captions)).tolist()
    place = {index: position for position, index in enumerate(circle)}
    for index, caption in enumerate(captions):
        following = place[index] + 1
        while captions[circle[following % len(circle)]] == caption:
            following += 1
        yield circle[following % len(circle)]


def _require_same(out: Path, head: Mapping[str, object]) -> None:
    """Note what the pictures are drawn from; ValueError where those that are there were drawn from anything else."""
    path = out / HEAD
    text = json.dumps(head, indent=2, sort_keys=True) + "\n"
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise ValueError(f"{out} holds other things: name another folder with --out.")
        out.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise ValueError(f"{out} was drawn from other prompts, weights, seeds or settings: name another folder.")
