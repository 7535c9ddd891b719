"""A PNG file without what only describes it: the chunks that carry pixels are checked, the others are left behind.

Texts and colour profiles, of any length and number, are skipped, so that nobody has to inflate them.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_DESCRIPTIONS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
# Texts in which programs write the orientation, besides eXIf.
_ORIENTATIONS = (b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1")
_CHANNELS = {2: 3, 4: 2, 6: 4}  # of a pixel, by the kind of colour; one of the other kinds
# The passes of an interlaced picture: first column and row, and the steps between them (PNG specification, 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 65_536  # bytes that are inflated at once
_LONGEST = 1_000_000  # bytes of a description, inflated, that is still looked at


def pixels_only(file: BinaryIO, *keywords: bytes) -> io.BytesIO:
    """Read a file that begins with SIGNATURE: its pixels, its orientation, and its texts under these keywords.

    ValueError says what is wrong, as the end of a sentence, when it is torn, or damaged where its pixels are.
    """
    kept = io.BytesIO()
    kept.write(SIGNATURE)
    grey, depth = False, 8
    for kind, body in _chunks(file, (*_ORIENTATIONS, *keywords)):
        if kind == b"IHDR" and len(body) == 13:
            grey, depth = body[9] == 0, body[8]
        if kind == b"tRNS":
            body = _transparent(body, grey, depth)
        kept.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
    kept.seek(0)
    return kept


def check_pixels(file: BinaryIO) -> None:
    """Raise ValueError, as the end of a sentence, when a PNG holds fewer pixels than its size says.

    Pillow takes a last row that is missing for black.
    """
    missing, inflater = 0, zlib.decompressobj()
    for kind, body in _chunks(file, ()):
        if kind == b"IHDR":
            missing = _inflated_size(body)
        while kind == b"IDAT" and missing:
            piece = inflater.decompress(body, min(missing, _PIECE))
            missing -= len(piece)
            body = inflater.unconsumed_tail
            if not (piece or body):
                break
    if missing:
        raise ValueError("its pixels end too early")


def _inflated_size(header: bytes) -> int:
    """How many bytes the pixels have, in rows of whole bytes and one that names the row's filter."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS.get(colour, 1)
    size = 0
    for left, top, across, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = len(range(left, width, across)), len(range(top, height, down))
        size += rows * (1 + -(-columns * bits // 8)) if columns else 0
    return size


def _chunks(file: BinaryIO, keywords: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk that is wanted, to the last one."""
    left = file.seek(0, io.SEEK_END) - len(SIGNATURE)
    file.seek(len(SIGNATURE))
    kind = b""
    while kind != b"IEND":
        if left < 12:
            raise ValueError("the file ends too early")
        length, kind = struct.unpack(">I4s", file.read(8))
        left -= 12 + length
        if left < 0:
            raise ValueError("the file ends too early")
        if kind not in _PIXELS and (kind not in _DESCRIPTIONS or length > _LONGEST):
            file.seek(length + 4, io.SEEK_CUR)
            continue
        body = file.read(length)
        whole = file.read(4) == struct.pack(">I", zlib.crc32(kind + body))
        if kind in _PIXELS and not whole:
            raise ValueError(f"its part {kind.decode()} is not as it was written")
        if kind in _PIXELS or (whole and (kind == b"eXIf" or _wanted(kind, body, keywords))):
            yield kind, body


def _wanted(kind: bytes, text: bytes, keywords: tuple[bytes, ...]) -> bool:
    """Whether a text stands under one of the keywords, and is no longer than _LONGEST when it is inflated."""
    keyword, _, rest = text.partition(b"\0")
    packed = rest[1:] if kind == b"zTXt" else b""
    if kind == b"iTXt" and rest[:1] != b"\0":
        packed = rest[2:].split(b"\0", 2)[-1]
    if keyword not in keywords:
        return False
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(packed, _LONGEST)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail


def _transparent(levels: bytes, grey: bool, depth: int) -> bytes:
    """Return the transparent level or colour as Pillow, which spreads or cuts pixels to 8 bits, must be told."""
    if grey and depth in (2, 4) and len(levels) == 2:
        return bytes([0, levels[1] * (255 // (2**depth - 1))])
    if not grey and depth == 16 and len(levels) == 6:
        return bytes(byte for high in levels[::2] for byte in (0, high))
    return levels
