"""How often a judge recognises what a checkpoint draws of each concept of its vocabulary."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from dalle2.datasets.phrases import styled
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.understanding.recognition import BADLY, WELL, Recognition
from dalle2.understanding.vocabulary import Entry, Vocabulary
from evaluation.networks.clip import Clip

OTHERS = 99  # captions that a picture's own one is told from


def measure(
    folder: Path, clip: Clip, out: Path, seeds: Sequence[int], num: int | None = None
) -> tuple[Recognition, bool]:
    """Draw and judge each concept that `out` lacks, `num` at most -> what was found, and whether it is of all.

    ValueError where `out` is of other weights, seeds or judge, or the checkpoint has no vocabulary.
    """
    vocabulary = Vocabulary.read(folder)
    if vocabulary is None:
        raise ValueError(f"{folder} has no vocabulary: there are no concepts to draw.")
    clip.require()
    model = load(folder)
    styles = ("", *model.styles[:1])
    head = {"checkpoint_hash": model.checkpoint_hash, "judge": clip.sha256, "seeds": list(seeds)}
    done = _done(out, head)
    entries = vocabulary.entries[:num]
    captions = _prototypes(clip, vocabulary.entries, model.styles)
    with out.open("a", encoding="utf-8") as lines:
        for number, entry in enumerate(tqdm(entries, unit="concept", disable=not sys.stderr.isatty())):
            if entry.code not in done:
                score = recognised(clip.embed_pictures(_pictures(model, entry, styles, seeds)), captions, number)
                done[entry.code] = round(float(score.mean()), 3)
                print(json.dumps({"concept": entry.code, "score": done[entry.code]}), file=lines, flush=True)
    rates = {entry.code: done[entry.code] for entry in entries}
    found = Recognition(model.checkpoint_hash, clip.sha256, len(styles) * len(seeds), rates)
    return found, len(entries) == len(vocabulary.entries)


def recognised(pictures: np.ndarray, captions: np.ndarray, own: int) -> np.ndarray:
    """Return (pictures,) probability that a picture's own caption is nearer to it than `OTHERS` drawn by chance are.

    Args:
        pictures: (pictures, dim) of length one. captions: (captions, dim). own: the row of the right caption.
    """
    cosines = pictures @ captions.T
    nearer = (cosines > cosines[:, [own]]).sum(1)
    return (1 - nearer / max(len(captions) - 1, 1)) ** OTHERS


def _pictures(model: UnclipModel, entry: Entry, styles: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
    prompts = [styled(entry.label, style) if style else entry.label for style in styles]
    asked = [(prompt, seed) for prompt in prompts for seed in seeds]
    return model.text_to_image([prompt for prompt, _ in asked], seeds=[seed for _, seed in asked], literal=True)


def _prototypes(clip: Clip, entries: Sequence[Entry], styles: Sequence[str]) -> np.ndarray:
    """(concepts, dim) what the judge makes of each label, over all styles."""
    asked = [[styled(entry.label, style) for style in styles] or [entry.label] for entry in entries]
    rows = clip.embed_captions([caption for captions in asked for caption in captions])
    means = rows.reshape(len(entries), -1, rows.shape[1]).mean(1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _done(out: Path, head: dict[str, Any]) -> dict[str, float]:
    """Read the concepts that the file holds; a new file is begun with what it is of. Half a line is cut off."""
    data, begun = out.read_bytes() if out.is_file() else b"", (json.dumps(head) + "\n").encode()
    if begun.startswith(data) and data != begun:  # no file, or the beginning of one
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(begun)
        return {}
    whole = data[: data.rfind(b"\n") + 1]
    first, *lines = whole.split(b"\n")
    if _parsed(first) != head:
        raise ValueError(f"{out} is of other weights, another judge or other seeds: name another file, or remove it.")
    if len(whole) < len(data):
        os.truncate(out, len(whole))
    return {row["concept"]: row["score"] for row in map(json.loads, lines[:-1])}


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None


def summary_line(found: Recognition) -> str:
    """Return how many concepts come out well, and how many badly."""
    scores = np.array(list(found.rates.values()))
    return (
        f"{len(scores):,} concepts, {found.pictures} pictures each: recognised among {OTHERS + 1} in "
        f"{scores.mean():.1%}; below {BADLY} are {(scores < BADLY).mean():.1%}, from {WELL} on "
        f"{(scores >= WELL).mean():.1%}."
    )
