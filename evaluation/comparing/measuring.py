"""Contestants measured alike and compared: the work of `evaluation.compare`."""

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dalle2 import hashes
from dalle2.images import open_picture
from evaluation.cli import command
from evaluation.cli.compare import Options
from evaluation.comparing import conditions
from evaluation.comparing.comparison import (
    Comparison,
    Likeness,
    Measured,
    Point,
    Scene,
    contests_of,
    pareto,
    speed_notes,
)
from evaluation.comparing.conditions import Condition
from evaluation.comparing.contestants import Contestant, open_contestants
from evaluation.comparing.votes import VoteCount, read_votes
from evaluation.drawing import cost
from evaluation.metrics import clip_score, distances, similarity
from evaluation.metrics.frechet import Moments
from evaluation.metrics.statistics import Statistics
from evaluation.networks.clip import Clip
from evaluation.networks.embedded import JUDGE
from evaluation.networks.features import extract
from evaluation.networks.network import Network, open_network, space_of
from evaluation.pictures.contents import contents_sha256
from evaluation.pictures.image_folder import measured_pictures
from evaluation.pictures.loading import canonical
from evaluation.pictures.manifest import MANIFEST, Manifest
from evaluation.pictures.survey import survey
from evaluation.prompts.pairing import Pair
from evaluation.prompts.prompt_sets import read_prompts
from evaluation.reporting import report, trackers

SCENES = 24
# What the manifests have in common, and say once.
SHARED = {"prompts", "prompts_sha256", "sampling", "pictures", "seed"}
# Kept for one name is kept for all: the cosine is the score over again, the anchor belongs to no contestant.
NOT_SHOWN = {clip_score.COSINE, clip_score.FLOOR}


@dataclass(frozen=True)
class Ruler:
    """What all contestants are measured with; without a reference there are no distances."""

    clip: Clip
    network: Network
    reference: Statistics | None
    size: int | None
    batch_size: int
    workers: int | None
    seed: int
    reference_sha256: str = ""  # of the reference's pictures, or of its file of statistics


def compare(options: Options) -> Comparison:
    """Draw what is not drawn yet, measure, compare; ValueError says what is wrong or missing."""
    names = distinct(options.contestants)
    if len(names) < 2:
        raise ValueError("A comparison needs at least two contestants.")
    votes = read_votes(options.votes) if options.votes else ()
    if options.log_with:
        trackers.require(options.log_with)
    ruler, warnings = ruler_of(options)
    require_comparable(options, ruler)
    contestants = open_specs(dict(zip(names, options.contestants, strict=True)), options)
    check_pairing(contestants)
    manifest = contestants[0].manifest
    if len(manifest.rows) < 2:
        raise ValueError("A comparison needs at least two prompts: raise --num.")
    if options.reference is None:
        ruler, more = with_their_own(ruler, manifest)
        warnings += more
    swept = _swept(options, ruler)
    measured = [measure(contestant, ruler) for contestant in contestants]
    points = _points(measured, swept, ruler) if swept else ()
    warnings += [warning for one in measured for warning in one.warnings]
    warnings += [*speed_notes(measured), *_unknown_names(votes, names)]
    return Comparison(
        title=f"{' against '.join(names)}: {len(manifest.rows):,} pictures of {manifest.prompts}",
        contestants=tuple(measured),
        contests=contests_of(measured, ruler.seed),
        likenesses=tuple(likeness(a, b) for a, b in combinations(contestants, 2)),
        scenes=scenes_of(measured),
        provenance=report.provenance(
            device=command.chosen_device(options.device),
            reference="the prompts' own" if options.reference is None else str(options.reference),
            **facts_of(contestants, ruler),
        ),
        votes=votes,
        sweep=points,
        distance=ruler.network.naming.frechet[1] if points else "",
        warnings=tuple(dict.fromkeys(warnings)),
    )


def require_comparable(options: Options, ruler: Ruler) -> None:
    """Raise ValueError for a condition that nothing will be compared in, before anything is drawn."""
    asked, of_distances = [Condition.read(text) for text in options.fail_if], distances.compared(ruler.network)
    conditions.require_known(asked, [*clip_score.compared(), cost.SECONDS[0]], of_distances)
    needing = [one for one in asked if one.key in of_distances]
    if not needing or ruler.reference is not None or options.prompts is None:
        return
    chosen = read_prompts(options.prompts, options.num, options.sampling_seed, options.sampling)
    if len({prompt.reference for prompt in chosen.prompts if prompt.reference is not None}) < 2:
        raise ValueError(
            f"--fail-if {needing[0].text!r}: a distance needs real pictures, and {options.prompts} comes without: name "
            "some with --reference."
        )


