"""Where prompts are read from: COCO and Karpathy files, `datasets`, the emoji test split, lists and folders.

Every reader gives all captions of its source, in the source's order; which of them are drawn is for `prompts`.
"""

import csv
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet

from dalle2.datasets.caption_columns import captions_of, clean_caption
from dalle2.datasets.captions import canonical_caption
from dalle2.datasets.emoji import TEST_SPLIT
from evaluation.folder import find_pictures
from evaluation.manifest import read_manifest

# The columns of a list or of a hub's set that are taken unless others are named.
COLUMNS = {
    "id": ("id", "prompt_id", "caption_id", "text_id", "sentid", ""),
    "caption": ("caption", "captions", "sentences", "sentences_raw", "prompt", "text", "answer"),
    "reference": ("reference", "file_name", "filename", "image_id", "cocoid"),
}
LISTS = (".jsonl", ".csv", ".parquet")
KINDS = (
    "coco:FOLDER, karpathy:FILE.json[:SPLIT], hub:ID[:SPLIT], emoji[:PICTURES], "
    "a .jsonl, .csv or .parquet list, or a folder of pictures"
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A caption to draw, the picture that it describes by name ("" where unknown), and that picture's file."""

    id: str
    caption: str
    reference: Path | None = None
    picture: str = ""


def read_source(source: str) -> tuple[str, list[Prompt]]:
    """The source's name, without the way to it, and all its prompts; see `KINDS` for what a source is.

    A list or a hub's set names its columns after a #, as in `list.csv#caption=text,id=number`. A set of the hub
    also takes `config=` and `revision=` there. ValueError says what is wrong with the source.
    """
    place, columns = _columns(source)
    kind, _, rest = place.partition(":")
    if columns and kind != "hub" and Path(place).suffix.lower() not in LISTS:
        raise ValueError(f"Columns are named for lists and for sets of the hub only, not for {place}.")
    match kind:
        case "coco" if rest:
            return _coco(Path(rest).expanduser())
        case "karpathy" if rest:
            return _karpathy(rest)
        case "hub" if rest:
            return _hub(rest, columns)
        case "emoji":
            return _emoji(Path(rest).expanduser() if rest else None)
    path = Path(place).expanduser()
    if path.suffix.lower() in LISTS and path.is_file():
        return path.name, _list(path, columns)
    if path.is_dir():
        return path.resolve().name, _folder(path)
    raise ValueError(f"There are no prompts at {source!r}: give {KINDS}.")


def _columns(source: str) -> tuple[str, dict[str, str]]:
    """ "list.csv#caption=text,id=number" -> ("list.csv", {"caption": "text", "id": "number"})"""
    place, mark, tail = source.rpartition("#")
    if not mark or "=" not in tail:
        return source, {}
    columns = {}
    for part in tail.split(","):
        name, _, value = part.partition("=")
        if name not in (*COLUMNS, "config", "revision"):
            raise ValueError(f"{source!r}: after # come id=, caption=, reference= (config=, revision=), not {part!r}.")
        columns[name] = value
    return place, columns


def _coco(path: Path) -> tuple[str, list[Prompt]]:
    """COCO's own layout: `annotations/captions_val2014.json` beside `val2014/`, or the same of 2017."""
    file = path if path.is_file() else _caption_file(path)
    table = _read_json(file)
    try:
        names = {image["id"]: image["file_name"] for image in table["images"]}
        entries = sorted(table["annotations"], key=lambda entry: entry["id"])
        captions = [(str(entry["id"]), entry["image_id"], entry["caption"]) for entry in entries]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is no COCO caption file: it needs images with id and file_name, and annotations with id, "
            f"image_id and caption ({type(error).__name__}: {error})."
        ) from error
    if strays := [name for name, image, _ in captions if image not in names]:
        raise ValueError(
            f"{file}: {len(strays)} captions (the first is {strays[0]}) are of pictures that it does not list: "
            "download it again."
        )
    split = file.stem.removeprefix("captions_")
    prompts = [Prompt(id, clean_caption(text, f"{file}: {id}"), picture=names[image]) for id, image, text in captions]
    return f"coco {split}", _with_references(prompts, file.parent.parent / split)


