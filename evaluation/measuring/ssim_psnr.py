"""Pictures against what they should be: the work of `evaluation.ssim_psnr`."""

import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from evaluation.cli import command
from evaluation.cli.ssim_psnr import MODES, Options
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.lpips import Lpips
from evaluation.metrics.similarity import CAP, LEAST, SIGMA, WINDOW, Border, Likeness, compare
from evaluation.pictures.image_folder import FolderContents, measured_pictures
from evaluation.pictures.loading import canonical, open_file
from evaluation.pictures.manifest import read_manifest
from evaluation.reporting import report
from evaluation.reporting.measure import Better, Measure
from evaluation.reporting.report import Report

# What is held against the reference: the picture, and anchors that tell what its numbers are worth.
PICTURE, MEAN_COLOUR, UNRELATED = "picture", "mean_colour", "unrelated"
SIDES = {PICTURE: "", MEAN_COLOUR: "anchor, mean colour", UNRELATED: "anchor, unrelated picture"}

T = TypeVar("T")
Pair = tuple[Image.Image, Image.Image]  # what is measured, what it should be


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
        real_files = [real for _, real in both]
        warnings += sides[0].notes + sides[1].notes + _same_prompts(*(side.folder for side in sides), facts)
        pairs = (
            (canonical(open_file(left), options.size), canonical(open_file(right), options.size))
            for left, right in both
        )
    else:
        real = measured_pictures(options.reference)
        real_files = _sample(real.pictures, options)
        warnings += real.notes
        from evaluation.drawing.redrawing import redraw  # only these modes load a model

        pairs, made_by = redraw(real_files, mode, options, device)
        facts |= made_by
    sizes: list[tuple[int, int]] = []
    pairs = _noted(pairs, real_files, sizes)
    if lpips is None:
        warnings.append("LPIPS is left out: name torchvision's AlexNet or VGG16 weights with --lpips-weights FILE.")
    measures = measure(pairs, len(real_files), lpips, options.seed, options.border)
    warnings += _too_small(real_files, sizes)
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
    pairs: Iterator[Pair], total: int, lpips: Lpips | None = None, seed: int = 0, border: Border = "inside"
) -> list[Measure]:
    """Return all measures over the pairs, each with its anchors; ValueError for fewer than two pairs."""
    if total < 2:
        raise ValueError(f"A comparison needs at least two pairs, not {total}.")
    found: dict[str, list[Likeness]] = {key: [] for key in SIDES}
    far: dict[str, list[float]] = {name: [] for name in found}
    # Each picture is held against the one before it, the first against the last.
    first: Image.Image | None = None
    before: Image.Image | None = None
    for picture, real in tqdm(pairs, total=total, unit="pair", disable=not sys.stderr.isatty()):
        others = {PICTURE: picture, MEAN_COLOUR: _flat(real)}
        if before is not None:
            others[UNRELATED] = before.resize(real.size, Image.Resampling.BICUBIC)
        _add(found, far, others, real, lpips, border)
        first, before = first or real, real
    assert first is not None and before is not None, "there are two pairs or more"
    _add(found, far, {UNRELATED: before.resize(first.size, Image.Resampling.BICUBIC)}, first, lpips, border)
    measures = []
    for side, likenesses in found.items():
        measures += _measures(side, likenesses, far[side], lpips, seed, border)
    return measures


def _add(
    found: dict[str, list[Likeness]],
    far: dict[str, list[float]],
    pictures: dict[str, Image.Image],
    real: Image.Image,
    lpips: Lpips | None,
    border: Border,
) -> None:
    for name, picture in pictures.items():
        found[name].append(compare(picture, real, border))
        if lpips is not None:
            far[name].append(lpips(picture, real))


def _measures(
    side: str, likenesses: list[Likeness], far: list[float], lpips: Lpips | None, seed: int, border: Border
) -> Iterator[Measure]:
    anchor = side != PICTURE
    better = "" if anchor else "higher"
    rule = "border left out" if border == "inside" else "border reflected"
    window = {} if anchor else {"window": f"Gaussian {WINDOW}, sigma {SIGMA}, {rule}"}
    name = ("ssim", "SSIM") if border == "inside" else ("ssim_reflected", "SSIM (border reflected)")
    yield _mean(*name, side, [one.ssim for one in likenesses], better, window, seed)
    if large := [one.ms_ssim for one in likenesses if one.ms_ssim is not None]:
        yield _mean("ms_ssim", "MS-SSIM", side, large, better, {}, seed)
    same = sum(one.identical for one in likenesses)
    details = {} if anchor else {"mean": "over pictures"}
    if same:
        details["identical"] = f"{same}, each as {CAP:g} dB"
    yield _mean("psnr", "PSNR in dB", side, [one.psnr for one in likenesses], better, details, seed)
    if lpips is not None:
        facts = {} if anchor else {"network": lpips.name, "sha256": lpips.sha256[:12]}
        yield _mean("lpips", "LPIPS", side, far, "" if anchor else "lower", facts, seed)


def _mean(key: str, label: str, side: str, values: list[float], better: Better, details: dict, seed: int) -> Measure:
    if side != PICTURE:
        key, label = f"{key}_{side}", f"{label} ({SIDES[side]})"
    interval = mean_interval(values, seed) if len(values) > 1 else None
    numbers = np.array(values)
    return Measure(key, label, float(np.mean(numbers)), len(values), better, interval, details, values=numbers)


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
