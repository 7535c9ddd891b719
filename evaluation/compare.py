"""python -m evaluation.compare A B [C …]: the same prompts and seeds for all, and what of the difference is chance.

    python -m evaluation.compare emoji "emoji --steps 10,4,2" --prompts emoji --num 200 --out compared
    python -m evaluation.compare drawn/a drawn/b --reference photos --votes votes.csv --out compared

A contestant is a checkpoint with generation's own options, or a folder that generation drew. `--out` then holds the
pictures and comparison.html, .md, .json and .csv; the same command goes on after an interruption.
"""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from tqdm import tqdm

from dalle2.images import open_picture
from evaluation import clip_score, fid
from evaluation.cli import command
from evaluation.comparing import comparison_page, cost
from evaluation.comparing.comparison import (
    Comparison,
    Likeness,
    Measured,
    Point,
    Scene,
    VoteCount,
    contests_of,
    count_votes,
    pareto,
    speed_notes,
)
from evaluation.comparing.contestants import Contestant, open_contestants
from evaluation.metrics import prdc, similarity
from evaluation.metrics.kernel_distance import kid
from evaluation.metrics.statistics import Moments, Statistics, frechet_distance, leave_groups_out
from evaluation.networks.clip import Clip
from evaluation.networks.features import JUDGE, Network, extract, open_network, space_of
from evaluation.pictures.image_folder import canonical, measured_pictures
from evaluation.pictures.manifest import MANIFEST, Manifest
from evaluation.prompts.prompt_sets import SAMPLINGS
from evaluation.prompts.sources import KINDS
from evaluation.prompts.tables import read_csv
from evaluation.reporting import report
from evaluation.reporting.report import Measure

SCENES = 24
SUFFIXES = (".html", ".md", ".json", ".csv")
# What the manifests have in common, and say once.
SHARED = {"prompts", "prompts_sha256", "sampling", "pictures", "seed"}
COLUMNS = ("question", "a", "b", "winner")
SCORE = "CLIP score (100 × cosine)"
# Kept for one name is kept for all: the cosine is the score over again, the anchors belong to no contestant.
LEFT_OUT = ("CLIP cosine", "CLIP cosine, floor: captions of other pictures")


@dataclasses.dataclass(frozen=True)
class Ruler:
    """What all contestants are measured with; without a reference there are no distances."""

    clip: Clip
    network: Network
    reference: Statistics | None
    size: int | None
    batch_size: int
    workers: int | None
    seed: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, compare, write; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with command.sentences(parser.prog, goes_on=True):
        files = [command.report_file(str(options.out / f"comparison{suffix}")) for suffix in SUFFIXES]
        command.keep(options.report, (options.votes, options.prompts))
        result = _compare(options)

        def tell(console: Console) -> None:
            show(result, console)
            console.print(str(files[0]), markup=False, highlight=False, soft_wrap=True)

        command.deliver([partial(write, result, path) for path in [*files, *options.report]], tell)
        if options.log_with:
            log(result, options.log_with, options.out)


def write(result: Comparison, path: Path) -> Path:
    """Write the comparison in the format of the suffix; ValueError for another one."""
    match path.suffix.lower():
        case ".html":
            text = comparison_page.to_html(result)
        case ".md":
            text = result.to_markdown()
        case ".json":
            text = result.to_json()
        case ".csv":
            text = result.to_csv()
        case _:
            raise ValueError(f"A comparison is written as .html, .md, .json or .csv, not as {path.name!r}.")
    return report.write_text(path, text)


def show(result: Comparison, console: Console) -> None:
    """Print the tables and the verdicts."""
    for heading, names, rows in result.tables():
        report.print_table(console, heading, names, rows)
    for warning in result.warnings:
        console.print(f"Note: {warning}", style="yellow", markup=False, highlight=False)
    for sentence in result.summary:
        console.print(sentence, style="bold", markup=False, highlight=False)


def log(result: Comparison, tracker: str, out: Path) -> None:
    """Hand every measure to TensorBoard or Weights & Biases, one step a contestant; ValueError where it is missing."""
    from accelerate import Accelerator  # only where a tracker is asked for

    require_tracker(tracker)
    accelerator = Accelerator(log_with=tracker, project_dir=out)
    accelerator.init_trackers("compare")
    for step, measured in enumerate(result.contestants):
        accelerator.log({measure.name: measure.value for measure in measured.measures}, step=step)
    accelerator.end_training()


def require_tracker(tracker: str) -> None:
    """ValueError where it is not installed."""
    from accelerate.tracking import get_available_trackers  # only where a tracker is asked for

    if tracker not in map(str, get_available_trackers()):
        raise ValueError(f"{tracker} is not installed: pip install {tracker}, or leave out --log-with.")


