"""What `evaluation.fid` is to measure, after all that is known to be wrong was refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluation.cli import command, outputs
from evaluation.cli.fid import HALF, Options
from evaluation.metrics import named_statistics
from evaluation.metrics.foreign_statistics import FORMS, form_of
from evaluation.networks import NETWORKS, resizes_of
from evaluation.networks.feature_parts import Share
from evaluation.pictures.sources import Picture, Source, open_source
from evaluation.pictures.survey import Survey, survey
from evaluation.prompts.protocol import protocol_named


class FeatureSpec(NamedTuple):
    """A network as it is named, and how pictures come to its size: a pass over all pictures."""

    network: str
    resize: str


class StatisticsFile(NamedTuple):
    """The reference's statistics in a file, and the program that wrote it: "ours", or one of `FORMS`."""

    file: Path
    form: str
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        images: where the pictures come from; `pictures` are those that `num` chose, `groups` one each, if asked for.
        real: the reference's pictures; None where there is none, or statistics are given: `saved`.
        others: the real pictures beside the reference that a ratio is to, if any.
        share: the folder that features are kept in while they are extracted, if any, and what of it is this process's.
    """

    options: Options
    images: Source
    real: Source | None
    others: Source | None
    saved: StatisticsFile | None
    pictures: tuple[Picture, ...]
    groups: tuple[str, ...] | None
    specs: tuple[FeatureSpec, ...]
    size: int | None
    device: str
    share: Share | None = None

    @property
    def left_out(self) -> list[str]:
        """Return what is not measured, as sentences."""
        notes = [note for side in (self.images, self.real, self.others) if side is not None for note in side.notes]
        for one in self.surveys.values():
            notes += one.notes
        return list(dict.fromkeys(notes))

    @cached_property
    def surveys(self) -> dict[str, Survey]:
        """Return what the files say of each side's pictures: "pictures", "references", "other real pictures"."""
        sides = {"pictures": (self.images.name, self.pictures)}
        for side, source in (("references", self.real), ("other real pictures", self.others)):
            if source is not None:
                sides[side] = (source.name, source.pictures)
        return {side: survey(name, pictures, self.size) for side, (name, pictures) in sides.items()}


def make_plan(options: Options) -> Plan:
    """Look at what the options name; ValueError says what is wrong or missing."""
    _require_sense(options)
    saved = _saved(options)
    specs, size = _specs(options, saved), options.size
    if options.protocol is not None:
        protocol = protocol_named(options.protocol)
        if options.network != (protocol.network,) or options.resize or size not in (None, protocol.size):
            raise ValueError(f"--protocol {options.protocol} fixes --network, --resize and --size: leave them out.")
        specs, size = tuple(FeatureSpec(protocol.network, resize) for resize in protocol.resizes), protocol.size
    if options.fdr is not None and len(specs) > len(options.network):
        raise ValueError("--fdr is a mean over networks, of one --resize each: name one.")
    for place, what in ((options.images, "measured"), (options.reference, "the reference")):
        if options.fdr not in (None, HALF) and place is not None and Path(options.fdr).resolve() == place.resolve():
            raise ValueError(f"--fdr {options.fdr} are the pictures that are {what}: name other real ones.")
    _require_keepable(options, specs)
    if saved is not None and options.save_stats is not None:  # under the names that several passes give them, too
        outputs.keep(_stats_files(specs, options.save_stats), _stats_files(specs, saved.file))
    images = open_source(options.images, options.by)
    real = None if saved or options.reference is None else open_source(options.reference, options.by)
    others = None if options.fdr in (None, HALF) else open_source(options.fdr)
    chosen = _chosen(len(images.pictures), options)
    groups = _groups(options, images, real, chosen)
    pictures = tuple(images.pictures[index] for index in chosen)
    device = command.chosen_device(options.device)
    return Plan(options, images, real, others, saved, pictures, groups, specs, size, device)


def stats_file(specs: Sequence[FeatureSpec], spec: FeatureSpec, path: Path) -> Path:
    """Return the file of a pass, with network and resizing in its name where there are several."""
    if len(specs) == 1:
        return path
    words = [spec.network] * (len({one.network for one in specs}) > 1)
    words += [spec.resize] * (len({one.resize for one in specs if one.network == spec.network}) > 1)
    return path.with_name("-".join([path.stem, *(re.sub(r"[^\w.-]+", "-", word) for word in words)]) + path.suffix)


def _stats_files(specs: Sequence[FeatureSpec], path: Path) -> list[Path]:
    return [path, *(stats_file(specs, spec, path) for spec in specs)]


def _require_sense(options: Options) -> None:
    if options.reference is None and options.save_stats is None:
        raise ValueError("Name a --reference to measure against, or a file for --save-stats.")
    if options.reference is None and (options.report or options.hub_results):
        raise ValueError("A --report tells distances to a --reference: name one, or leave out --report.")
    if options.precision != "float32":
        _require_precision(options)
    if options.groups == 1:
        raise ValueError("A jackknife needs two --groups or more, or 0 for no interval.")
    if options.stats_name and options.save_stats is None:
        raise ValueError("--stats-name names what --save-stats writes: name a file there.")
    if options.hub_results is not None and options.hub_dataset is None:
        raise ValueError("--hub-results are of a dataset on the hub: name it with --hub-dataset ID[:TASK].")


