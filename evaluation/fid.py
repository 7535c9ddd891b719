"""python -m evaluation.fid: FID, KID, precision, recall, density, coverage and Inception score of a folder.

One pass of the network gives the features that all of them share. Statistics are saved and reused as .npz.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t

from evaluation.cli import command
from evaluation.metrics import kernel_distance, prdc
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.inception_score import SPLITS, inception_score
from evaluation.metrics.statistics import Moments, Statistics, frechet_distance, leave_groups_out
from evaluation.networks.features import ClipFeatures, Network, extract, open_network, space_of
from evaluation.networks.inception import VARIABLE, Inception
from evaluation.networks.resizing import RESIZES
from evaluation.pictures.image_folder import measured_pictures
from evaluation.pictures.manifest import read_manifest
from evaluation.prompts.protocol import PROTOCOLS, Protocol
from evaluation.reporting import report
from evaluation.reporting.report import Measure, Report

FEW = 10_000  # pictures, below which FID's bias is larger than most differences
GROUPS = 20
SUBSET = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # Rounding to 10 bits would be faster and would change the numbers.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    with command.sentences(parser.prog):
        _settle(options)
        unsaved: list[OSError] = []
        made = [_measure_with(options, resize, unsaved) for resize in options.resize]
        if options.reference is not None:
            report.deliver(_report(options, made), options.report)
        for note in _left_out(options) if options.reference is None else ():
            print(f"Note: {note}", file=sys.stderr)
        if unsaved:  # told last: the disk that is full for statistics may still take the report
            raise unsaved[0]


def measure(
    pictures: Statistics, reference: Statistics, network: Network, seed: int = 0, groups: int = GROUPS
) -> list[Measure]:
    """All measures that the network and the number of pictures allow; ValueError for features of different spaces.

    `groups` is how many a jackknife of the Fréchet distance leaves out in turn, 0 for no interval.
    """
    pictures.space.require(reference.space, "The reference's statistics")
    n, m = pictures.moments.n, reference.moments.n
    names = _names(network)
    details = {"network": f"{network.name}@{network.sha256[:8]}", "resize": network.resize, "references": m}
    if pictures.space.size:
        details["size"] = pictures.space.size
    distance = frechet_distance(pictures.moments, reference.moments)
    interval = _jackknifed(distance, pictures, reference, groups, seed)
    found = [Measure(names[0], distance, n, "lower", interval, details)]
    if pictures.features is not None and reference.features is not None:
        found += _of_features(pictures.features, reference.features, names, details, seed)
        if isinstance(network, ClipFeatures) and not network.embedded:
            value = kernel_distance.cmmd(pictures.features, reference.features)
            found.append(Measure("CMMD", value, n, "lower", None, details))
    if isinstance(network, Inception) and pictures.features is not None and n >= SPLITS:
        score, deviation, interval = inception_score(pictures.features, network.logits, seed)
        parts = {**details, "parts": SPLITS, "deviation": round(deviation, 4)}
        found.append(Measure(f"Inception score{names[2]}", score, n, "higher", interval, parts))
    return found


def warnings_of(pictures: Statistics, reference: Statistics, network: Network) -> list[str]:
    """What a reader of these numbers must know."""
    n, m = pictures.moments.n, reference.moments.n
    told = []
    if isinstance(network, ClipFeatures) and network.embedded:
        told.append(
            f"These distances are taken in the embedding space of {network.name}, which saw only emoji: they are not "
            "FID and compare with nothing published."
        )
    elif isinstance(network, Inception) and not network.published:
        told.append(
            f"The Inception weights (sha256 {network.sha256[:12]}…) are not the published ones: these distances are "
            "not FID and compare with nothing published."
        )
    if min(n, m) < FEW:
        few = f"{n:,} pictures against {m:,} references are few"
        rank = f" and fewer than the {network.dim:,} features, " if min(n, m) <= network.dim else ", "
        told.append(
            f"{few}{rank}so the Fréchet distance comes out too high: compare it only at the same counts, and trust the "
            "kernel distance (KID), which has no such bias. The interval tells the noise, not the bias."
        )
    return told


def _of_features(
    pictures: np.ndarray, reference: np.ndarray, names: tuple[str, str, str], details: dict, seed: int
) -> list[Measure]:
    n, m = len(pictures), len(reference)
    distance = kernel_distance.kid(pictures, reference)
    facts = dict(details)
    if min(n, m) >= SUBSET:
        mean, deviation = kernel_distance.kid_of_subsets(pictures, reference, size=SUBSET, seed=seed)
        facts["100 subsets of 1,000"] = f"{mean:.6f} ± {deviation:.6f}"
    found = [Measure(names[1], distance.value, n, "lower", distance.interval, facts)]
    if min(n, m) <= prdc.DENSITY_NEIGHBOURS:
        return found
    shares = prdc.measure(pictures, reference)
    for name, values, neighbours in (
        ("precision", shares.precision, prdc.PRECISION_NEIGHBOURS),
        ("recall", shares.recall, prdc.PRECISION_NEIGHBOURS),
        ("density", shares.density, prdc.DENSITY_NEIGHBOURS),
        ("coverage", shares.coverage, prdc.DENSITY_NEIGHBOURS),
    ):
        interval = mean_interval(values, seed)
        facts = {**details, "neighbours": neighbours}
        found.append(Measure(f"{name}{names[2]}", float(values.mean()), len(values), "higher", interval, facts))
    return found


def _names(network: Network) -> tuple[str, str, str]:
    """What the Fréchet and the kernel distance are called in this space, and what follows other names.

    Only published weights give the names that tables use.
    """
    if isinstance(network, Inception):
        if network.published:
            return "FID", "KID", ""
        mark = " (unpublished weights)"
    elif network.embedded:
        mark = " (embedded judge)"
    else:
        return "CLIP-FID", "CLIP-KID", " (CLIP)"
    return f"Fréchet distance{mark}", f"kernel distance{mark}", mark


def _jackknifed(
    distance: float, pictures: Statistics, reference: Statistics, groups: int, seed: int
) -> tuple[float, float] | None:
    """The 95% interval from leaving out a group of pictures, then of references, in turn; errors of both add up.

    A bootstrap would draw pictures twice, which a Fréchet distance takes for a narrower set.
    """
    variance = 0.0
    sides = [(pictures, reference), (reference, pictures)]
    sides = [(left, kept.moments) for left, kept in sides if left.features is not None]
    groups = min([groups, *(side.moments.n // 2 for side, _ in sides)])
    if groups < 2:
        return None
    for side, kept in sides:
        parts = [frechet_distance(part, kept) for part in leave_groups_out(side.features, groups, seed)]
        variance += (groups - 1) * float(np.var(parts))
    reach = float(t.ppf(0.975, groups - 1)) * variance**0.5
    return max(0.0, distance - reach), distance + reach


def _settle(options: argparse.Namespace) -> None:
    """What the protocol fixes, and what is known to be wrong before anything is read."""
    if options.reference is None and options.save_stats is None:
        raise ValueError("Name a --reference to measure against, or a file for --save-stats.")
    if options.reference is None and options.report:
        raise ValueError("A --report tells distances to a --reference: name one, or leave out --report.")
    if options.groups == 1:
        raise ValueError("A jackknife needs two --groups or more, or 0 for no interval.")
    outputs = [*options.report, *([options.save_stats] if options.save_stats else [])]
    command.keep(outputs, (options.reference, options.inception_weights))
    options.found = measured_pictures(options.images)
    saved = options.reference is not None and Path(options.reference).suffix == ".npz"
    options.real = None if saved or options.reference is None else measured_pictures(options.reference)
    if options.protocol is None:
        options.resize = options.resize or ["clean"]
        if options.network != "inception":
            options.resize = options.resize[:1]  # a CLIP has its own
        return
    protocol = PROTOCOLS[options.protocol]
    if options.network != "inception" or options.resize or options.size not in (None, protocol.size):
        raise ValueError(f"--protocol {options.protocol} fixes --network, --resize and --size: leave them out.")
    options.resize, options.size = list(protocol.resizes), protocol.size


def _measure_with(
    options: argparse.Namespace, resize: str, unsaved: list[OSError]
) -> tuple[list[Measure], list[str], dict[str, object]]:
    """Measures, warnings and facts of one network; only saves statistics when there is no reference.

    Statistics that the disk did not take go to `unsaved`: what they would be measured for is still to come.
    """
    network = open_network(options.network, resize, options.inception_weights, options.device)
    paths = options.found.pictures
    if options.num is not None:
        if not 2 <= options.num <= len(paths):
            raise ValueError(
                f"--num must be from 2 to the {len(paths):,} pictures of {options.images}, not {options.num}."
            )
        chosen = np.random.default_rng(options.seed).permutation(len(paths))[: options.num]
        paths = [paths[index] for index in sorted(chosen)]
    # Before the long part, so that what is not there, and statistics of another space, are refused at once.
    reference = None
    if options.reference is not None and options.real is None:
        reference = Statistics.load(Path(options.reference).expanduser())
        space_of(network, options.size).require(reference.space, f"The statistics in {options.reference}")
    start = time.perf_counter()
    pictures = _statistics(paths, network, options)
    seconds = time.perf_counter() - start
    if options.save_stats is not None:
        try:
            pictures.save(_stats_file(options, resize))
        except OSError as error:
            unsaved.append(error)
    if options.reference is None:
        return [], [], {}
    if reference is None:
        reference = _statistics(options.real.pictures, network, options)
    facts = {
        "network": network.name,
        "weights_sha256": network.sha256,
        "resize": network.resize,
        "pictures": pictures.moments.n,
        "references": reference.moments.n,
        "seconds": round(seconds, 1),
        "pictures_per_second": round(len(paths) / seconds, 2),
    }
    measures = measure(pictures, reference, network, options.seed, options.groups)
    return measures, warnings_of(pictures, reference, network), facts


def _statistics(paths: Sequence[Path], network: Network, options: argparse.Namespace) -> Statistics:
    features = extract(paths, network, options.size, options.batch_size, options.workers)
    return Statistics(space_of(network, options.size), Moments.of(features), features)


def _stats_file(options: argparse.Namespace, resize: str) -> Path:
    """The file named by --save-stats, with the resizing in its name where there are several."""
    path = options.save_stats
    return path if len(options.resize) == 1 else path.with_name(f"{path.stem}-{resize}{path.suffix}")


def _report(options: argparse.Namespace, made: list[tuple[list[Measure], list[str], dict[str, object]]]) -> Report:
    facts: dict[str, object] = {
        "images": str(options.images),
        "reference": str(options.reference),
        "canonical_size": options.size or "as they are",
        "seed": options.seed,
        "batch_size": options.batch_size,
        "jackknife_groups": options.groups,
        "passes": {f"{done['network']} {done['resize']}": done for _, _, done in made},
    }
    manifest = read_manifest(options.found.folder)
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    told = _left_out(options) + [warning for _, warnings, _ in made for warning in warnings]
    if options.protocol is not None:
        protocol = PROTOCOLS[options.protocol]
        facts["protocol"] = options.protocol
        facts["published"] = {entry.model: entry.fid for entry in protocol.published}
        told += _beside(protocol, made[0][2]["pictures"], known_settings=manifest is not None)
    title = f"Distances of {Path(options.images).name} to {Path(options.reference).name}"
    measures = tuple(found for measures, _, _ in made for found in measures)
    return Report(title, measures, report.provenance(device=options.device, **facts), tuple(dict.fromkeys(told)))


def _left_out(options: argparse.Namespace) -> list[str]:
    return options.found.notes + ([] if options.real is None else options.real.notes)


def _beside(protocol: Protocol, pictures: int, known_settings: bool) -> list[str]:
    """The published figures as sentences, and what keeps ours from standing beside them."""
    told = []
    if pictures != protocol.pictures:
        told.append(
            f"The protocol is of {protocol.pictures:,} pictures and these are {pictures:,}: the published figures "
            "below do not compare."
        )
    if not known_settings:
        told.append("The folder has no manifest, so guidance, steps and prompts are not known: state them yourself.")
    return told + [
        f"Published FID {entry.fid:.2f}, {entry.model}: {entry.differences}." for entry in protocol.published
    ]


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(prog="python -m evaluation.fid", description=__doc__.split("\n")[0].split(": ")[1])
    parser.add_argument("--images", required=True, metavar="FOLDER", help="the pictures to measure")
    parser.add_argument("--reference", metavar="FOLDER_OR_NPZ", help="real pictures, or statistics of them")
    words = "keep the pictures' statistics and features; older ones of that name are replaced"
    parser.add_argument("--save-stats", type=command.statistics_file, metavar="FILE.npz", help=words)
    parser.add_argument("--network", default="inception", help="inception (default), judge, or clip:FOLDER")
    parser.add_argument("--inception-weights", metavar="FILE", help=f'or "download"; default: ${VARIABLE}')
    parser.add_argument("--resize", nargs="+", choices=RESIZES, help="to Inception's 299 pixels; default: clean")
    parser.add_argument(
        "--size", type=command.positive, help="before that: short side to SIZE, centre crop; default: as they are"
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, help="fixes all of it as near to published tables as known")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    parser.add_argument(
        "--groups", type=command.whole, default=GROUPS, help=f"of the jackknife, 0 for none; default {GROUPS}"
    )
    command.add_arguments(parser, seed="of --num, of subsets and of intervals")
    command.add_report(parser)
    return parser


if __name__ == "__main__":
    main()