def check_pairing(contestants: Sequence[Contestant]) -> None:
    """Raise ValueError unless all were drawn from the same prompts and seeds, in the same order."""
    first = contestants[0]
    expected = [(row.caption, row.seed) for row in first.manifest.rows]
    for other in contestants[1:]:
        if [(row.caption, row.seed) for row in other.manifest.rows] != expected:
            raise ValueError(
                f"{first.name} and {other.name} were drawn from other prompts or seeds: only pictures of the same "
                "prompts and seeds are compared."
            )


def measure(contestant: Contestant, ruler: Ruler) -> Measured:
    """Return all measures of a contestant, with the values from which differences are tested."""
    rows, progress = contestant.manifest.rows, sys.stderr.isatty()
    pairs = [Pair(file, row.caption, row.reference_path) for file, row in zip(contestant.files, rows, strict=True)]
    scores = clip_score.score(pairs, ruler.clip, ruler.batch_size, ruler.workers, ruler.seed, progress)
    measures = [one for one in clip_score.measures_of(scores, ruler.seed) if one.key not in NOT_SHOWN]
    warnings = measured_pictures(contestant.folder).notes
    warnings += clip_score.warnings_of(scores, ruler.clip, contestant.manifest.checkpoint)
    if ruler.reference is not None:
        pictures = _statistics(contestant.files, ruler)
        found = distances.measure(pictures, ruler.reference, ruler.network, ruler.seed)
        measures += found
        warnings += distances.warnings_of(pictures, ruler.reference, ruler.network, found)
    measures += cost.measures(contestant.cost, len(rows), contestant.manifest.batch_size)
    return Measured(contestant, tuple(measures), tuple(warnings))


def likeness(a: Contestant, b: Contestant) -> Likeness:
    """Return mean SSIM and PSNR over the pictures of the same prompt and seed, at the smaller one's size."""
    size = min(a.manifest.picture_size, b.manifest.picture_size)
    found = [
        similarity.compare(canonical(open_picture(left), size), canonical(open_picture(right), size))
        for left, right in zip(tqdm(a.files, unit="pair", disable=not sys.stderr.isatty()), b.files, strict=True)
    ]
    ssim, psnr = (float(np.mean([getattr(one, name) for one in found])) for name in ("ssim", "psnr"))
    return Likeness(a.name, b.name, ssim, psnr, sum(one.identical for one in found), len(found))


def scenes_of(contestants: Sequence[Measured], count: int = SCENES) -> tuple[Scene, ...]:
    """Return the prompts whose CLIP scores lie farthest apart; none where nobody differs."""
    columns = [measured.require(clip_score.SCORE).values for measured in contestants]
    scores = np.stack([values for values in columns if values is not None], axis=1)
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


def facts_of(contestants: Sequence[Contestant], ruler: Ruler) -> dict[str, object]:
    """Return what a comparison's provenance says of how it was measured, and of what."""
    manifest = contestants[0].manifest
    return {
        "prompts": manifest.prompts,
        "prompts_sha256": manifest.prompts_sha256,
        "sampling": manifest.sampling,
        "first_seed": manifest.seed,
        "clip": ruler.clip.source,
        "clip_image_sha256": ruler.clip.sha256,
        "clip_text_sha256": ruler.clip.text_sha256,
        "network": ruler.network.name,
        "network_sha256": ruler.network.sha256,
        "resize": ruler.network.resize,
        "reference_sha256": ruler.reference_sha256 or "none",
        "seed_of_resampling": ruler.seed,
        "tests": "intervals by paired bootstrap, p-values by exchange within pairs; distances by jackknife; recall and "
        "coverage by the variances of both added, and Student's t; seconds by the median over batches in turns and "
        "Wilcoxon's signed ranks",
        "correction": "Holm, over all paired differences of this comparison but the seconds",
        "contestants": {
            contestant.name: contestant.manifest.model_dump(mode="json", exclude=SHARED) for contestant in contestants
        },
    }


def _unknown_names(votes: Sequence[VoteCount], names: Sequence[str]) -> list[str]:
    if not votes or {name for vote in votes for name in (vote.a, vote.b)} & set(names):
        return []
    return ["The votes name none of these contestants: they stand beside the measures, not for them."]


def open_specs(specs: Mapping[str, str], options: Options) -> list[Contestant]:
    """Return the contestants by their names, drawn now where they are not drawn folders."""
    arguments = ["--seed", str(options.seed), "--batch-size", str(options.batch_size)]
    arguments += ["--device", command.chosen_device(options.device)]
    if options.prompts is not None:
        arguments += ["--prompts", options.prompts, "--sampling", options.sampling]
        arguments += ["--sampling-seed", str(options.sampling_seed)]
    if options.num is not None:
        arguments += ["--num", str(options.num)]
    place, with_prompts = options.out / "pictures", options.prompts is not None
    return open_contestants(specs, place, arguments, with_prompts, options.one_at_a_time)


