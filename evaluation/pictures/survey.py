"""What files say of their pictures before they are decoded: how large these are, and whether they are one of several.

Whoever reads a number must know of files of which only the first picture is measured, and of pictures that were
enlarged before it.
"""

import contextlib
import io
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from evaluation.pictures.image_folder import shown
from evaluation.pictures.members import Readable
from evaluation.pictures.several import HEAD, beginning, holds_several

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Survey:
    """What the files of a place say of its pictures.

    Attributes:
        count: how many pictures there are; `name` of their place.
        several: the names of files that hold more pictures than the one that is measured.
        enlarged: the names, with their sizes, of those whose short side is below that of the canonical form.
        sizes: the smallest and the largest size by pixels; none where no file tells its own.
    """

    name: str
    count: int
    several: tuple[str, ...]
    enlarged: tuple[str, ...]
    sizes: tuple[Size, ...]

    @property
    def size(self) -> str:
        """Return "256×256", or the smallest and the largest where they differ."""
        return " to ".join(f"{width}×{height}" for width, height in dict.fromkeys(self.sizes)) or "unknown"

    @property
    def notes(self) -> list[str]:
        """Return what a reader must know, as sentences."""
        notes = []
        if self.several:
            notes.append(
                "Only the first picture is measured of files that hold several, as animations do: "
                f"{len(self.several):,} of {self.name} (as {self.several[0]})."
            )
        if self.enlarged:
            notes.append(
                f"{len(self.enlarged):,} of the {self.count:,} pictures of {self.name} (as {self.enlarged[0]}) are "
                "smaller than --size and were enlarged to it: they are less sharp than others."
            )
        return notes


def survey(name: str, pictures: Iterable[Path | Readable], size: int | None = None) -> Survey:
    """Look at the files of a place; `size` is the canonical form that pictures are brought to, if any."""
    several, enlarged, least, most = [], [], None, None
    distinct = dict.fromkeys(pictures)
    for picture in distinct:
        if holds_several(picture):
            several.append(shown(picture.name))
        own = size_of(picture)
        if own is None:
            continue
        if size is not None and min(own) < size:
            enlarged.append(f"{shown(picture.name)}, {own[0]}×{own[1]}")
        least, most = (own if one is None else by(one, own, key=math.prod) for one, by in ((least, min), (most, max)))
    sizes = () if least is None or most is None else (least, most)
    return Survey(name, len(distinct), tuple(several), tuple(enlarged), sizes)


def size_of(picture: Path | Readable) -> Size | None:
    """Return width and height as the file has them, before it is turned upright; None where its head does not say."""
    for most in (HEAD, None):
        with warnings.catch_warnings(), contextlib.suppress(Exception):  # Pillow raises all kinds; it is opened later
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(beginning(picture, most))) as opened:
                return opened.size
    return None
