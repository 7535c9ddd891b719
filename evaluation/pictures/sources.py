"""Where pictures are taken from: folders, archives, shards, tables, sets of the hub, and batches of ADM's evaluator.

All give the same: pictures in an order that is the same on every machine, what was left out, and which group each is
of, for tables by group.
"""

import posixpath
import re
import stat
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from evaluation.pictures.groups import FOLDER, first_folders, grouped, sample_of
from evaluation.pictures.image_folder import (
    SUFFIXES,
    FolderContents,
    files_below,
    is_picture,
    measured_pictures,
    why_left_out,
)
from evaluation.pictures.members import (
    ArrayRow,
    DatasetRow,
    ParquetCell,
    Readable,
    TarMember,
    ZipMember,
    array_rows,
)

Picture = Path | Readable
ARCHIVES = (".zip", ".tar", ".parquet", ".npz")
SHARDS = ARCHIVES[:3]
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
SPLIT = re.compile(r"(?<![a-z])(train|test|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)
KINDS = "a folder, a .zip, .tar or .parquet, a folder of such shards, hub:ID[:SPLIT], or an .npz with arr_0"
IMAGE_COLUMNS = ("image", "img", "picture", "png", "jpg", "jpeg", "webp")
REPLACED = "files that a later one of the same name replaces"
OTHER_COLUMNS = "other columns that hold files"


@dataclass(frozen=True)
class Source:
    """Pictures, and what a reader must know of where they come from.

    Attributes:
        name: of the place, for titles.
        folder: where a manifest may lie; None for what is no folder.
        pictures: those that are measured, in order.
        notes: what is left out, as sentences.
        groups: one a picture, where groups were asked for and are known.
    """

    name: str
    folder: Path | None
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None


def open_source(place: str | Path, by: str | None = None) -> Source:
    """List the pictures of a place, `KINDS`; ValueError says what is wrong with it.

    `by` asks for groups: "folder" for the first folder of each picture's path inside of the place, else a column of a
    table or of a set of the hub, or what `groups.grouped` finds. Where none are known, `groups` is None.
    """
    text = str(place)
    if text.startswith("hub:"):
        return _hub(text.removeprefix("hub:"), by)
    path = Path(text).expanduser()
    _require_uncompressed(path)
    if path.is_file() and path.suffix.lower() in ARCHIVES:
        return _shards(path.name, [path], by)
    if path.is_dir() and (shards := _shards_of(path)):
        return _shards(path.resolve().name, shards, by)
    if path.is_file():
        raise ValueError(f"Pictures are not taken from {path.name}: give {KINDS}.")
    found = measured_pictures(path)
    return Source(path.name, path, found.pictures, tuple(found.notes), _groups_of(found, by))


def _shards_of(folder: Path) -> list[Path]:
    """Return the archives in and below a folder without pictures of its own; none where it has some.

    A table beside a tar of its name is that one's metadata, as img2dataset writes it. ValueError for compressed tars,
    whose pictures would be missing, and for several splits of a set.
    """
    found = set()
    for path in files_below(folder, defaultdict(list)):
        if is_picture(path):
            return []
        if path.name.lower().endswith((*SHARDS, *COMPRESSED)) and not path.name.startswith(".") and path.is_file():
            found.add(path)
    shards = sorted(path for path in found if path.suffix != ".parquet" or path.with_suffix(".tar") not in found)
    for shard in shards:
        _require_uncompressed(shard)
    names = [shard.relative_to(folder).as_posix() for shard in shards]
    splits = sorted({match[0].lower() for name in names if (match := SPLIT.search(name))})
    if len(splits) > 1:
        raise ValueError(
            f"{folder} holds the splits {', '.join(splits)}: name the one that is meant, as hub:{folder}:{splits[0]}, "
            f"or hub:{folder}:{'+'.join(splits)} for all of them."
        )
    return shards


def _require_uncompressed(path: Path) -> None:
    if path.name.lower().endswith(COMPRESSED):
        raise ValueError(f"{path} is a compressed tar, whose pictures cannot be read one by one: decompress it first.")


def _shards(name: str, shards: Sequence[Path], by: str | None) -> Source:
    pictures: list[Picture] = []
    of_shards: dict[Path, list[str] | None] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    for shard in shards:
        found, of_shards[shard] = _READERS[shard.suffix.lower()](shard, by, left_out)
        pictures += found
    sorted_out = {why: sorted(names) for why, names in sorted(left_out.items()) if names}
    notes = FolderContents(Path(name), (), sorted_out).notes
    if not pictures:
        raise ValueError(f"{name} holds no pictures.{''.join(f' {note}' for note in notes)}")
    notes += _several_a_sample(pictures)
    return Source(name, None, tuple(pictures), tuple(notes), _groups_of_shards(of_shards, pictures, by))


def _groups_of_shards(
    of_shards: Mapping[Path, list[str] | None], pictures: Sequence[Picture], by: str | None
) -> tuple[str, ...] | None:
    """Return the groups of all shards; folders are those in which all of them differ. ValueError where some have none.

    None where no shard has any.
    """
    known = [groups for groups in of_shards.values() if groups]
    if by is None:
        return None
    if by == FOLDER and not known:
        folders = first_folders([one.name for one in pictures])
        return None if folders is None else tuple(folders)
    if silent := [shard for shard, groups in of_shards.items() if groups is None and known]:
        raise ValueError(f"{silent[0]} says nothing of {by}, and other shards do.")
    return tuple(chain.from_iterable(known)) if known else None


def _several_a_sample(pictures: Sequence[Picture]) -> list[str]:
    """Say where a sample of WebDataset, the files of one name up to its first dot, has several pictures."""
    members = (one for one in pictures if isinstance(one, TarMember))
    samples = ((one.archive, *sample_of(one.name)) for one in members)
    endings = {ending for a, b in pairwise(samples) if a[:2] == b[:2] for ending in (a[2], b[2])}
    if not 2 <= len(endings) <= 8:  # more are no endings, but names with dots
        return []
    return [f"Some samples have several pictures ({', '.join(sorted(endings))}): each is measured."]


Entry = TypeVar("Entry")
Listed = tuple[Sequence[Picture], list[str] | None]


def _of_zip(archive: Path, by: str | None, left_out: dict[str, list[str]]) -> Listed:
    try:
        with zipfile.ZipFile(archive) as file:
            listed = [entry for entry in file.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{archive} cannot be read as a zip ({error}): it may be cut short.") from error
    if any(entry.flag_bits & 1 for entry in listed):
        raise ValueError(f"{archive} asks for a password: unpack it first.")
    entries = _by_name([(entry.filename, entry) for entry in listed], left_out)
    links = [name for name, entry in entries.items() if stat.S_ISLNK(entry.external_attr >> 16)]
    _leave_out(links, "links", left_out)
    names = _measured(entries.keys() - set(links), left_out)
    members = {name: ZipMember(archive, name) for name in entries}
    return [members[name] for name in names], _grouped(archive, names, by, members)


def _of_tar(archive: Path, by: str | None, left_out: dict[str, list[str]]) -> Listed:
    try:
        with tarfile.open(archive, "r:") as file:
            listed = [(entry.name, entry) for entry in file if not entry.isdir()]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{archive} cannot be read as a tar ({error}): it may be cut short.") from error
    members = _by_name(listed, left_out)
    entries = {name: target for name, entry in members.items() if (target := _target(entry, members)) is not None}
    _leave_out(members.keys() - entries.keys(), "links to nothing", left_out)
    end = archive.stat().st_size
    if short := [name for name, entry in entries.items() if entry.offset_data + entry.size > end]:
        raise ValueError(f"{archive} is cut short: {short[0]} is not whole. Fetch it again.")
    names = _measured(list(entries), left_out)
    whole = {name: TarMember(archive, name, entry.offset_data, entry.size) for name, entry in entries.items()}
    return [whole[name] for name in names], _grouped(archive, names, by, whole)


def _target(entry: tarfile.TarInfo, members: Mapping[str, tarfile.TarInfo]) -> tarfile.TarInfo | None:
    """Return the file that a member is, or that it links to inside of the archive; None where there is none."""
    met = set()
    while not entry.isfile():
        if not (entry.islnk() or entry.issym()) or entry.name in met:
            return None
        met.add(entry.name)
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(entry.name), entry.linkname))
        following = members.get(entry.linkname if entry.islnk() else beside)
        if following is None:
            return None
        entry = following
    return entry