def ruler_of(options: Options) -> tuple[Ruler, list[str]]:
    """Return what to measure with, and what must be said of it; ValueError, before any drawing, if it is absent."""
    warnings: list[str] = []
    device = command.chosen_device(options.device)
    clip = Clip(options.clip, device)
    clip.require()
    try:
        network = open_network(options.network or "inception", weights=options.inception_weights, device=device)
    except ValueError as error:
        if options.network is not None:
            raise
        warnings.append(f"Distances are in the features of the embedded judge. {error}")
        network = open_network(JUDGE, device=device)
    ruler = Ruler(clip, network, None, options.size, options.batch_size, options.workers, options.seed)
    if options.reference is None:
        return ruler, warnings
    if options.reference.suffix == ".npz":
        file = options.reference.expanduser()
        reference = Statistics.load(file)
        space_of(network, options.size).require(reference.space, f"The statistics in {options.reference}")
        return replace(ruler, reference=reference, reference_sha256=hashes.of_file(file)), warnings
    real = measured_pictures(options.reference)
    if len(real.pictures) < 2:
        raise ValueError(f"{options.reference} holds one picture: a distance needs two or more.")
    return _against(ruler, real.pictures), warnings + real.notes + survey(
        real.folder.name, real.pictures, options.size
    ).notes


def with_their_own(ruler: Ruler, manifest: Manifest) -> tuple[Ruler, list[str]]:
    """Return the ruler with the real pictures that the prompts themselves name, if all of them are on this machine."""
    if manifest.left_behind:
        return ruler, [f"{manifest.left_behind} Name real pictures with --reference for distances."]
    paths = list(dict.fromkeys(filter(None, (row.reference_path for row in manifest.rows))))
    if len(paths) < 2:
        return ruler, ["There are no real pictures to measure against: name some with --reference for distances."]
    return _against(ruler, paths), survey("the real pictures", paths, ruler.size).notes


def _against(ruler: Ruler, real: Sequence[Path]) -> Ruler:
    """Return the ruler with these real pictures as its reference."""
    return replace(ruler, reference=_statistics(real, ruler), reference_sha256=contents_sha256(real))


def _statistics(paths: Sequence[Path], ruler: Ruler) -> Statistics:
    features = extract(paths, ruler.network, ruler.size, ruler.batch_size, ruler.workers, sys.stderr.isatty())
    return Statistics(space_of(ruler.network, ruler.size), Moments.of(features), features)


def _swept(options: Options, ruler: Ruler) -> dict[tuple[str, str, str], Contestant]:
    """Draw the checkpoints among the contestants whose guidance, or steps, are open at every value that is asked for.

    By contestant, option and value.
    """
    sweeps = {"guidance": options.guidance_sweep, "steps": options.steps_sweep}
    if not any(sweeps.values()):
        return {}
    if ruler.reference is None:
        raise ValueError("A sweep needs real pictures: name some with --reference.")
    found = {}
    for name, spec in zip(distinct(options.contestants), options.contestants, strict=True):
        for option, values in sweeps.items():
            # one after another: so many at once would take the memory, and their times are not asked for
            for value in values if _leaves_open(spec, option) else ():
                at = f"{spec} --{option} {value}"
                found[name, option, value] = open_specs({at: at}, options)[0]
    return found


def _leaves_open(spec: str, option: str) -> bool:
    """Whether a contestant is drawn, and with no value of its own for the option."""
    words = shlex.split(spec)
    parser = ArgumentParser(add_help=False)
    parser.add_argument(f"--{option}")
    given, _ = parser.parse_known_args(words[1:])
    return getattr(given, option) is None and not Path(words[0], MANIFEST).is_file()


def _points(
    measured: Sequence[Measured], swept: Mapping[tuple[str, str, str], Contestant], ruler: Ruler
) -> tuple[Point, ...]:
    key = ruler.network.naming.frechet[0]
    points = [_point(one, one.contestant.name, key) for one in measured]
    for (name, option, value), contestant in swept.items():
        points.append(_point(measure(contestant, ruler), name, key, option, value))
    return pareto(points)


def _point(measured: Measured, of: str, key: str, option: str = "", value: str = "") -> Point:
    distance, score = (measured.require(name) for name in (key, clip_score.SCORE))
    return Point(
        measured.contestant.name,
        of,
        distance.value,
        score.value,
        guidance=value if option == "guidance" else "",
        steps=value if option == "steps" else "",
        distance_interval=distance.interval,
        score_interval=score.interval,
    )


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, a repeated one numbered: anything may be compared with itself."""
    return [name if (n := names[:i].count(name)) == 0 else f"{name} ({n + 1})" for i, name in enumerate(names)]
