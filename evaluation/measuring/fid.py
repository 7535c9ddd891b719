"""Folders measured by the distance of their features: the work of `evaluation.fid`."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from evaluation.cli import command
from evaluation.cli.fid import Options
from evaluation.metrics import distances
from evaluation.metrics.frechet import Moments
from evaluation.metrics.frechet_ratio import frechet_ratio, halves
from evaluation.metrics.statistics import Statistics
from evaluation.networks import resizes_of
from evaluation.networks.features import extract
from evaluation.networks.network import Network, open_network, space_of
from evaluation.pictures.image_folder import Found, measured_pictures
from evaluation.pictures.manifest import read_manifest
from evaluation.prompts.protocol import Protocol, protocol_named
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

HALF = "half"


class Way(NamedTuple):
    """A network as it is named, and how pictures come to its size: a pass over all pictures."""

    network: str
    resize: str


@dataclass(frozen=True)
class Plan:
    """What is measured after all that is known to be wrong was refused.

    `real` is None where the reference is an .npz, or there is none; `paths` are the pictures that `num` chose, `others`
    the real ones beside the reference that a ratio is to, if any.
    """

    options: Options
    found: Found
    real: Found | None
    others: Found | None
    paths: tuple[Path, ...]
    ways: tuple[Way, ...]
    size: int | None
    device: str

    @property
    def left_out(self) -> list[str]:
        """Return what is not measured, as sentences."""
        return [note for found in (self.found, self.real, self.others) if found is not None for note in found.notes]


@dataclass(frozen=True)
class Pass:
    """What one pass of a network gave: measures, what a reader must know of them, and where they come from."""

    measures: tuple[Measure, ...]
    warnings: tuple[str, ...]
    facts: Mapping[str, object]
    ratio: Measure | None = None


def measure_folders(options: Options, unsaved: list[OSError] | None = None) -> Report:
    """Return the distances of a folder to a reference: see `evaluation.fid.run`."""
    if options.reference is None:
        raise ValueError("Name a --reference to measure against.")
    plan = _plan(options)
    _look_at(plan)
    passes = [_measure(plan, way, unsaved) for way in plan.ways]
    return _report(plan, passes)


def save_statistics(options: Options) -> list[str]:
    """Save the statistics of a folder without measuring it; what was left out, as sentences."""
    plan = _plan(options)
    if options.save_stats is None:
        raise ValueError("Name a file for --save-stats.")
    _look_at(plan)
    for way in plan.ways:
        _statistics(plan.paths, _network(plan, way), plan).save(_stats_file(plan, way, options.save_stats))
    return plan.left_out


def _plan(options: Options) -> Plan:
    """Return what the protocol fixes, and what is known to be wrong before anything is read."""
    if options.reference is None and options.save_stats is None:
        raise ValueError("Name a --reference to measure against, or a file for --save-stats.")
    if options.reference is None and options.report:
        raise ValueError("A --report tells distances to a --reference: name one, or leave out --report.")
    if options.groups == 1:
        raise ValueError("A jackknife needs two --groups or more, or 0 for no interval.")
    outputs = [*options.report, *([options.save_stats] if options.save_stats else [])]
    command.keep(outputs, (options.reference, options.inception_weights))
    ways, size = _ways(options), options.size
    found = measured_pictures(options.images)
    saved = options.reference is None or Path(options.reference).suffix == ".npz"
    real = None if saved else measured_pictures(options.reference)
    others = None if options.fdr in (None, HALF) else measured_pictures(options.fdr)
    if options.protocol is not None:
        protocol = protocol_named(options.protocol)
        if options.network != (protocol.network,) or options.resize or size not in (None, protocol.size):
            raise ValueError(f"--protocol {options.protocol} fixes --network, --resize and --size: leave them out.")
        ways, size = tuple(Way(protocol.network, resize) for resize in protocol.resizes), protocol.size
    if options.fdr is not None and len(ways) > len(options.network):
        raise ValueError("--fdr is a mean over networks, of one --resize each: name one.")
    device = command.chosen_device(options.device)
    return Plan(options, found, real, others, _chosen(found.pictures, options), ways, size, device)


def _ways(options: Options) -> tuple[Way, ...]:
    """Return the passes: each network by every way of --resize that it knows, else by its own first one."""
    for resize in options.resize:
        if not any(resize in resizes_of(network) for network in options.network):
            known = ", ".join(dict.fromkeys(one for network in options.network for one in resizes_of(network)))
            hint = f"it takes {known}" if known else "leave it out, for it has a way of its own"
            raise ValueError(f"--resize {resize} is not known to --network {' '.join(options.network)}: {hint}.")
    found = []
    for network in dict.fromkeys(options.network):
        own = resizes_of(network)
        asked = [resize for resize in options.resize if resize in own]
        found += [Way(network, resize) for resize in asked or own[:1] or ("its own",)]
    return tuple(found)


def _chosen(paths: Sequence[Path], options: Options) -> tuple[Path, ...]:
    if options.num is None:
        return tuple(paths)
    if not 2 <= options.num <= len(paths):
        raise ValueError(f"--num must be from 2 to the {len(paths):,} pictures of {options.images}, not {options.num}.")
    chosen = np.random.default_rng(options.seed).permutation(len(paths))[: options.num]
    return tuple(paths[index] for index in sorted(chosen))


def _measure(plan: Plan, way: Way, unsaved: list[OSError] | None) -> Pass:
    """One pass of the network over both sides."""
    options = plan.options
    network = _network(plan, way)
    reference: Statistics | None = None
    if plan.real is None:  # before the long part, so that statistics of another space are refused at once
        reference = _saved(plan, way, network)
    start = time.perf_counter()
    pictures = _statistics(plan.paths, network, plan)
    seconds = time.perf_counter() - start
    if options.save_stats is not None:
        try:
            pictures.save(_stats_file(plan, way, options.save_stats))
        except OSError as error:
            if unsaved is None:
                raise
            unsaved.append(error)
    if plan.real is not None:
        reference = _statistics(plan.real.pictures, network, plan)
    assert reference is not None, "either statistics or pictures"
    facts = {
        "network": network.name,
        "weights_sha256": network.sha256,
        "resize": network.resize,
        "pictures": pictures.moments.n,
        "references": reference.moments.n,
        "seconds": round(seconds, 1),
        "pictures_per_second": round(len(plan.paths) / seconds, 2),
    }
    measures = distances.measure(pictures, reference, network, options.seed, options.groups)
    told = distances.warnings_of(pictures, reference, network, measures)
    ratio = None if options.fdr is None else _ratio(plan, network, pictures, reference)
    return Pass((*measures, *([ratio] if ratio else [])), tuple(told), facts, ratio)


def _ratio(plan: Plan, network: Network, pictures: Statistics, reference: Statistics) -> Measure:
    """Return the Fréchet distance over that of other real pictures."""
    assert pictures.features is not None, "they were just extracted"
    if plan.others is not None:
        held_out, against = _statistics(plan.others.pictures, network, plan).features, reference.moments
    else:
        assert reference.features is not None, "looked at when they were loaded"
        held_out, rest = halves(reference.features, plan.options.seed)
        against = Moments.of(rest)
    assert held_out is not None, "they were just extracted"
    return distances.ratio_measure(frechet_ratio(pictures.features, held_out, against, plan.options.seed), network)


def _look_at(plan: Plan) -> None:
    """Open all networks, and saved statistics, one after another: what is wrong with the last is told at once."""
    for way in plan.ways[1:]:
        network = _network(plan, way)
        if plan.real is None and plan.options.reference is not None:
            _saved(plan, way, network)


def _saved(plan: Plan, way: Way, network: Network) -> Statistics:
    """Return the reference's statistics of this pass; where several were saved as one, those of its own file."""
    named = Path(str(plan.options.reference)).expanduser()
    own = _stats_file(plan, way, named)
    reference = Statistics.load(own if own.exists() else named)
    space_of(network, plan.size).require(reference.space, f"The statistics in {plan.options.reference}")
    if plan.options.fdr == HALF and reference.features is None:
        raise ValueError(f"{named} holds no features to halve: name other real pictures by --fdr.")
    return reference


