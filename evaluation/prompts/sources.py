"""Where prompts are read from: COCO and Karpathy files, `datasets`, the emoji test split, lists and folders.

Every reader gives all captions of its source, in the source's order; which of them are drawn is for `prompts`.
"""

import dataclasses
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle2.datasets.caption_columns import captions_of, clean_caption
from dalle2.datasets.captions import canonical_caption
from dalle2.datasets.emoji import TEST_SPLIT
from evaluation.pictures.image_folder import look_into
from evaluation.pictures.manifest import as_path, read_manifest
from evaluation.prompts import KINDS
from evaluation.prompts.tables import CAPTION, read_json, read_table, read_text

# The columns of a list or of a hub's set that are taken unless others are named, in small or capital letters.
COLUMNS = {
    "id": ("id", "prompt_id", "caption_id", "text_id", "sentid", ""),
    "caption": ("caption", "captions", "sentences", "sentences_raw", "prompt", "text", "answer"),
    "reference": ("reference", "file_name", "filename", "image_id", "cocoid"),
}
LISTS = (".jsonl", ".csv", ".tsv", ".json", ".parquet", ".txt")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A caption to draw, and the picture that it describes.

    Attributes:
        reference: that picture's file; None where the source comes without pictures.
        picture: its name or path as the source states it, "" where it states none.
        row: what the captions of one row of a list have in common, "" where a row has one caption.
        numbered: whether `id` and `row` are only the row's number, so that no file is named by them.
    """

    id: str
    caption: str
    reference: Path | None = None
    picture: str = ""
    row: str = ""
    numbered: bool = False


def read_source(source: str) -> tuple[str, list[Prompt], list[str]]:
    """Return the source's name, without the way to it, all its prompts, and what was left out; see `KINDS`.

    A list or a hub's set names its columns after a #, as in `list.csv#caption=text,id=number`. A set of the hub
    also takes `config=` and `revision=` there. ValueError says what is wrong with the source.
    """
    place, columns = _columns(source)
    kind, _, rest = place.partition(":")
    if columns and kind != "hub" and Path(place).suffix.lower() not in LISTS:
        raise ValueError(f"Columns are named for lists and for sets of the hub only, not for {place}.")
    match kind:
        case "coco" if rest:
            return *_coco(Path(rest).expanduser()), []
        case "karpathy" if rest:
            return *_karpathy(rest), []
        case "hub" if rest:
            return *_hub(rest, columns), []
        case "emoji":
            return *_emoji(Path(rest).expanduser() if rest else None), []
    path = Path(place).expanduser()
    if path.suffix.lower() in LISTS and path.is_file():
        return path.name, _list(path, columns), []
    if path.is_dir():
        return path.resolve().name, *_folder(path)
    raise ValueError(f"There are no prompts at {source!r}: give {KINDS}.")


def _columns(source: str) -> tuple[str, dict[str, str]]:
    """Split "list.csv#caption=text,id=number" into "list.csv" and {"caption": "text", "id": "number"}."""
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
    table = read_json(file)
    try:
        names = {image["id"]: _name(image["file_name"], str(file), "file_name") for image in table["images"]}
        entries = sorted(table["annotations"], key=lambda entry: entry["id"])
        captions = [(_name(entry["id"], str(file), "id"), entry["image_id"], entry["caption"]) for entry in entries]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is no COCO caption file: it needs images with id and file_name, and annotations with id, "
            f"image_id and caption ({type(error).__name__}: {error})."
        ) from error
    if len(names) < len(table["images"]):
        raise ValueError(f"{file}: two pictures have one id, so it is not known whose a caption is.")
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
        images = [image for image in read_json(file)["images"] if image["split"] == split]
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
            f"{file} is not a file of Karpathy's split: it needs images with filename, split and sentences, these with "
            f"sentid and raw ({type(error).__name__}: {error})."
        ) from error
    if not prompts:
        raise ValueError(f"{file} has no captions of the split {split!r}.")
    return f"karpathy {split}", _with_references(prompts, file.parent)


def _karpathy_name(image: Mapping[str, Any]) -> str:
    return f"{image['filepath']}/{image['filename']}" if "filepath" in image else image["filename"]


def _emoji(folder: Path | None) -> tuple[str, list[Prompt]]:
    """Read the held-out pictures of the embedded checkpoint's set, in `folder` as <concept>-<style>.png where given."""
    rows = [row for _, row in read_table(TEST_SPLIT)]
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
    """Return a set of the hub, or a local one that `datasets` opens, streamed; its pictures are not fetched."""
    import datasets.exceptions  # takes seconds, which no other source needs

    place, _, split = rest.rpartition(":") if ":" in rest else (rest, "", "")
    split = split or "test"
    try:
        rows = datasets.load_dataset(
            place, columns.get("config"), split=split, revision=columns.get("revision"), streaming=True
        )
        names = rows.column_names or list(next(iter(rows), {}))
        chosen = _choose(names, columns, place)
        rows = rows.select_columns([name for name in chosen.values() if name is not None])
        placed = ((f"{place}, row {number}", row) for number, row in enumerate(rows))
        return f"hub {Path(place).name} {split}", list(_prompts(placed, chosen))
    except (OSError, RuntimeError, datasets.exceptions.DatasetNotFoundError) as error:
        raise ValueError(
            f"datasets cannot read the split {split!r} of {place}: {error} (a split is named as in hub:{place}:train; "
            "a set that is a script may have the revision refs/convert/parquet)."
        ) from error


