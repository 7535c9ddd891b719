"""python -m evaluation.ssim_psnr: SSIM, MS-SSIM, PSNR and LPIPS of pairs that mean something.

    python -m evaluation.ssim_psnr --images A --reference B            two folders, paired by file name
    python -m evaluation.ssim_psnr --reference PHOTOS --checkpoint C   each decoded again from its own embedding
    … --mode inversion                                                 and from its own noise too (paper, section 3.1)
    … --mode inversion --at decoder                                    the same before the upsampler, at its size
    … --mode upsampler                                                 made a quarter of the size, and enlarged again

Two folders of one manifest's prompts and seeds compare two checkpoints or settings. A picture drawn from a caption
beside the caption's photograph is no such pair. The anchors tell what the numbers are worth: the flat mean colour of
the very picture often beats a drawing.
"""

import argparse
import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from dalle2.images import square
from dalle2.settings import Step
from evaluation.cli import command
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.lpips import Lpips
from evaluation.metrics.similarity import CAP, LEAST, SIGMA, WINDOW, Likeness, compare
from evaluation.pictures.image_folder import Found, canonical, measured_pictures, open_file
from evaluation.pictures.manifest import read_manifest
from evaluation.reporting import report
from evaluation.reporting.report import Measure, Report

MODES = {
    "pairs": "two folders, paired by file name",
    "reconstruction": "each picture decoded again from its own image embedding",
    "inversion": "the same from its own noise as well, found by DDIM inversion",
    "upsampler": "each picture made a quarter of the size, and enlarged by the upsampler alone",
}
ANCHORS = ("anchor, mean colour", "anchor, unrelated picture")
MANY = 8  # pictures decoded at a time

Pair = tuple[Image.Image, Image.Image]  # what is measured, what it should be


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with command.sentences(parser.prog):
        report.deliver(_measure(options), options.report)


def pair_by_name(images: Found, reference: Found) -> list[tuple[Path, Path]]:
    """The files of both folders whose names are the same but for their endings; ValueError when one has no partner."""
    left, right = (_by_name(found) for found in (images, reference))
    for named, others, folder in ((left, right, reference.folder), (right, left, images.folder)):
        if alone := sorted(set(named) - set(others)):
            raise ValueError(
                f"{folder} has no partner for {len(alone):,} pictures, the first is {named[alone[0]]}: both folders "
                "must hold the same names."
            )
    return [(left[name], right[name]) for name in sorted(left)]


def _by_name(found: Found) -> dict[str, Path]:
    """The pictures by their paths without endings, accents written one way: a Mac writes them another."""
    named: dict[str, Path] = {}
    for path in found.pictures:
        name = unicodedata.normalize("NFC", path.relative_to(found.folder).with_suffix("").as_posix())
        if name in named:
            raise ValueError(f"{path} and {named[name].name} pair with the same picture: remove one.")
        named[name] = path
    return named


def measure(pairs: Iterator[Pair], total: int, lpips: Lpips | None = None, seed: int = 0) -> list[Measure]:
    """All measures over the pairs, each with its anchors; ValueError for fewer than two pairs."""
    if total < 2:
        raise ValueError(f"A comparison needs at least two pairs, not {total}.")
    found: dict[str, list[Likeness]] = {"": [], **{anchor: [] for anchor in ANCHORS}}
    far: dict[str, list[float]] = {name: [] for name in found}
    # Each picture is held against the one before it, the first against the last.
    first = before = None
    for picture, real in tqdm(pairs, total=total, unit="pair", disable=not sys.stderr.isatty()):
        others = {"": picture, ANCHORS[0]: _flat(real)}
        if before is not None:
            others[ANCHORS[1]] = before.resize(real.size, Image.Resampling.BICUBIC)
        _add(found, far, others, real, lpips)
        first, before = first or real, real
    _add(found, far, {ANCHORS[1]: before.resize(first.size, Image.Resampling.BICUBIC)}, first, lpips)
    measures = []
    for name, likenesses in found.items():
        measures += _measures(f" ({name})" if name else "", likenesses, far[name], lpips, seed)
    return measures


def _add(
    found: dict[str, list[Likeness]],
    far: dict[str, list[float]],
    pictures: dict[str, Image.Image],
    real: Image.Image,
    lpips: Lpips | None,
) -> None:
    for name, picture in pictures.items():
        found[name].append(compare(picture, real))
        if lpips is not None:
            far[name].append(lpips(picture, real))


def _measures(
    suffix: str, likenesses: list[Likeness], far: list[float], lpips: Lpips | None, seed: int
) -> Iterator[Measure]:
    better = "" if suffix else "higher"
    window = f"Gaussian {WINDOW}, sigma {SIGMA}, border left out"
    yield _mean(f"SSIM{suffix}", [one.ssim for one in likenesses], better, {} if suffix else {"window": window}, seed)
    if large := [one.ms_ssim for one in likenesses if one.ms_ssim is not None]:
        yield _mean(f"MS-SSIM{suffix}", large, better, {}, seed)
    same = sum(one.identical for one in likenesses)
    details = {} if suffix else {"mean": "over pictures"}
    if same:
        details["identical"] = f"{same}, each as {CAP:g} dB"
    yield _mean(f"PSNR in dB{suffix}", [one.psnr for one in likenesses], better, details, seed)
    if lpips is not None:
        facts = {} if suffix else {"network": lpips.name, "sha256": lpips.sha256[:12]}
        yield _mean(f"LPIPS{suffix}", far, "" if suffix else "lower", facts, seed)