def check_pairing(contestants: Sequence[Contestant]) -> None:
    """ValueError unless all were drawn from the same prompts and seeds, in the same order."""
    first = contestants[0]
    expected = [(row.caption, row.seed) for row in first.manifest.rows]
    for other in contestants[1:]:
        if [(row.caption, row.seed) for row in other.manifest.rows] != expected:
            raise ValueError(
                f"{first.name} and {other.name} were drawn from other prompts or seeds: only pictures of the same "
                "prompts and seeds are compared."
            )


def measure(contestant: Contestant, ruler: Ruler) -> Measured:
    """All measures of a contestant, with the values from which differences are tested."""
    seed = ruler.seed
    rows = contestant.manifest.rows
    pairs = [
        clip_score.Pair(file, row.caption, row.reference_path) for file, row in zip(contestant.files, rows, strict=True)
    ]
    scores = clip_score.score(pairs, ruler.clip, ruler.batch_size, ruler.workers, seed, sys.stderr.isatty())
    measures = [one for one in clip_score.measures_of(scores, seed) if one.name not in LEFT_OUT]
    values = {SCORE: 100 * scores.cosine}
    values |= {one.name: (scores.rank < k).astype(float) for k, one in _ranks(measures)}
    left_out: dict[str, Sequence[float]] = {}
    told = measured_pictures(contestant.folder).notes
    told += clip_score.warnings_of(scores, ruler.clip, contestant.manifest.checkpoint)
    if ruler.reference is not None:
        network = ruler.network
        features = extract(contestant.files, network, ruler.size, ruler.batch_size, ruler.workers, sys.stderr.isatty())
        pictures = Statistics(space_of(network, ruler.size), Moments.of(features), features)
        distances = fid.measure(pictures, ruler.reference, network, seed)
        measures += distances
        told += fid.warnings_of(pictures, ruler.reference, network)
        values |= _per_picture(distances, features, ruler.reference)
        left_out |= _left_out(distances, features, ruler.reference, seed)
    measures += cost.measures(contestant.cost, len(rows), contestant.manifest.batch_size)
    return Measured(contestant, tuple(measures), values, left_out, tuple(told))


def likeness(a: Contestant, b: Contestant) -> Likeness:
    """Mean SSIM and PSNR over the pictures of the same prompt and seed, at the smaller one's size."""
    size = min(a.manifest.picture_size, b.manifest.picture_size)
    found = [
        similarity.compare(canonical(open_picture(left), size), canonical(open_picture(right), size))
        for left, right in zip(tqdm(a.files, unit="pair", disable=not sys.stderr.isatty()), b.files, strict=True)
    ]
    ssim, psnr = (float(np.mean([getattr(one, name) for one in found])) for name in ("ssim", "psnr"))
    return Likeness(a.name, b.name, ssim, psnr, sum(one.identical for one in found), len(found))


def scenes_of(contestants: Sequence[Measured], count: int = SCENES) -> tuple[Scene, ...]:
    """The prompts whose CLIP scores lie farthest apart; none where nobody differs."""
    scores = np.stack([measured.values[SCORE] for measured in contestants], axis=1)
    apart = np.ptp(scores, axis=1)
    rows = contestants[0].contestant.manifest.rows
    files = [measured.contestant.files for measured in contestants]
    return tuple(
        Scene(
            rows[index].id,
            rows[index].caption,
            rows[index].seed,
            tuple(float(score) for score in scores[index]),
            tuple(own[index] for own in files),
        )
        for index in np.argsort(-apart, kind="stable")[:count]
        if apart[index] > 0
    )


def read_votes(path: Path) -> tuple[VoteCount, ...]:
    """Votes as the page exports them, counted; ValueError names the first row that is none."""
    rows = read_csv(path)
    if not rows:
        raise ValueError(f"{path} holds no votes: leave out --votes.")
    for where, row in rows:
        if missing := [name for name in COLUMNS if name not in row]:
            raise ValueError(f"{path} has no column {missing[0]!r}: votes have the columns {', '.join(COLUMNS)}.")
        if row["winner"] not in ("a", "b", "tie") or not row["a"] or not row["b"] or row["a"] == row["b"]:
            raise ValueError(f"{where}: two different names and a winner of a, b or tie are needed.")
    return count_votes([row for _, row in rows])


