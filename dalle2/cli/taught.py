"""The LoRAs of a record, found again where it is drawn again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dalle2 import hashes


def recorded(records: Sequence[Mapping[str, Any]], given: Sequence[str], folder: Path) -> list[str]:
    """Return FILE=WEIGHT for each LoRA that a record names, by which `load` merges them.

    A file is looked for among the `given` ones, in the current folder and in the picture's; what it holds counts, not
    its name. Without records those that are given stay as they are. ValueError for one that is not there.
    """
    if not records:
        return list(given)
    from dalle2.families.lora import split_weight  # takes seconds, which most pictures need not wait for

    places = [split_weight(text)[0] for text in given]
    found = []
    for record in records:
        try:
            name, wanted, weight = str(record["file"]), record["sha256"], float(record["weight"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("The record's LoRAs are damaged: the picture cannot be drawn again.") from error
        here = [place for place in (Path(name).name, folder / Path(name).name) if Path(place).is_file()]
        files = [Path(place) for place in (*places, *here)]
        file = next((file for file in files if hashes.of_file(file) == wanted), None)
        if file is None:
            raise ValueError(
                f"The picture was drawn with the LoRA {record.get('name')!r} ({name}, sha256 {str(wanted)[:8]}…), "
                "which is not here: give that file with --lora."
            )
        found.append(f"{file}={weight!r}")
    return found
