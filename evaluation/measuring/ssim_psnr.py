"""Pictures against what they should be: the work of `evaluation.ssim_psnr`."""

import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from evaluation.cli import command
from evaluation.cli.ssim_psnr import MODES, Options
from evaluation.metrics.lpips import Lpips
from evaluation.metrics.means import mean_of, notes_on
from evaluation.metrics.similarity import CAP, LEAST, SIGMA, WINDOW, Border, Likeness, compare
from evaluation.pictures.image_folder import FolderContents, measured_pictures
from evaluation.pictures.loading import canonical, open_file
from evaluation.pictures.manifest import read_manifest
from evaluation.pictures.survey import survey
from evaluation.prompts.blocks import linked
from evaluation.reporting import report
from evaluation.reporting.measure import Better, Measure
from evaluation.reporting.report import Report

# What is held against the reference: the picture, and anchors that tell what its numbers are worth.
PICTURE, MEAN_COLOUR, UNRELATED = "picture", "mean_colour", "unrelated"
SIDES = {PICTURE: "", MEAN_COLOUR: "anchor, mean colour", UNRELATED: "anchor, unrelated picture"}

T = TypeVar("T")
Pair = tuple[Image.Image, Image.Image]  # what is measured, what it should be
Scored = tuple[Likeness, float | None]  # and the LPIPS distance, where there are weights


def measure_pairs(options: Options) -> Report:
    """Measure SSIM, PSNR and LPIPS of two folders, or of pictures drawn again; ValueError says what is wrong."""
    device = command.chosen_device(options.device)
    mode = options.mode or ("pairs" if options.images else "reconstruction")
    if (mode == "pairs") != (options.images is not None):
        raise ValueError(f"The mode {mode} is {MODES[mode]}: {'name' if mode == 'pairs' else 'leave out'} --images.")
    if mode == "pairs" and options.checkpoint is not None:
        raise ValueError("Two folders are compared without a checkpoint: leave out --checkpoint, or --images.")
    lpips = Lpips(options.lpips_weights, device) if options.lpips_weights else None
    facts: dict[str, object] = {"mode": mode, "meaning": MODES[mode], "reference": str(options.reference)}
    warnings: list[str] = []
    if mode == "pairs":
        sides = measured_pictures(str(options.images)), measured_pictures(options.reference)
        both = _sample(pair_by_name(*sides), options)
        real_files, files = [real for _, real in both], both
        known = _captions(*(side.folder for side in sides))
        warnings += sides[0].notes + sides[1].notes + _same_prompts(*(side.folder for side in sides), facts)
        pairs = (
            (canonical(open_file(left), options.size), canonical(open_file(right), options.size))
            for left, right in both
        )
    else:
        real = measured_pictures(options.reference)
        real_files = _sample(real.pictures, options)
        files, known = [(file,) for file in real_files], _captions(real.folder)
        warnings += real.notes
        from evaluation.drawing.redrawing import redraw  # only these modes load a model

        pairs, made_by = redraw(real_files, mode, options, device)
        facts |= made_by
    sizes: list[tuple[int, int]] = []
    pairs = _noted(pairs, real_files, sizes)
    if lpips is None:
        warnings.append("LPIPS is left out: name torchvision's AlexNet or VGG16 weights with --lpips-weights FILE.")
    shown = [[known[file] for file in one if file in known] for one in files]
    blocks = linked([(*one, *captions) for one, captions in zip(files, shown, strict=True)])
    subjects = linked([(one[-1], *captions) for one, captions in zip(files, shown, strict=True)])
    how = {"blocks": blocks, "subjects": subjects}
    measures = measure(pairs, len(real_files), lpips, options.seed, options.border, **how)
    warnings += [*notes_on(blocks), *_too_small(real_files, sizes)]
    if subjects is not None and not subjects.any():
        warnings.append("All pairs are of one picture or prompt: there is no unrelated picture to hold against them.")
    for place, side in zip(filter(None, (options.images, options.reference)), zip(*files, strict=True), strict=True):
        warnings += survey(place.name, side, options.size).notes
    facts |= {"pictures": len(real_files), "size": _size(sizes), "seed": options.seed}
    title = f"{Path(options.images or options.reference).name}: {MODES[mode]}"
    return Report(title, tuple(measures), report.provenance(device=device, **facts), tuple(warnings))