def _compare(options: argparse.Namespace) -> Comparison:
    names = _distinct(options.contestants)
    if len(names) < 2:
        raise ValueError("A comparison needs at least two contestants.")
    votes = read_votes(options.votes) if options.votes else ()
    if options.log_with:
        require_tracker(options.log_with)
    ruler, told = _ruler(options)
    contestants = _open(dict(zip(names, options.contestants, strict=True)), options)
    check_pairing(contestants)
    count = len(contestants[0].manifest.rows)
    if count < 2:
        raise ValueError("A comparison needs at least two prompts: raise --num.")
    if options.reference is None:
        ruler, more = _with_their_own(ruler, contestants[0].manifest, options)
        told += more
    swept = _swept(options, ruler)
    measured = [measure(contestant, ruler) for contestant in contestants]
    points = _points(measured, swept, ruler) if swept else ()
    told += [warning for one in measured for warning in one.warnings]
    told += speed_notes(measured)
    if votes and not {name for vote in votes for name in (vote.a, vote.b)} & set(names):
        told.append("The votes name none of these contestants: they stand beside the measures, not for them.")
    facts = {
        "prompts": contestants[0].manifest.prompts,
        "prompts_sha256": contestants[0].manifest.prompts_sha256,
        "sampling": contestants[0].manifest.sampling,
        "first_seed": contestants[0].manifest.seed,
        "clip": ruler.clip.source,
        "clip_image_sha256": ruler.clip.sha256,
        "clip_text_sha256": ruler.clip.text_sha256,
        "network": ruler.network.name,
        "network_sha256": ruler.network.sha256,
        "resize": ruler.network.resize,
        "seed_of_resampling": ruler.seed,
        "tests": "intervals by paired bootstrap, p-values by exchange within pairs; distances by jackknife; seconds by "
        "the median over batches in turns and Wilcoxon's signed ranks",
        "correction": "Holm, over all paired differences of this comparison but the seconds",
        "contestants": {
            contestant.name: contestant.manifest.model_dump(mode="json", exclude=SHARED) for contestant in contestants
        },
    }
    return Comparison(
        title=f"{' against '.join(names)}: {count:,} pictures of {contestants[0].manifest.prompts}",
        contestants=tuple(measured),
        contests=contests_of(measured, ruler.seed),
        likenesses=tuple(likeness(a, b) for a, b in combinations(contestants, 2)),
        scenes=scenes_of(measured),
        provenance=report.provenance(device=options.device, **facts),
        votes=votes,
        sweep=points,
        distance=_distance_name(measured[0]) if points else "",
        warnings=tuple(dict.fromkeys(told)),
    )


def _open(ways: Mapping[str, str], options: argparse.Namespace) -> list[Contestant]:
    arguments = ["--seed", str(options.seed), "--batch-size", str(options.batch_size), "--device", options.device]
    if options.prompts is not None:
        arguments += ["--prompts", options.prompts, "--sampling", options.sampling]
        arguments += ["--sampling-seed", str(options.sampling_seed)]
    if options.num is not None:
        arguments += ["--num", str(options.num)]
    place, with_prompts = options.out / "pictures", options.prompts is not None
    return open_contestants(ways, place, arguments, with_prompts, options.one_at_a_time)


def _ruler(options: argparse.Namespace) -> tuple[Ruler, list[str]]:
    """What to measure with, and what must be said of it. Nothing is drawn before it is known to be there."""
    told: list[str] = []
    clip = Clip(options.clip, options.device)
    clip.require()
    try:
        network = open_network(options.network or "inception", weights=options.inception_weights, device=options.device)
    except ValueError as error:
        if options.network is not None:
            raise
        told.append(f"Distances are in the features of the embedded judge. {error}")
        network = open_network(JUDGE, device=options.device)
    ruler = Ruler(clip, network, None, options.size, options.batch_size, options.workers, options.seed)
    if options.reference is None:
        return ruler, told
    if options.reference.suffix == ".npz":
        reference = Statistics.load(options.reference.expanduser())
        space_of(network, options.size).require(reference.space, f"The statistics in {options.reference}")
        return dataclasses.replace(ruler, reference=reference), told
    real = measured_pictures(options.reference)
    paths = real.pictures
    if len(paths) < 2:
        raise ValueError(f"{options.reference} holds one picture: a distance needs two or more.")
    return dataclasses.replace(ruler, reference=_statistics(paths, ruler)), told + real.notes


def _with_their_own(ruler: Ruler, manifest: Manifest, options: argparse.Namespace) -> tuple[Ruler, list[str]]:
    """The ruler with the real pictures that the prompts themselves name, if all of them are on this machine."""
    if manifest.left_behind:
        return ruler, [f"{manifest.left_behind} Name real pictures with --reference for distances."]
    paths = list(dict.fromkeys(filter(None, (row.reference_path for row in manifest.rows))))
    if len(paths) < 2:
        return ruler, ["There are no real pictures to measure against: name some with --reference for distances."]
    return dataclasses.replace(ruler, reference=_statistics(paths, ruler)), []


def _statistics(paths: Sequence[Path], ruler: Ruler) -> Statistics:
    features = extract(paths, ruler.network, ruler.size, ruler.batch_size, ruler.workers, sys.stderr.isatty())
    return Statistics(space_of(ruler.network, ruler.size), Moments.of(features), features)


