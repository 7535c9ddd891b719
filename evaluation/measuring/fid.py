"""Pictures measured by the distance of their features: the work of `evaluation.fid`."""

import contextlib
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from evaluation.cli.fid import HALF, Options
from evaluation.measuring import fid_facts, fid_plan, fid_precision, processes
from evaluation.measuring.fid_plan import FeatureSpec, Plan, stats_file
from evaluation.metrics import distances, foreign_statistics, named_statistics
from evaluation.metrics.frechet import Moments
from evaluation.metrics.frechet_ratio import frechet_ratio, halves
from evaluation.metrics.overlap import same_pictures
from evaluation.metrics.statistics import Statistics
from evaluation.networks.features import extract
from evaluation.networks.network import FeatureSpace, Network, open_network, space_of
from evaluation.pictures.manifest import read_manifest
from evaluation.pictures.sources import Picture
from evaluation.prompts.protocol import protocol_named
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report


@dataclass(frozen=True)
class PassResult:
    """What one pass of a network gave: measures, what a reader must know of them, and where they come from."""

    measures: tuple[Measure, ...]
    warnings: tuple[str, ...]
    facts: Mapping[str, object]
    ratio: Measure | None = None


class StatisticsWriter:
    """The pictures' statistics on the disk: a file a pass, or one of all in the form of another program.

    Without `unsaved` a disk that does not take them is an OSError; with it the error is kept there.
    """

    def __init__(self, plan: Plan, unsaved: list[OSError] | None = None) -> None:
        self._plan, self._unsaved = plan, unsaved
        self._of_layer: dict[str, Statistics] = {}
        self._passes = 0

    def add(self, spec: FeatureSpec, statistics: Statistics) -> None:
        """Save the statistics of a pass; those that go into one file when the last pass is done."""
        options, file = self._plan.options, self._plan.options.save_stats
        if file is None:
            return
        self._passes += 1
        try:
            if options.stats_form is None:
                written = statistics.save(stats_file(self._plan.specs, spec, file))
            else:
                self._of_layer[statistics.space.layer] = statistics
                if self._passes < len(self._plan.specs):
                    return
                written = foreign_statistics.write_foreign(file, options.stats_form, self._of_layer)
            if options.stats_name is not None:
                named_statistics.record(options.stats_name, written, options.stats_form or "")
        except OSError as error:
            if self._unsaved is None:
                raise
            self._unsaved.append(error)


def measure_folders(options: Options, unsaved: list[OSError] | None = None) -> Report:
    """Return the distances of pictures to a reference: see `evaluation.fid.run`."""
    if options.reference is None:
        raise ValueError("Name a --reference to measure against.")
    with _planned(options) as plan:
        writer = StatisticsWriter(plan, unsaved)
        passes = [_measure(plan, spec, writer) for spec in plan.specs]
        return _report(plan, passes)


def save_statistics(options: Options) -> list[str]:
    """Save the statistics of pictures without measuring them; what was left out, as sentences."""
    with _planned(options) as plan:
        if options.save_stats is None:
            raise ValueError("Name a file for --save-stats.")
        writer = StatisticsWriter(plan)
        for spec in plan.specs:
            writer.add(spec, _statistics(plan.pictures, _network(plan, spec), plan))
        return plan.left_out


def extract_share(options: Options) -> None:
    """Do this process's share of the extraction, for the one that measures: in the order in which that one asks.

    What is wrong with the options is told by that one too, so this process only ends.
    """
    try:
        planned = contextlib.ExitStack()
        plan = planned.enter_context(_planned(options))
    except (ValueError, OSError):
        sys.exit(2)
    with planned:
        for spec in plan.specs:
            network = _network(plan, spec)
            for pictures in _sides(plan):
                _extract(pictures, network, plan)


@contextlib.contextmanager
def _planned(options: Options) -> Generator[Plan]:
    """Yield the plan once all that it needs is there, with this process's share where features are kept in parts."""
    if not processes.several():
        plan = fid_plan.make_plan(options)
        _look_at(plan)
        with processes.alone(options.work, options.ray, plan.device) as share:
            yield replace(plan, share=share)
        return
    if options.ray is not None:
        raise ValueError("--ray shares the work itself: start one process, without accelerate launch.")
    state = processes.started(options.device)
    plan = fid_plan.make_plan(replace(options, device=str(state.device)))
    _look_at(plan)
    with processes.shared(options.work, state) as share:
        yield replace(plan, share=share)