def _require_precision(options: Options) -> None:
    """Refuse what is of float32, before features are computed in another precision."""
    for network in options.network:
        kind = NETWORKS.get(network.partition(":")[0])
        if kind is not None and options.precision not in kind.precisions:
            raise ValueError(f"--precision {options.precision} is of --network inception and sfid, not of {network}.")
    for option, value in (("--protocol", options.protocol), ("--stats-form", options.stats_form)):
        if value is not None:
            raise ValueError(f"{option} {value} is of features in float32: leave out --precision {options.precision}.")


def _require_keepable(options: Options, specs: Sequence[FeatureSpec]) -> None:
    """Refuse what cannot be saved as it is asked for, before anything is measured."""
    if options.stats_form is not None:
        form, networks = FORMS[options.stats_form], [spec.network for spec in specs]
        fits = set(networks) <= {"inception", "sfid"} and {spec.resize for spec in specs} == {form.resize}
        if not fits or len(networks) > len(form.arrays):
            known = "inception and sfid" if len(form.arrays) > 1 else "inception"
            raise ValueError(f"--stats-form {options.stats_form} is of --network {known} and --resize {form.resize}.")
    elif options.stats_name is not None and len(specs) > 1:
        raise ValueError("--stats-name names one file: measure with one --network and one --resize.")


def _saved(options: Options) -> StatisticsFile | None:
    """Return the file of the reference's statistics, or None where the reference is pictures."""
    if options.reference is None:
        return None
    named = None if options.reference.exists() else named_statistics.find(str(options.reference))
    if named is not None:
        return StatisticsFile(named.file, options.reference_form or named.form or "ours", str(options.reference))
    file = options.reference.expanduser()
    _require_something(options.reference)
    if file.suffix != ".npz":
        if options.reference_form:
            raise ValueError(f"--reference-form is of an .npz of statistics, which {options.reference} is not.")
        return None
    if options.reference_form is not None:
        return StatisticsFile(file, options.reference_form)
    if not file.exists():
        return StatisticsFile(file, "ours")  # several may lie beside it: see `stats_file`
    if _holds_pictures_only(file):
        return None
    form = form_of(file)
    if form is None:
        raise ValueError(
            f"{file} does not say with which network and resizing it was taken: name the program that wrote it with "
            f"--reference-form ({', '.join(FORMS)}), or take the statistics again with --save-stats."
        )
    return StatisticsFile(file, form)


def _require_something(reference: Path) -> None:
    """ValueError for a bare word that is neither a place nor a name of statistics, which may be a name misspelled."""
    word = str(reference)
    if len(reference.parts) > 1 or reference.suffix == ".npz" or reference.exists() or word.startswith(("hub:", "~")):
        return
    known = ", ".join(named_statistics.names()) or "none yet; --stats-name gives one"
    raise ValueError(f"There is neither a folder nor a file {word}, and no statistics have that name (names: {known}).")


def _holds_pictures_only(file: Path) -> bool:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return "arr_0" in arrays.files and "mu" not in arrays.files
    except (OSError, ValueError, EOFError):
        return False


def _specs(options: Options, saved: StatisticsFile | None) -> tuple[FeatureSpec, ...]:
    """Return the passes: each network by every way of --resize that it knows, else by the first that fits."""
    for resize in options.resize:
        if not any(resize in resizes_of(network) for network in options.network):
            known = ", ".join(dict.fromkeys(one for network in options.network for one in resizes_of(network)))
            hint = f"it takes {known}" if known else "leave it out, for it has a way of its own"
            raise ValueError(f"--resize {resize} is not known to --network {' '.join(options.network)}: {hint}.")
    foreign = FORMS[saved.form].resize if saved is not None and saved.form in FORMS else None
    found = []
    for network in dict.fromkeys(options.network):
        own = resizes_of(network)
        asked = [resize for resize in options.resize if resize in own]
        first = [foreign] if foreign in own else own[:1]
        found += [FeatureSpec(network, resize) for resize in asked or first or ("its own",)]
    return tuple(found)


def _chosen(count: int, options: Options) -> list[int]:
    if options.num is None:
        return list(range(count))
    if not 2 <= options.num <= count:
        raise ValueError(f"--num must be from 2 to the {count:,} pictures of {options.images}, not {options.num}.")
    return sorted(np.random.default_rng(options.seed).permutation(count)[: options.num].tolist())


def _groups(options: Options, images: Source, real: Source | None, chosen: Sequence[int]) -> tuple[str, ...] | None:
    """Return the group of each chosen picture; ValueError where they are not known, or not to the reference."""
    if options.by is None:
        return None
    if images.groups is None:
        raise ValueError(
            f"--by {options.by}: {options.images} has no such groups. Give folder, for sub-folders, a column of its "
            "table or metadata file, or of files beside its pictures, as WebDataset has them, an ending or a key of "
            "the .json."
        )
    groups = tuple(images.groups[index] for index in chosen)
    if real is not None and real.groups is not None:
        strangers = sorted(set(groups) - set(real.groups))
        if strangers:
            raise ValueError(f"--by {options.by}: {options.reference} has no group {', '.join(strangers)}.")
    return groups