def _swept(options: argparse.Namespace, ruler: Ruler) -> dict[str, list[Contestant]]:
    """The checkpoints among the contestants whose guidance is still open, drawn at every scale that is asked for."""
    if not options.guidance_sweep:
        return {}
    if ruler.reference is None:
        raise ValueError("A guidance sweep needs real pictures: name some with --reference.")
    return {
        # one after another: so many at once would take the memory, and their times are not asked for
        name: [_open({at: at}, options)[0] for at in (f"{way} --guidance {scale}" for scale in options.guidance_sweep)]
        for name, way in zip(_distinct(options.contestants), options.contestants, strict=True)
        if "--guidance" not in way and not Path(shlex.split(way)[0], MANIFEST).is_file()
    }


def _points(measured: Sequence[Measured], swept: dict[str, list[Contestant]], ruler: Ruler) -> tuple[Point, ...]:
    points = [_point(one, one.contestant.name) for one in measured]
    for name, contestants in swept.items():
        points += [_point(measure(contestant, ruler), name) for contestant in contestants]
    return pareto(points)


def _point(measured: Measured, of: str) -> Point:
    distance = measured.measure(_distance_name(measured)).value
    return Point(measured.contestant.name, of, distance, measured.measure(SCORE).value)


def _distance_name(measured: Measured) -> str:
    """The Fréchet distance, whatever it is called in its space."""
    return next(name for name in measured.left_out)


def _ranks(measures: Sequence[Measure]) -> Iterator[tuple[int, Measure]]:
    for k in clip_score.RANKS:
        name = "R-precision" if k == 1 else f"R@{k}"
        yield from ((k, one) for one in measures if one.name == name)


def _per_picture(distances: Sequence[Measure], features: np.ndarray, reference: Statistics) -> dict[str, np.ndarray]:
    """Precision, recall, density and coverage, one value a picture or reference, under the names that `fid` gave."""
    names = {one.name.split(" ")[0]: one.name for one in distances}
    if "precision" not in names:
        return {}
    shares = prdc.measure(features, reference.features)
    return {names[kind]: getattr(shares, kind) for kind in ("precision", "recall", "density", "coverage")}


def _left_out(
    distances: Sequence[Measure], features: np.ndarray, reference: Statistics, seed: int
) -> dict[str, Sequence[float]]:
    """Both distances without each group of prompts, the same groups for all contestants; Fréchet's is the first."""
    groups = min(fid.GROUPS, len(features) // 2)
    if groups < 2:
        return {}
    parts = leave_groups_out(features, groups, seed)
    found = {distances[0].name: [frechet_distance(part, reference.moments) for part in parts]}
    if reference.features is not None and len(features) > 2:
        found[distances[1].name] = kid(features, reference.features).left_out
    return found


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one numbered: anything may be compared with itself."""
    return [name if (n := names[:i].count(name)) == 0 else f"{name} ({n + 1})" for i, name in enumerate(names)]


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog="python -m evaluation.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("contestants", nargs="+", metavar="CONTESTANT", help='as emoji, "emoji --steps 10,4,2", FOLDER')
    parser.add_argument("--prompts", metavar="SOURCE", help=f"for what is drawn: {KINDS}")
    parser.add_argument("--num", type=int, metavar="N", help="how many prompts; default: all")
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help="see evaluation.generation")
    parser.add_argument("--sampling-seed", type=int, default=0, metavar="S", help="which N prompts; default 0")
    parser.add_argument(
        "--out",
        type=command.out_folder,
        required=True,
        metavar="DIR",
        help="pictures and reports; may be gone on with; older reports there are replaced",
    )
    command.add_arguments(parser, "of picture 0, and of all resampling", batch_size=8)
    parser.add_argument(
        "--one-at-a-time", action="store_true", help="draw one after another: less memory, but times do not compare"
    )
    parser.add_argument("--clip", help="what judges captions: folder, hub id; default: the embedded judge")
    parser.add_argument("--network", help="what distances are taken with: inception, judge or clip:FOLDER")
    parser.add_argument("--inception-weights", metavar="FILE", help="see evaluation.fid")
    parser.add_argument("--reference", type=Path, metavar="FOLDER_OR_NPZ", help="real pictures; default: the prompts'")
    parser.add_argument(
        "--size", type=command.positive, help="before distances: short side to SIZE, centre crop; default: as they are"
    )
    parser.add_argument(
        "--guidance-sweep",
        nargs="+",
        default=[],
        type=command.guidance,
        metavar="G",
        help="draw also at these, each as 4 or 4,8 (--guidance)",
    )
    parser.add_argument("--votes", type=Path, metavar="FILE.csv", help=f"human votes: {', '.join(COLUMNS)}")
    parser.add_argument("--log-with", choices=("tensorboard", "wandb"), help="hand the measures to a tracker as well")
    command.add_report(parser, SUFFIXES)
    return parser


if __name__ == "__main__":
    main()