def _sides(plan: Plan) -> list[Sequence[Picture]]:
    """Return the sets of pictures whose features a pass needs, in its order."""
    if plan.options.reference is None:
        return [plan.pictures]
    return [plan.pictures, *(side.pictures for side in (plan.real, plan.others) if side is not None)]


def _measure(plan: Plan, spec: FeatureSpec, writer: StatisticsWriter) -> PassResult:
    """One pass of the network over both sides."""
    options = plan.options
    network = _network(plan, spec)
    # Before the long part, so that statistics of another space are refused at once.
    reference = None if plan.saved is None else _saved(plan, spec, network)
    start = time.perf_counter()
    pictures = _statistics(plan.pictures, network, plan)
    seconds = time.perf_counter() - start
    writer.add(spec, pictures)  # now, since the rest may take as long again
    if plan.real is not None:
        reference = _statistics(plan.real.pictures, network, plan)
    assert reference is not None, "either statistics or pictures"
    facts: dict[str, object] = {
        "network": network.name,
        "weights_sha256": network.sha256,
        "resize": network.resize,
        "rounding": fid_facts.rounding_of(spec.resize, plan.size),
        "pictures": pictures.moments.n,
        "references": reference.count,
        "seconds": round(seconds, 1),
        "pictures_per_second": round(len(plan.pictures) / seconds, 2),
    }
    measures = distances.measure(pictures, reference, network, options.seed, options.groups)
    warnings = distances.warnings_of(pictures, reference, network, measures)
    if network.precision != "float32":
        found = fid_precision.deviation(plan, spec, network, pictures, reference)
        facts["deviation"] = found.facts
        warnings.append(found.sentence)
        measures = [found.beside(one) if one.key == network.naming.frechet[0] else one for one in measures]
    if plan.groups is not None:
        measures += _by_group(plan, pictures, reference, network, warnings)
    ratio = None if options.fdr is None else _ratio(plan, network, pictures, reference)
    return PassResult((*measures, *([ratio] if ratio else [])), tuple(warnings), facts, ratio)


def _by_group(
    plan: Plan, pictures: Statistics, reference: Statistics, network: Network, warnings: list[str]
) -> list[Measure]:
    """Return the distances of each group, to the reference's group of that name where it has groups."""
    assert plan.groups is not None and pictures.features is not None, "asked for, and just extracted"
    theirs = None if plan.real is None else plan.real.groups
    if theirs is None:
        warnings.append(f"The reference has no groups by {plan.options.by}: each group is measured against all of it.")
    found, few, counts = [], [], []
    for group in sorted(set(plan.groups)):
        own = _of_group(pictures, plan.groups, group)
        other = reference if theirs is None else _of_group(reference, theirs, group)
        if min(own.moments.n, other.moments.n) < distances.LEAST:
            few.append(group)
            continue
        counts.append(min(own.moments.n, other.moments.n))
        for one in distances.measure(own, other, network, plan.options.seed, plan.options.groups):
            if one.key in (network.naming.frechet[0], network.naming.kernel[0]) or one.key.endswith("mind"):
                label = f"{one.label}, {plan.options.by} {group}"
                found.append(replace(one, key=f"{one.key}@{group}", label=label, left_out=None))
    if counts and min(counts) < distances.FEW:
        warnings.append(
            f"The groups have {min(counts):,} pictures at least and {max(counts):,} at most (or references, where they "
            "are fewer): the fewer, the more a Fréchet distance comes out too high, so that groups compare by it only "
            "at equal counts, and by the kernel distance (KID) at any."
        )
    if few:
        warnings.append(f"Groups of fewer than {distances.LEAST} pictures are not measured: {', '.join(few)}.")
    return found


def _of_group(side: Statistics, groups: Sequence[str], group: str) -> Statistics:
    assert side.features is not None, "of pictures"
    rows = side.features[np.array([one == group for one in groups])]
    return Statistics(side.space, Moments.of(rows), rows)


def _ratio(plan: Plan, network: Network, pictures: Statistics, reference: Statistics) -> Measure:
    """Return the Fréchet distance over that of other real pictures."""
    assert pictures.features is not None, "they were just extracted"
    if plan.others is not None:
        others = _statistics(plan.others.pictures, network, plan)
        if same_pictures(pictures, others):
            raise ValueError(f"--fdr {plan.options.fdr} are the pictures that are measured: name other real ones.")
        held_out, against = others.features, reference.moments
    else:
        assert reference.features is not None, "looked at when they were loaded"
        held_out, rest = halves(reference.features, plan.options.seed)
        against = Moments.of(rest)
    assert held_out is not None, "they were just extracted"
    return distances.ratio_measure(frechet_ratio(pictures.features, held_out, against, plan.options.seed), network)