def _network(plan: Plan, way: Way) -> Network:
    # Rounding to 10 bits would be faster and would change the numbers.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return open_network(way.network, way.resize, plan.options.inception_weights, plan.device)


def _statistics(paths: Sequence[Path], network: Network, plan: Plan) -> Statistics:
    features = extract(paths, network, plan.size, plan.options.batch_size, plan.options.workers)
    return Statistics(space_of(network, plan.size), Moments.of(features), features)


def _stats_file(plan: Plan, way: Way, path: Path) -> Path:
    """Return the file to save to, with network and resizing in its name where there are several."""
    if len(plan.ways) == 1:
        return path
    words = [way.network] * (len({one.network for one in plan.ways}) > 1)
    words += [way.resize] * (len({one.resize for one in plan.ways if one.network == way.network}) > 1)
    return path.with_name("-".join([path.stem, *(re.sub(r"[^\w.-]+", "-", word) for word in words)]) + path.suffix)


def _report(plan: Plan, passes: Sequence[Pass]) -> Report:
    options = plan.options
    facts: dict[str, object] = {
        "images": str(options.images),
        "reference": str(options.reference),
        "canonical_size": plan.size or "as they are",
        "seed": options.seed,
        "batch_size": options.batch_size,
        "jackknife_groups": options.groups,
        "passes": {f"{one.facts['network']} {one.facts['resize']}": one.facts for one in passes},
    }
    manifest = read_manifest(plan.found.folder)
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    told = plan.left_out + [warning for one in passes for warning in one.warnings]
    if options.protocol is not None:
        protocol = protocol_named(options.protocol)
        facts["protocol"] = options.protocol
        facts["published"] = {entry.model: entry.fid for entry in protocol.published}
        told += _beside(protocol, len(plan.paths), known_settings=manifest is not None)
    if ratios := [one.ratio for one in passes if one.ratio is not None]:
        facts["fdr"] = options.fdr
    title = f"Distances of {Path(options.images).name} to {Path(str(options.reference)).name}"
    measures = tuple(measure for one in passes for measure in one.measures)
    if len(ratios) > 1:
        measures = (*measures, distances.mean_ratio(ratios))
    return Report(title, measures, report.provenance(device=plan.device, **facts), tuple(dict.fromkeys(told)))


def _beside(protocol: Protocol, pictures: int, known_settings: bool) -> list[str]:
    """Return the published figures as sentences, and what keeps ours from standing beside them."""
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