def pair_by_name(images: FolderContents, reference: FolderContents) -> list[tuple[Path, Path]]:
    """Pair the files of both folders whose names differ in their endings only; ValueError when one has no partner."""
    left, right = (_by_name(found) for found in (images, reference))
    for named, others, folder in ((left, right, reference.folder), (right, left, images.folder)):
        if alone := sorted(set(named) - set(others)):
            raise ValueError(
                f"{folder} has no partner for {len(alone):,} pictures, the first is {named[alone[0]]}: both folders "
                "must hold the same names."
            )
    return [(left[name], right[name]) for name in sorted(left)]


def _by_name(found: FolderContents) -> dict[str, Path]:
    """Return the pictures by their paths without endings, accents written one way: a Mac writes them another."""
    named: dict[str, Path] = {}
    for path in found.pictures:
        name = unicodedata.normalize("NFC", path.relative_to(found.folder).with_suffix("").as_posix())
        if name in named:
            raise ValueError(f"{path} and {named[name].name} pair with the same picture: remove one.")
        named[name] = path
    return named


def measure(
    pairs: Iterator[Pair],
    total: int,
    lpips: Lpips | None = None,
    seed: int = 0,
    border: Border = "inside",
    *,
    blocks: np.ndarray | None = None,
    subjects: np.ndarray | None = None,
) -> list[Measure]:
    """Return all measures over the pairs, each with its anchors; ValueError for fewer than two pairs.

    Args:
        blocks: (total,) which pairs hang together, as in `mean_of`; None where none do.
        subjects: (total,) what the real pictures show: those of one number are not unrelated to each other, and where
            there is but one there is no such anchor. None where each shows something else.
    """
    if total < 2:
        raise ValueError(f"A comparison needs at least two pairs, not {total}.")
    of = np.arange(total) if subjects is None else subjects
    strangers = len(np.unique(of)) > 1
    found: dict[str, list[Scored]] = {key: [] for key in SIDES}

    def add(side: str, picture: Image.Image, real: Image.Image) -> None:
        found[side].append((compare(picture, real, border), None if lpips is None else lpips(picture, real)))

    # Each picture is held against the last one before it that shows something else, those at the beginning against the
    # last such one of all.
    waiting: list[Image.Image] = []
    before = stranger = None
    for place, (picture, real) in enumerate(tqdm(pairs, total=total, unit="pair", disable=not sys.stderr.isatty())):
        add(PICTURE, picture, real)
        add(MEAN_COLOUR, _flat(real), real)
        stranger = before if place and of[place] != of[place - 1] else stranger
        if stranger is not None:
            add(UNRELATED, stranger.resize(real.size, Image.Resampling.BICUBIC), real)
        elif strangers:
            waiting.append(real)
        before = real
    last, later = before if of[-1] != of[0] else stranger, found[UNRELATED]
    found[UNRELATED] = []
    for real in waiting:
        assert last is not None, "there is a picture of something else"
        add(UNRELATED, last.resize(real.size, Image.Resampling.BICUBIC), real)
    found[UNRELATED] += later  # in the order of the pairs
    return [
        one for side, scored in found.items() if scored for one in _measures(side, scored, seed, border, blocks, lpips)
    ]