def _caption_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"{folder} is neither a COCO folder nor a caption file.")
    found = [file for year in (2014, 2017) if (file := folder / f"annotations/captions_val{year}.json").is_file()]
    if not found:
        raise ValueError(
            f"{folder} holds neither annotations/captions_val2014.json nor annotations/captions_val2017.json: unpack "
            "COCO's annotations_trainval there, or name a caption file."
        )
    if len(found) > 1:
        raise ValueError(f"{folder} holds two caption files: choose one, as coco:{found[0]} or coco:{found[1]}.")
    return found[0]


def _karpathy(rest: str) -> tuple[str, list[Prompt]]:
    """Karpathy's split: `dataset_coco.json`, whose "test" has 5,000 pictures; val2014/ may stand beside it."""
    place, named, split = rest.partition(".json:")
    file, split = Path(f"{place}.json" if named else rest).expanduser(), split or "test"
    try:
        images = [image for image in _read_json(file)["images"] if image["split"] == split]
        prompts = [
            Prompt(
                str(said["sentid"]),
                clean_caption(said["raw"], f"{file}: {said['sentid']}"),
                picture=_karpathy_name(image),
            )
            for image in images
            for said in image["sentences"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is no file of Karpathy's split: it needs images with filename, split and sentences, these with "
            f"sentid and raw ({type(error).__name__}: {error})."
        ) from error
    if not prompts:
        raise ValueError(f"{file} has no captions of the split {split!r}.")
    return f"karpathy {split}", _with_references(prompts, file.parent)


def _karpathy_name(image: Mapping[str, Any]) -> str:
    return f"{image['filepath']}/{image['filename']}" if "filepath" in image else image["filename"]


def _emoji(folder: Path | None) -> tuple[str, list[Prompt]]:
    """The held-out pictures of the embedded checkpoint's set, in `folder` as <concept>-<style>.png where given."""
    with TEST_SPLIT.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    names = [f"{row['concept']}-{row['style'].replace(' ', '-')}" for row in rows]
    prompts = [
        Prompt(name, canonical_caption(row), picture=f"{name}.png") for name, row in zip(names, rows, strict=True)
    ]
    if folder is None:
        return "emoji test split", prompts
    prompts = _with_references(prompts, folder)
    if prompts[0].reference is None:
        raise ValueError(f"{folder} holds no picture of the emoji test split, such as {prompts[0].picture}.")
    return "emoji test split", prompts


def _hub(rest: str, columns: Mapping[str, str]) -> tuple[str, list[Prompt]]:
    """A set of the hub, or a local one that `datasets` opens, streamed; its pictures are not fetched."""
    import datasets  # takes seconds, which no other source needs

    place, _, split = rest.rpartition(":") if ":" in rest else (rest, "", "")
    split = split or "test"
    try:
        rows = datasets.load_dataset(
            place, columns.get("config"), split=split, revision=columns.get("revision"), streaming=True
        )
        names = rows.column_names or list(next(iter(rows), {}))
        chosen = _choose(names, columns, place)
        rows = rows.select_columns([name for name in chosen.values() if name is not None])
        return f"hub {Path(place).name} {split}", list(_prompts(rows, chosen, place))
    except (OSError, RuntimeError, datasets.exceptions.DatasetNotFoundError) as error:
        raise ValueError(
            f"datasets cannot read the split {split!r} of {place}: {error} (a split is named as in hub:{place}:train; "
            "a set that is a script may have the revision refs/convert/parquet)."
        ) from error


def _list(file: Path, columns: Mapping[str, str]) -> list[Prompt]:
    """A list with a caption a row, or several; pictures are named from the list's own folder."""
    rows: Iterable[Mapping[str, Any]]
    match file.suffix.lower():
        case ".csv":
            rows = _read_csv(file)
        case ".jsonl":
            rows = _read_jsonl(file)
        case _:
            table = pyarrow.parquet.ParquetFile(file)
            wanted = [
                name for name in _choose(table.schema_arrow.names, columns, file.name).values() if name is not None
            ]
            rows = [row for batch in table.iter_batches(columns=wanted) for row in batch.to_pylist()]
    if not rows:
        raise ValueError(f"{file} is empty: it needs a caption a row.")
    chosen = _choose(list(rows[0]), columns, file.name)
    return _with_references(list(_prompts(rows, chosen, file.name)), file.parent)


def _read_csv(file: Path) -> list[dict[str, Any]]:
    # newline="" because captions may hold line breaks, utf-8-sig because spreadsheets write a mark first
    with file.open(encoding="utf-8-sig", newline="") as lines:
        try:
            return list(csv.DictReader(lines))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not a CSV file in UTF-8: {error}.") from error


def _read_jsonl(file: Path) -> list[dict[str, Any]]:
    rows = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line) if line.strip() else None
            except json.JSONDecodeError as error:
                raise ValueError(f"{file}, line {number} is not JSON: {error}.") from error
            if isinstance(row, dict):
                rows.append(row)
            elif row is not None:
                raise ValueError(f"{file}, line {number} is not a table of names and values.")
    return rows


