"""What a folder of drawn pictures says of itself: `manifest.json` how they were drawn, `prompts.jsonl` each one."""

import os
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes

import pydantic

from evaluation.reporting.report import flat, write_text

MANIFEST = "manifest.json"
ROWS = "prompts.jsonl"
SIGNATURE, END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"  # of every PNG


# What decides no picture, or is decided by a hash or the rows beside it.
TOLD = {"command", "threads", "checkpoint", "checkpoint_hash", "prompts", "prompts_sha256"}


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Row(_Strict):
    """One picture: its file, the prompt that it was drawn from, its seed, and a real picture of the same ("": none)."""

    file: str
    id: str
    caption: str
    seed: int
    reference: str = ""

    @property
    def reference_path(self) -> Path | None:
        """Return the real picture, None where there is none, or where it is not on this machine."""
        path = as_path(self.reference)
        return path if path is not None and path.is_file() else None


class Manifest(_Strict):
    """All that decides the pictures of a folder, to the last byte.

    Attributes:
        prompts: name of the prompt set; prompts_sha256: over its ids and captions, in order.
        sampling: how they were drawn from their source.
        seed: of the first picture; picture i has seed + i.
        picture_size: pixels a side. batch_size: pictures that were drawn together, since a matrix product of
            another size rounds otherwise; threads: of the CPU, for the same reason; all that go on use as many.
        checkpoint: as it was named, prompts: the name of their source; what they are is told by the hashes, and they
            may lie elsewhere for those who go on.
        command: of the run that began; another may go on, so long as it means the same.
    """

    format: Literal[1] = 1
    prompts: str
    pictures: int
    sampling: dict[str, pydantic.JsonValue]
    prompts_sha256: str
    seed: int
    checkpoint: str
    checkpoint_hash: str
    settings: dict[str, pydantic.JsonValue]
    picture_size: int
    batch_size: int
    device: str
    dtype: str
    compiled: bool
    engine: str = "torch"
    threads: int
    versions: dict[str, str]
    command: str
    rows: tuple[Row, ...] = pydantic.Field(exclude=True, repr=False)

    @property
    def groups(self) -> list[tuple[Row, ...]]:
        """Return the pictures that are drawn together."""
        return [self.rows[first : first + self.batch_size] for first in range(0, len(self.rows), self.batch_size)]

    @property
    def left_behind(self) -> str:
        """Return what to say where real pictures of these prompts are not on this machine; "" where none is missing."""
        named = {row.reference: row for row in self.rows if row.reference}
        absent = [text for text, row in named.items() if row.reference_path is None]
        if not absent:
            return ""
        return (
            f"{len(absent):,} of the {len(named):,} real pictures that the manifest names are not on this machine (the "
            f"first is {absent[0]}): there is no ceiling, and no distance to them."
        )

    def difference(self, other: "Manifest") -> str:
        """Return the first thing that decides the pictures and differs, as "seed is 0 there, but 7 here", or ""."""
        if self.checkpoint_hash != other.checkpoint_hash:
            there, here = (f"{one.checkpoint} ({one.checkpoint_hash[:12]}…)" for one in (self, other))
            return f"checkpoint is {there} there, but {here} here"
        there, here = (dict(flat(manifest.model_dump(exclude=TOLD))) for manifest in (self, other))
        for name in there | here:
            if there.get(name) != here.get(name):
                return f"{name} is {there.get(name, 'not known')} there, but {here.get(name, 'not known')} here"
        for row, (theirs, ours) in enumerate(zip(self.rows, other.rows, strict=True), 1):
            for name in ("id", "caption"):
                if (old := getattr(theirs, name)) != (new := getattr(ours, name)):
                    return f"the {name} of prompt {row} is {old!r} there, but {new!r} here"
        return ""


def as_text(path: Path) -> str:
    """Return the path, or where its bytes are no Unicode its file:// address, which JSON can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.absolute().as_uri()
    return str(path)


def as_path(text: str) -> Path | None:
    """Return the inverse of `as_text`; None for ""."""
    if not text:
        return None
    return Path(os.fsdecode(unquote_to_bytes(text[7:])) if text.startswith("file://") else text)


def readable(text: str) -> str:
    """Return the text with what is no Unicode spelt out, as JSON can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None where there is none; ValueError when it cannot be understood."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        with (folder / ROWS).open(encoding="utf-8") as lines:
            rows = tuple(Row.model_validate_json(line) for line in lines)
        values = pydantic.TypeAdapter(dict).validate_json((folder / MANIFEST).read_bytes())
        return Manifest.model_validate({**values, "rows": rows})
    except (pydantic.ValidationError, FileNotFoundError, UnicodeDecodeError) as error:
        raise ValueError(
            f"The manifest of {folder} cannot be read: it is of another version or was changed. Name another folder."
        ) from error


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write both files, the manifest last: where it stands, the rows stand too."""
    write_text(folder / ROWS, "".join(row.model_dump_json() + "\n" for row in manifest.rows))
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def is_whole(picture: Path) -> bool:
    """Return whether a PNG is there from beginning to end: a full disk or a torn copy leaves less, or nothing."""
    try:
        with picture.open("rb") as file:
            begins = file.read(len(SIGNATURE)) == SIGNATURE
            file.seek(-len(END), os.SEEK_END)
            return begins and file.read() == END
    except OSError:
        return False