def _list(file: Path, columns: Mapping[str, str]) -> list[Prompt]:
    """Return a list with a caption a row, or several; pictures are named from the list's own folder."""
    rows = read_table(file, lambda names: filter(None, _choose(names, columns, file.name).values()))
    if not rows:
        raise ValueError(f"{file} is empty: it needs a caption a row.")
    if file.suffix.lower() == ".txt":
        _require_prompts(rows)
    names = list(dict.fromkeys(name for _, row in rows for name in row))  # rows of JSON may have names of their own
    return _with_references(list(_prompts(rows, _choose(names, columns, file.name))), file.parent)


def _require_prompts(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """ValueError for a text file whose lines are rows of a table."""
    names = [name.strip().lower() for name in rows[0][1][CAPTION].split(",")]
    table = len(names) > 1 and set(names) & set(COLUMNS["caption"])
    if where := rows[0][0] if table else next((where for where, row in rows if "\t" in row[CAPTION]), ""):
        raise ValueError(f"{where} is a row of a table, not a prompt: name the file .csv, or .tsv where tabs part it.")


def _choose(names: list[str], asked: Mapping[str, str], where: str) -> dict[str, str | None]:
    """Which column is the id, the caption and the reference; None where there is none of that kind."""
    chosen = {}
    for kind, usual in COLUMNS.items():
        if kind in asked and asked[kind] not in names:
            raise ValueError(f"{where} has no column {asked[kind]!r}: it has {', '.join(map(repr, names))}.")
        small = {name.lower(): name for name in reversed(names)} | {name: name for name in names}
        chosen[kind] = asked.get(kind) or next((small[name] for name in usual if name in small), None)
    if chosen["caption"] is None:
        raise ValueError(
            f"{where} has no column of captions: it has {', '.join(map(repr, names))}; name one, as #caption=NAME."
        )
    return chosen


def _prompts(rows: Iterable[tuple[str, Mapping[str, Any]]], chosen: Mapping[str, str | None]) -> Iterator[Prompt]:
    numbered = chosen["id"] is None
    for number, (where, row) in enumerate(rows):
        row_id = str(number) if numbered else _name(row.get(chosen["id"]), where, chosen["id"])
        if not row_id:
            raise ValueError(f"{where} has no {chosen['id']}.")
        column = chosen["reference"]
        picture = "" if column is None else _name(row.get(column), where, column)
        said = row.get(chosen["caption"])
        captions = captions_of(said, where)
        if not isinstance(said.get("raw") if isinstance(said, Mapping) else said, list):
            yield Prompt(row_id, captions[0], picture=picture, numbered=numbered)
            continue
        picture = picture or ("" if numbered else row_id)
        for index, caption in enumerate(captions):
            yield Prompt(f"{row_id}-{index}", caption, picture=picture, row=row_id, numbered=numbered)


def _name(value: object, where: str, column: str) -> str:
    """Return an id or a picture's name as text, "" for none; ValueError for what names nothing."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():  # what tables make of whole numbers beside empty cells
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{where}: {column} is a text or a whole number, not {value!r}.")
    text = str(value)
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{where}: {column} {text!r} holds what no text has (NUL, or half of a character).")
    return text


def _folder(folder: Path) -> tuple[list[Prompt], list[str]]:
    """Pictures with captions: drawn by `generation`, or with a metadata file, or each with a .txt beside it."""
    if manifest := read_manifest(folder):
        # a table by id, for a prompt may have been drawn several times
        drawn = {row.id: row for row in manifest.rows}.values()
        return [Prompt(row.id, row.caption, as_path(row.reference), row.reference) for row in drawn], []
    lists = [folder / name for name in METADATA if (folder / name).is_file()]
    if len(lists) > 1:
        raise ValueError(f"{folder} holds {lists[0].name} and {lists[1].name}: keep the one that is right.")
    if lists:
        return _list(lists[0], {}), []
    prompts, found = [], look_into(folder)
    for file in found.pictures:
        text = file.with_suffix(".txt")
        if not text.is_file():
            raise ValueError(
                f"{file} has no caption: write it into {text.name} beside it, or write a metadata.jsonl of "
                "file_name and caption into the folder."
            )
        name = file.relative_to(folder).as_posix()
        prompts.append(Prompt(name, clean_caption(read_text(text), str(text)), file, name))
    return prompts, found.notes


def _with_references(prompts: list[Prompt], folder: Path) -> list[Prompt]:
    """Return the prompts with the files of their pictures, or as they are where `folder` has none of these.

    `settle_references` looks whether those of a sample are there: of COCO nobody needs all.
    """
    files = {name: _file(folder, name) for name in dict.fromkeys(prompt.picture for prompt in prompts) if name}
    if not any(file.is_file() for file in files.values()):
        return prompts
    # without a name the folder itself, which is no picture
    return [dataclasses.replace(prompt, reference=files.get(prompt.picture, folder)) for prompt in prompts]


def settle_references(prompts: list[Prompt]) -> tuple[list[Prompt], str]:
    """Return the prompts with their pictures if all are there, without any if none is, and what is to be said.

    ValueError when some are there and some are not: numbers over the rest would be of another set.
    """
    described = {prompt.picture: prompt for prompt in prompts if prompt.reference is not None}
    absent = [prompt for prompt in described.values() if prompt.reference and not prompt.reference.is_file()]
    if not absent:
        return prompts, ""
    first = f"{absent[0].reference}, of the prompt {absent[0].id!r}"
    if len(absent) < len(described):
        raise ValueError(
            f"{len(absent):,} of the {len(described):,} described pictures cannot be found, the first is {first}: "
            "complete them, or move the others away to do without pictures."
        )
    note = f"None of the {len(described):,} described pictures can be found, the first is {first}: they are left out."
    return [dataclasses.replace(prompt, reference=None) for prompt in prompts], note


def _file(folder: Path, name: str) -> Path:
    """Find the file of a picture, however its name writes letters with accents: a Mac parts them, others do not."""
    forms = (folder / form for form in (name, *(unicodedata.normalize(kind, name) for kind in ("NFC", "NFD"))))
    return next((file for file in forms if file.is_file()), folder / name)