def _mean(name: str, values: list[float], better: str, details: dict, seed: int) -> Measure:
    return Measure(
        name,
        float(np.mean(values)),
        len(values),
        better,
        mean_interval(values, seed) if len(values) > 1 else None,
        details,
    )


def _flat(picture: Image.Image) -> Image.Image:
    """The mean colour of the picture, in its size."""
    mean = np.asarray(picture, dtype=np.float64).mean((0, 1)).round().astype(int)
    return Image.new("RGB", picture.size, tuple(int(level) for level in mean))


def _measure(options: argparse.Namespace) -> Report:
    mode = options.mode or ("pairs" if options.images else "reconstruction")
    if (mode == "pairs") != (options.images is not None):
        raise ValueError(f"The mode {mode} is {MODES[mode]}: {'name' if mode == 'pairs' else 'leave out'} --images.")
    if mode == "pairs" and options.checkpoint is not None:
        raise ValueError("Two folders are compared without a checkpoint: leave out --checkpoint, or --images.")
    lpips = Lpips(options.lpips_weights, options.device) if options.lpips_weights else None
    facts: dict[str, object] = {"mode": mode, "meaning": MODES[mode], "reference": str(options.reference)}
    told: list[str] = []
    if mode == "pairs":
        sides = measured_pictures(options.images), measured_pictures(options.reference)
        files = _sample(pair_by_name(*sides), options)
        told += sides[0].notes + sides[1].notes + _same_prompts(*(side.folder for side in sides), facts)
        pairs = (tuple(canonical(open_file(path), options.size) for path in both) for both in files)
    else:
        real = measured_pictures(options.reference)
        files = _sample(real.pictures, options)
        told += real.notes
        pairs = _redrawn(files, mode, options, facts)
    real_files = [both[1] for both in files] if mode == "pairs" else files
    sizes: list[tuple[int, int]] = []
    pairs = _noted(pairs, real_files, sizes)
    if lpips is None:
        told.append("LPIPS is left out: name torchvision's AlexNet or VGG16 weights with --lpips-weights FILE.")
    measures = measure(pairs, len(files), lpips, options.seed)
    told += _too_small(real_files, sizes)
    facts |= {"pictures": len(files), "size": _size(sizes), "seed": options.seed}
    title = f"{(options.images or options.reference).name}: {MODES[mode]}"
    return Report(title, tuple(measures), report.provenance(device=options.device, **facts), tuple(told))


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


def _redrawn(files: list[Path], mode: str, options: argparse.Namespace, facts: dict[str, object]) -> Iterator[Pair]:
    """Each real picture, in the checkpoint's size, and what the checkpoint makes of it; picture i has seed + i."""
    # only these modes load a model
    from dalle2.families import EMBEDDED, load
    from evaluation.drawing.enlargement import enlarged

    if options.at == "decoder" and mode == "upsampler":
        raise ValueError("The upsampler alone leaves the decoder out: leave out --at decoder.")
    model = load(options.checkpoint or EMBEDDED, options.device)
    model.require({"reconstruction": "variations", "inversion": "reconstruct", "upsampler": "enhance"}[mode])
    settings = model.settings.retracing(options.steps) if mode == "inversion" else model.settings
    facts |= {"checkpoint": model.checkpoint, "checkpoint_hash": model.checkpoint_hash, "settings": settings.to_dict()}
    facts |= {"at": options.at} | ({"refinements": options.refinements} if mode == "inversion" else {})
    size = model.picture_size

    def draw() -> Iterator[Pair]:
        for start in range(0, len(files), MANY):
            real = [canonical(open_file(path), size) for path in files[start : start + MANY]]
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

    return draw()


def _keep(step: Step, small: list[Image.Image]) -> None:
    """Of what the decoder reports, its own picture at the end."""
    if step.stage == "decoder" and step.index == step.total:
        small += step.pictures()


def _noted(pairs: Iterator[Pair], files: Sequence[Path], sizes: list[tuple[int, int]]) -> Iterator[Pair]:
    """The pairs, their sizes noted; ValueError names one of two sizes."""
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
    """ "256×256", or the smallest and the largest where they differ."""
    ends = {min(sizes, key=math.prod), max(sizes, key=math.prod)}
    return " to ".join(f"{width}×{height}" for width, height in sorted(ends, key=math.prod))


def _sample(files: Sequence, options: argparse.Namespace) -> list:
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


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(prog="python -m evaluation.ssim_psnr", description=__doc__.split("\n")[0][32:])
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the pictures to measure; their names pair them")
    parser.add_argument("--reference", type=Path, required=True, metavar="FOLDER", help="what they should look like")
    parser.add_argument(
        "--mode", choices=tuple(MODES), help="; ".join(f"{name}: {text}" for name, text in MODES.items())
    )
    parser.add_argument("--checkpoint", help="what draws in the other modes; default: the embedded checkpoint")
    parser.add_argument(
        "--size", type=command.positive, help="in pairs: short side to SIZE, centre crop; default: as they are"
    )
    parser.add_argument(
        "--at", choices=("picture", "decoder"), default="picture", help="at whose size; default picture"
    )
    parser.add_argument("--steps", type=command.positive, help="of the inversion, both ways; default: the checkpoint's")
    parser.add_argument(
        "--refinements", type=command.whole, default=1, help="of each inverted step; 0 is plain; default 1"
    )
    parser.add_argument("--lpips-weights", type=Path, metavar="FILE", help="torchvision's AlexNet or VGG16 state dict")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    command.add_arguments(parser, "of --num, of the first picture, of intervals", batch_size=None, workers=False)
    command.add_report(parser)
    return parser


if __name__ == "__main__":
    main()
