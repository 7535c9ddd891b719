"""Folders measured by the distance of their features: the work of `evaluation.fid`."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from evaluation.cli import command
from evaluation.cli.fid import Options
from evaluation.metrics import distances
from evaluation.metrics.frechet import Moments
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


@dataclass(frozen=True)
class Plan:
    """What is measured after all that is known to be wrong was refused.

    `real` is None where the reference is an .npz, or there is none; `paths` are the pictures that `num` chose.
    """

    options: Options
    found: Found
    real: Found | None
    paths: tuple[Path, ...]
    resizes: tuple[str, ...]
    size: int | None
    device: str

    @property
    def left_out(self) -> list[str]:
        """Return what is not measured, as sentences."""
        return self.found.notes + ([] if self.real is None else self.real.notes)


@dataclass(frozen=True)
class Pass:
    """What one pass of a network gave: measures, what a reader must know of them, and where they come from."""

    measures: tuple[Measure, ...]
    warnings: tuple[str, ...]
    facts: Mapping[str, object]


def measure_folders(options: Options, unsaved: list[OSError] | None = None) -> Report:
    """Return the distances of a folder to a reference: see `evaluation.fid.run`."""
    if options.reference is None:
        raise ValueError("Name a --reference to measure against.")
    plan = _plan(options)
    passes = [_measure(plan, resize, unsaved) for resize in plan.resizes]
    return _report(plan, passes)


def save_statistics(options: Options) -> list[str]:
    """Save the statistics of a folder without measuring it; what was left out, as sentences."""
    plan = _plan(options)
    if options.save_stats is None:
        raise ValueError("Name a file for --save-stats.")
    for resize in plan.resizes:
        _statistics(plan.paths, _network(plan, resize), plan).save(_stats_file(plan, resize, options.save_stats))
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
    found = measured_pictures(options.images)
    saved = options.reference is None or Path(options.reference).suffix == ".npz"
    real = None if saved else measured_pictures(options.reference)
    own = resizes_of(options.network)
    resizes, size = options.resize or own[:1] or ("its own",), options.size
    if not own:
        resizes = resizes[:1]
    if options.protocol is not None:
        protocol = protocol_named(options.protocol)
        if options.network != protocol.network or options.resize or size not in (None, protocol.size):
            raise ValueError(f"--protocol {options.protocol} fixes --network, --resize and --size: leave them out.")
        resizes, size = protocol.resizes, protocol.size
    device = command.chosen_device(options.device)
    return Plan(options, found, real, _chosen(found.pictures, options), resizes, size, device)


def _chosen(paths: Sequence[Path], options: Options) -> tuple[Path, ...]:
    if options.num is None:
        return tuple(paths)
    if not 2 <= options.num <= len(paths):
        raise ValueError(f"--num must be from 2 to the {len(paths):,} pictures of {options.images}, not {options.num}.")
    chosen = np.random.default_rng(options.seed).permutation(len(paths))[: options.num]
    return tuple(paths[index] for index in sorted(chosen))


def _measure(plan: Plan, resize: str, unsaved: list[OSError] | None) -> Pass:
    """One pass of the network over both sides."""
    options = plan.options
    network = _network(plan, resize)
    reference: Statistics | None = None
    if plan.real is None:  # before the long part, so that statistics of another space are refused at once
        reference = Statistics.load(Path(str(options.reference)).expanduser())
        space_of(network, plan.size).require(reference.space, f"The statistics in {options.reference}")
    start = time.perf_counter()
    pictures = _statistics(plan.paths, network, plan)
    seconds = time.perf_counter() - start
    if options.save_stats is not None:
        try:
            pictures.save(_stats_file(plan, resize, options.save_stats))
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
    return Pass(tuple(measures), tuple(distances.warnings_of(pictures, reference, network, measures)), facts)


def _network(plan: Plan, resize: str) -> Network:
    # Rounding to 10 bits would be faster and would change the numbers.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return open_network(plan.options.network, resize, plan.options.inception_weights, plan.device)


def _statistics(paths: Sequence[Path], network: Network, plan: Plan) -> Statistics:
    features = extract(paths, network, plan.size, plan.options.batch_size, plan.options.workers)
    return Statistics(space_of(network, plan.size), Moments.of(features), features)


def _stats_file(plan: Plan, resize: str, path: Path) -> Path:
    """Return the file to save to, with the resizing in its name where there are several."""
    return path if len(plan.resizes) == 1 else path.with_name(f"{path.stem}-{resize}{path.suffix}")


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
    title = f"Distances of {Path(options.images).name} to {Path(str(options.reference)).name}"
    measures = tuple(measure for one in passes for measure in one.measures)
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