def _measures(
    side: str, scored: Sequence[Scored], seed: int, border: Border, blocks: np.ndarray | None, lpips: Lpips | None
) -> Iterator[Measure]:
    anchor, likenesses = side != PICTURE, [one for one, _ in scored]
    better: Better = "" if anchor else "higher"
    mean = partial(mean_of, seed=seed, blocks=blocks)
    rule = "border left out" if border == "inside" else "border reflected"
    window = {} if anchor else {"window": f"Gaussian {WINDOW}, sigma {SIGMA}, {rule}"}
    name = ("ssim", "SSIM") if border == "inside" else ("ssim_reflected", "SSIM (border reflected)")
    yield mean(*_name(*name, side), [one.ssim for one in likenesses], better, details=window)
    large = {index: one.ms_ssim for index, one in enumerate(likenesses) if one.ms_ssim is not None}
    if large:
        own = None if blocks is None else blocks[list(large)]
        yield mean_of(*_name("ms_ssim", "MS-SSIM", side), list(large.values()), better, seed=seed, blocks=own)
    same = sum(one.identical for one in likenesses)
    details = {} if anchor else {"mean": "over pictures"}
    if same:
        details["identical"] = f"{same}, each as {CAP:g} dB"
    yield mean(*_name("psnr", "PSNR in dB", side), [one.psnr for one in likenesses], better, details=details)
    if lpips is not None:
        facts = {} if anchor else {"network": lpips.name, "sha256": lpips.sha256[:12]}
        far = [distance for _, distance in scored if distance is not None]
        yield mean(*_name("lpips", "LPIPS", side), far, "" if anchor else "lower", details=facts)


def _name(key: str, label: str, side: str) -> tuple[str, str]:
    """Return the key and the label of a measure of the pictures, or of an anchor."""
    return (key, label) if side == PICTURE else (f"{key}_{side}", f"{label} ({SIDES[side]})")


def _captions(*folders: Path) -> dict[Path, str]:
    """Return the captions that drawn folders state of their pictures."""
    manifests = {folder: read_manifest(folder) for folder in folders}
    return {folder / row.file: row.caption for folder, one in manifests.items() if one for row in one.rows}


def _flat(picture: Image.Image) -> Image.Image:
    """Return the mean colour of the picture, in its size."""
    mean = np.asarray(picture, dtype=np.float64).mean((0, 1)).round().astype(int)
    return Image.new("RGB", picture.size, tuple(int(level) for level in mean))


def _same_prompts(images: Path, reference: Path, facts: dict[str, object]) -> list[str]:
    """Note both manifests; a warning when two drawn folders are of other prompts or seeds."""
    left, right = read_manifest(images), read_manifest(reference)
    for name, manifest in (("images_generation", left), ("reference_generation", right)):
        if manifest is not None:
            facts[name] = manifest.model_dump(mode="json")
    if left is None or right is None:
        return []
    if [(row.caption, row.seed) for row in left.rows] != [(row.caption, row.seed) for row in right.rows]:
        return ["The folders were drawn from other prompts or seeds: these pairs have nothing in common."]
    return []


def _noted(pairs: Iterator[Pair], files: Sequence[Path], sizes: list[tuple[int, int]]) -> Iterator[Pair]:
    """Yield the pairs, their sizes noted; ValueError names one of two sizes."""
    for file, (picture, real) in zip(files, pairs, strict=True):
        if picture.size != real.size:
            mine, other = ("×".join(map(str, one.size)) for one in (real, picture))
            raise ValueError(f"{file} has {mine} pixels, and its partner {other}: bring both to one --size.")
        sizes.append(real.size)
        yield picture, real


def _too_small(files: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Of which pictures there is no MS-SSIM."""
    small = [file for file, size in zip(files, sizes, strict=True) if min(size) < LEAST]
    if not small:
        return []
    which = "all" if len(small) == len(files) else f"{len(small):,} of {len(files):,} pictures (as {small[0].name})"
    return [f"MS-SSIM is left out for {which}: its five scales need {LEAST} pixels a side."]


def _size(sizes: Sequence[tuple[int, int]]) -> str:
    """Return "256×256", or the smallest and the largest where they differ."""
    ends = {min(sizes, key=math.prod), max(sizes, key=math.prod)}
    return " to ".join(f"{width}×{height}" for width, height in sorted(ends, key=math.prod))


def _sample(files: Sequence[T], options: Options) -> Sequence[T]:
    if options.num is None:
        chosen = files
    elif not 2 <= options.num <= len(files):
        raise ValueError(f"--num must be from 2 to the {len(files):,} pictures that there are, not {options.num}.")
    else:
        order = np.random.default_rng(options.seed).permutation(len(files))[: options.num]
        chosen = [files[index] for index in sorted(order)]
    if len(chosen) < 2:
        raise ValueError(f"A comparison needs at least two pairs, not {len(chosen)}.")
    return chosen
