"""Whether a file holds several pictures, as animations do, by its structure: nothing is decoded."""

import contextlib
import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from evaluation.pictures.members import Readable

HEAD = 2**16  # bytes that tell of nearly all files; of the others all are read
WIDER = 8  # of a TIFF's numbers in the larger form


def holds_several(picture: Path | Readable) -> bool:
    """Return whether a file holds more pictures than the first; False for one that cannot be read to its end."""
    for size in (HEAD, None):
        try:
            data = beginning(picture, size)
            return any(data.startswith(begins) and look(data) for begins, look in _KINDS.items()) or _is_sequence(data)
        except (IndexError, struct.error):  # more of it is needed
            continue
        except (OSError, ValueError):  # told by what measures it
            return False
    return False


def beginning(picture: Path | Readable, size: int | None) -> bytes:
    """Return the first `size` bytes of a picture's file, or all of them."""
    if not isinstance(picture, Path):
        return picture.read_bytes(size)
    with picture.open("rb") as file:
        return file.read(-1 if size is None else size)


def _gif(data: bytes) -> bool:
    """Two pictures, each after a comma (GIF89a, appendix A)."""
    place, count = 13 + _colours(data[10]), 0
    while data[place] in b",!":
        if data[place] == ord(","):
            count += 1
            if count > 1:
                return True
            place += 11 + _colours(data[place + 9])
        else:
            place += 2
        while data[place]:  # blocks of up to 255 bytes, each after its length
            place += 1 + data[place]
        place += 1
    return False


def _colours(flags: int) -> int:
    """Return how many bytes a GIF's table of colours has."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _png(data: bytes) -> bool:
    """Two frames of an animation, which it counts before the pixels (PNG specification, 11.3.6.1)."""
    place = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"acTL":
            return struct.unpack_from(">I", data, place + 8)[0] > 1
        if kind in (b"IDAT", b"IEND"):
            return False
        place += 12 + length


def _webp(data: bytes) -> bool:
    """Two frames of an animation (RFC 9649)."""
    if data[8:16] != b"WEBPVP8X" or not data[20] & 2:
        return False
    place, count = 12, 0
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    while place < end and count < 2:
        kind, length = struct.unpack_from("<4sI", data, place)
        count += kind == b"ANMF"
        place += 8 + length + length % 2
    return count > 1


def _tiff(order: str, form: str = "I", entries: str = "H", entry: int = 12) -> Callable[[bytes], bool]:
    """Return what looks whether the first of a TIFF's directories names another; numbers have the forms of `struct`."""

    def look(data: bytes) -> bool:
        first = struct.unpack_from(order + form, data, 4 if form == "I" else WIDER)[0]
        count = struct.unpack_from(order + entries, data, first)[0]
        return struct.unpack_from(order + form, data, first + struct.calcsize(entries) + count * entry)[0] != 0

    return look


def _jpeg(data: bytes) -> bool:
    """Two views or exposures of a scene (CIPA DC-007); maps and thumbnails beside a photograph are no other picture."""
    if b"MPF\0" not in data:
        return False
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # Pillow raises all kinds for odd indices
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            others = getattr(picture, "mpinfo", {}).get(0xB002, ())[1:]
        return any(str(one["Attribute"]["MPType"]).startswith("Multi-Frame") for one in others)
    return False


def _is_sequence(data: bytes) -> bool:
    """Whether one of the brands of an AVIF is that of sequences (ISO 23000-22, 7.3)."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8:12] + data[16 : struct.unpack_from(">I", data)[0]]
    return any(brands[place : place + 4] == b"avis" for place in range(0, len(brands), 4))


_KINDS: dict[bytes, Callable[[bytes], bool]] = {
    b"GIF8": _gif,
    b"\x89PNG\r\n\x1a\n": _png,
    b"RIFF": _webp,
    b"II*\0": _tiff("<"),
    b"MM\0*": _tiff(">"),
    b"II+\0": _tiff("<", "Q", "Q", 20),
    b"MM\0+": _tiff(">", "Q", "Q", 20),
    b"\xff\xd8\xff": _jpeg,
}
