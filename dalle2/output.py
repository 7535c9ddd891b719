"""Where a command line's pictures go: names of files, and the bar that stands meanwhile."""

import re
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from dalle2.settings import Step


def file_names(out: str, words: str, numbers: Sequence[int]) -> list[Path]:
    """A file for each number: in the folder `out`, named by the words, or beside the name `out` with its suffix.

    ValueError for a name that does not end in .png.
    """
    path = Path(out).expanduser()
    if path.suffix and not path.is_dir():
        if path.suffix.lower() != ".png":
            raise ValueError(f"Pictures are saved as PNG: let {path.name!r} end in .png, or name a folder.")
        return [path] if len(numbers) == 1 else [path.with_name(f"{path.stem}-{n}{path.suffix}") for n in numbers]
    # Letters of every script may stand in a file name; 40 of them stay below 255 bytes in any.
    slug = re.sub(r"\W+", "-", words.lower()).strip("-")[:40].rstrip("-") or "picture"
    return [path / f"{slug}-{number}.png" for number in numbers]


class Progress:
    """One bar over all steps; `total` is None where nobody knows their number before."""

    def __init__(self, total: int | None = None) -> None:
        self._bar = tqdm(total=total, unit="step")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, step: Step) -> None:
        """To be told as `on_step`."""
        self._bar.set_description(step.stage, refresh=False)
        self._bar.update()