def _look_at(plan: Plan) -> None:
    """Open all networks, and saved statistics, one after another: what is wrong with the last is told at once.

    ValueError also for the same features under two names, which a mean over networks would count twice.
    """
    known: dict[FeatureSpace, str] = {}
    for spec in plan.specs if len(plan.specs) > 1 else ():
        network = _network(plan, spec)
        space = replace(space_of(network, plan.size), network="")
        if space in known:
            raise ValueError(f"--network {known[space]} and {spec.network} are the same weights: name one of them.")
        known[space] = spec.network
        if plan.saved is not None:
            _saved(plan, spec, network)


def _saved(plan: Plan, spec: FeatureSpec, network: Network) -> Statistics:
    """Return the reference's statistics of this pass; where several were saved as one, those of its own file."""
    assert plan.saved is not None, "the caller asked"
    named = plan.saved.file
    if plan.saved.form != "ours":
        reference = foreign_statistics.read_foreign(named, plan.saved.form, network, plan.size)
    else:
        own = stats_file(plan.specs, spec, named)
        reference = Statistics.load(own if own.exists() else named)
        space_of(network, plan.size).require(reference.space, f"The statistics in {plan.options.reference}")
    if plan.options.fdr == HALF and reference.features is None:
        raise ValueError(f"{named} holds no features to halve: name other real pictures by --fdr.")
    return reference


def _network(plan: Plan, spec: FeatureSpec) -> Network:
    # Rounding to 10 bits would be faster and would change the numbers.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    weights, precision = plan.options.inception_weights, plan.options.precision
    return open_network(spec.network, spec.resize, weights, device=plan.device, precision=precision)


def _statistics(pictures: Sequence[Picture], network: Network, plan: Plan) -> Statistics:
    options = plan.options
    if plan.share is None:
        features = extract(pictures, network, plan.size, options.batch_size, options.workers)
    else:
        _extract(pictures, network, plan)
        features = plan.share.merged(pictures, network, plan.size, options.batch_size)
    return Statistics(space_of(network, plan.size), Moments.of(features), features)


def _extract(pictures: Sequence[Picture], network: Network, plan: Plan) -> None:
    """Extract what is this process's, and wait until the others have done theirs."""
    assert plan.share is not None, "features are kept in parts"
    plan.share.extract(pictures, network, plan.size, plan.options.batch_size, plan.options.workers)
    processes.wait()


def _report(plan: Plan, passes: Sequence[PassResult]) -> Report:
    options = plan.options
    facts: dict[str, object] = {
        "images": str(options.images),
        "reference": str(options.reference),
        "canonical_size": plan.size or "as they are",
        "sizes": {side: one.size for side, one in plan.surveys.items()},
        "seed": options.seed,
        "batch_size": options.batch_size,
        "jackknife_groups": options.groups,
        "passes": {f"{one.facts['network']} {one.facts['resize']}": one.facts for one in passes},
    }
    warnings = list(plan.left_out)
    if plan.share is not None:
        facts["processes"] = plan.share.processes if options.ray is None else "a Ray cluster's"
    facts |= fid_facts.of_reference(plan)
    if plan.saved is not None and plan.saved.form != "ours":
        warnings.append(
            f"The statistics are in the form of {plan.saved.form}, which says neither of how many pictures they are "
            "nor how these came to their size: make sure that yours came to it alike."
        )
    manifest = None if plan.images.folder is None else read_manifest(plan.images.folder)
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    warnings += [warning for one in passes for warning in one.warnings]
    if options.protocol is not None:
        protocol = protocol_named(options.protocol)
        facts["protocol"] = options.protocol
        facts["published"] = {entry.model: entry.fid for entry in protocol.published}
        warnings += fid_facts.beside(protocol, len(plan.pictures), known_settings=manifest is not None)
    if ratios := [one.ratio for one in passes if one.ratio is not None]:
        facts["fdr"] = options.fdr
    title = f"Distances of {plan.images.name} to {Path(str(options.reference)).name}"
    measures = tuple(measure for one in passes for measure in one.measures)
    if len(ratios) > 1:
        measures = (*measures, distances.mean_ratio(ratios))
    return Report(title, measures, report.provenance(device=plan.device, **facts), tuple(dict.fromkeys(warnings)))