def _of_parquet(table: Path, by: str | None, left_out: dict[str, list[str]]) -> Listed:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(table)
        schema, metadata = file.schema_arrow, file.metadata
        holding = [field.name for field in schema if _holds_bytes(field.type)]
        column = _image_column(table, holding, [field.name for field in schema])
        left_out[OTHER_COLUMNS] += [name for name in holding if name not in (column, *left_out[OTHER_COLUMNS])]
        groups = None
        if by is not None and by in schema.names:
            groups = [str(value) for value in file.read(columns=[by])[by].to_pylist()]
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{table} cannot be read as Parquet ({str(error).splitlines()[0]}).") from error
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [ParquetCell(table, column, group, row) for group, n in enumerate(counts) for row in range(n)], groups


def _of_array(archive: Path, by: str | None, left_out: dict[str, list[str]]) -> Listed:
    found: Sequence[ArrayRow] = array_rows(archive)
    return found, None


_READERS = {".zip": _of_zip, ".tar": _of_tar, ".parquet": _of_parquet, ".npz": _of_array}


def _hub(source: str, by: str | None) -> Source:
    """List a set of `datasets`: an id, or a folder of one, with its split."""
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    place, _, split = source.partition(":")
    try:
        rows: Any = datasets.load_dataset(place, split=split or None)
    except (DatasetNotFoundError, OSError, ValueError, RuntimeError, ConnectionError) as error:
        raise ValueError(f"The set {place} could not be opened ({str(error).strip().splitlines()[0]}).") from error
    if isinstance(rows, dict):
        if len(rows) > 1:
            raise ValueError(f"{place} has several splits: name one, as hub:{place}:{next(iter(rows))}.")
        rows = next(iter(rows.values()))
    decoded = [name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    pictures = decoded or [name for name, kind in rows.features.items() if _is_of_bytes(kind)]
    column = _image_column(place, pictures, list(rows.features))
    groups = None
    if by is not None and by in rows.features:
        kind = rows.features[by]
        values = rows.select_columns([by])[by]
        named = isinstance(kind, datasets.ClassLabel)
        groups = tuple(str(kind.int2str(value)) if named else str(value) for value in values)
    raw = rows.select_columns([column])
    raw = raw.cast_column(column, datasets.Image(decode=False)) if decoded else raw
    found = tuple(DatasetRow(raw, column, index) for index in range(len(raw)))
    if not found:
        raise ValueError(f"The set {place} is empty.")
    name = place.rstrip("/").rpartition("/")[2]
    others = [one for one in pictures if one != column]
    notes = FolderContents(Path(name), (), {OTHER_COLUMNS: others} if others else {}).notes
    return Source(name, None, found, tuple(notes), groups)


def _is_of_bytes(kind: Any) -> bool:
    return "bytes" in kind if isinstance(kind, dict) else "binary" in str(getattr(kind, "dtype", ""))


def _image_column(place: object, holding: Sequence[str], columns: Sequence[str]) -> str:
    named = [name for wanted in IMAGE_COLUMNS for name in holding if name.lower() == wanted]
    if not (found := named or list(holding)[:1]):
        raise ValueError(f"{place} has no column of pictures' files, as bytes: it has {', '.join(columns)}.")
    return found[0]


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    if types.is_dictionary(kind):
        return _holds_bytes(kind.value_type)
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def _by_name(listed: Iterable[tuple[str, Entry]], left_out: dict[str, list[str]]) -> dict[str, Entry]:
    """Return the entries of an archive, of those of one name the last, as unpacking would leave it."""
    found: dict[str, Entry] = {}
    for name, entry in listed:
        if name in found:
            _leave_out([name], REPLACED, left_out)
        found[name] = entry
    return found


def _leave_out(names: Iterable[str], why: str, left_out: dict[str, list[str]]) -> None:
    if pictures := [name for name in names if name.lower().endswith(SUFFIXES)]:
        left_out[why] += pictures


def _measured(names: Iterable[str], left_out: dict[str, list[str]]) -> list[str]:
    """Return the names of pictures, sorted; what else somebody may miss goes to `left_out`."""
    found = []
    for name in names:
        path = PurePosixPath(name)
        if any(part.startswith((".", "__MACOSX")) for part in path.parts[:-1]):
            left_out["hidden folders"].append(name)
        elif why := why_left_out(path):
            left_out[why].append(name)
        elif path.suffix.lower() in SUFFIXES:
            found.append(name)
    return sorted(found)


def _grouped(archive: Path, names: Sequence[str], by: str | None, members: Mapping[str, Readable]) -> list[str] | None:
    """Return the groups that an archive's files tell of its pictures; folders are compared over all shards."""
    if by in (None, FOLDER):
        return None
    if not names:
        return []
    known = {posixpath.normpath(name): one for name, one in members.items()}
    return grouped(archive, names, by, lambda name: known[name].read_bytes() if name in known else None)


def _groups_of(found: FolderContents, by: str | None) -> tuple[str, ...] | None:
    if by is None:
        return None
    names = [path.relative_to(found.folder).as_posix() for path in found.pictures]

    def read(name: str) -> bytes | None:
        file = found.folder / name
        return file.read_bytes() if file.is_file() else None

    groups = first_folders(names) if by == FOLDER else grouped(found.folder, names, by, read)
    return None if groups is None else tuple(groups)