def _choose(names: list[str], asked: Mapping[str, str], where: str) -> dict[str, str | None]:
    """Which column is the id, the caption and the reference; None where there is none of that kind."""
    chosen = {}
    for kind, usual in COLUMNS.items():
        if kind in asked and asked[kind] not in names:
            raise ValueError(f"{where} has no column {asked[kind]!r}: it has {', '.join(map(repr, names))}.")
        chosen[kind] = asked.get(kind) or next((name for name in usual if name in names), None)
    if chosen["caption"] is None:
        raise ValueError(
            f"{where} has no column of captions: it has {', '.join(map(repr, names))}; name one, as #caption=NAME."
        )
    return chosen


def _prompts(rows: Iterable[Mapping[str, Any]], chosen: Mapping[str, str | None], where: str) -> Iterator[Prompt]:
    for number, row in enumerate(rows):
        row_id = number if chosen["id"] is None else row.get(chosen["id"])
        if row_id is None or row_id == "":
            raise ValueError(f"{where}: row {number} has no {chosen['id']}.")
        picture = "" if chosen["reference"] is None else str(row.get(chosen["reference"]) or "")
        said = row.get(chosen["caption"])
        captions = captions_of(said, f"{where}: row {number}")
        if not isinstance(said.get("raw") if isinstance(said, Mapping) else said, list):
            yield Prompt(str(row_id), captions[0], picture=picture)
            continue
        for index, caption in enumerate(captions):
            yield Prompt(f"{row_id}-{index}", caption, picture=picture or str(row_id))


def _folder(folder: Path) -> list[Prompt]:
    """Pictures with captions: drawn by `generation`, or with a metadata file, or each with a .txt beside it."""
    if manifest := read_manifest(folder):
        # a table by id, for a prompt may have been drawn several times
        drawn = {row.id: row for row in manifest.rows}.values()
        return [Prompt(row.id, row.caption, row.reference_path, row.reference) for row in drawn]
    for name in ("metadata.jsonl", "metadata.csv", "metadata.parquet"):
        if (folder / name).is_file():
            return _list(folder / name, {})
    prompts = []
    for file in find_pictures(folder):
        text = file.with_suffix(".txt")
        if not text.is_file():
            raise ValueError(
                f"{file} has no caption: write it into {text.name} beside it, or write a metadata.jsonl of "
                "file_name and caption into the folder."
            )
        name = file.relative_to(folder).as_posix()
        prompts.append(Prompt(name, clean_caption(text.read_text(encoding="utf-8"), str(text)), file, name))
    return prompts


def _with_references(prompts: list[Prompt], folder: Path) -> list[Prompt]:
    """The prompts with their pictures' files, or as they are where `folder` has none of these.

    ValueError when some are there and some are not: numbers over the rest would be of another set.
    """
    names = {prompt.picture for prompt in prompts}
    absent = {name for name in names if not name or not (folder / name).is_file()}
    if absent == names:
        return prompts
    if absent:
        raise ValueError(
            f"{folder} has only {len(names) - len(absent):,} of the {len(names):,} pictures that are described: "
            f"complete it (the first that is missing is {min(absent)!r}), or remove it to do without pictures."
        )
    return [dataclasses.replace(prompt, reference=folder / prompt.picture) for prompt in prompts]


def _read_json(file: Path) -> Any:
    if not file.is_file():
        raise ValueError(f"There is no file {file}.")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not JSON, perhaps because a download broke off: {error}.") from error
