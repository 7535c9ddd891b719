"""What a folder of drawn pictures says of itself: `manifest.json` how they were drawn, `prompts.jsonl` each one.

And `cost.json` what one took, where that is known.
"""

from pathlib import Path
from typing import Literal

import pydantic

from evaluation.report import flat, write_text

MANIFEST = "manifest.json"
ROWS = "prompts.jsonl"
COST = "cost.json"


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
        return Path(self.reference) if self.reference else None


class Manifest(_Strict):
    """All that decides the pictures of a folder, to the last byte.

    Attributes:
        prompts: name of the prompt set; prompts_sha256: over its ids and captions, in order.
        sampling: how they were drawn from their source.
        seed: of the first picture; picture i has seed + i.
        picture_size: pixels a side. batch_size: pictures that were drawn together, since a matrix product of
            another size rounds otherwise; threads: of the CPU, for the same reason; all that go on use as many.
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
    threads: int
    versions: dict[str, str]
    command: str
    rows: tuple[Row, ...] = pydantic.Field(exclude=True, repr=False)

    def difference(self, other: "Manifest") -> str:
        """The first thing that decides the pictures and differs, as "seed is 0 there, but 7 here"; "" if none does."""
        free = {"command", "threads"}
        there, here = (dict(flat(manifest.model_dump(exclude=free))) for manifest in (self, other))
        for name in there | here:
            if there.get(name) != here.get(name):
                return f"{name} is {there.get(name, 'not known')} there, but {here.get(name, 'not known')} here"
        return ""


class Cost(_Strict):
    """Of a picture: seconds (None where too few batches were drawn to tell), and the process's peak memory in MB."""

    seconds_a_picture: float | None
    peak_megabytes: float
    processor: str = ""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder, None where there is none; ValueError when it cannot be understood."""
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


def read_cost(folder: Path) -> Cost | None:
    """What drawing the folder took; None unless one process drew it in one go."""
    file = folder / COST
    return Cost.model_validate_json(file.read_bytes()) if file.is_file() else None


def write_cost(cost: Cost, folder: Path) -> None:
    write_text(folder / COST, cost.model_dump_json() + "\n")
