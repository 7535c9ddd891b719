"""The only room that knows pixels: opening pictures safely, PIL to tensors and back, the record in a PNG.

Tensors hold pictures as (n, 3, height, width) float32; the networks' range is [-1, 1].
"""

import contextlib
import io
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.sax.saxutils import unescape

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from dalle2 import atomic, png, provenance
from dalle2.orientation import upright
from dalle2.refusal import Refusal

if TYPE_CHECKING:
    import torch

MAX_PIXELS = 40_000_000
MAX_SIDE = 65_535  # as of a JPEG; Pillow takes seconds for millions of short rows
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")
RECORD_KEY = "parameters"

# What visitors bring besides, by how such a file begins.
_OTHERS = {
    "HEIC": re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL),
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", re.DOTALL),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", re.DOTALL),
    "TIFF": re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    "Photoshop": re.compile(rb"8BPS"),
    "SVG": re.compile(rb"\s*(<\?xml.*)?(<!--.*)?(<!DOCTYPE svg.*)?<svg\b", re.DOTALL),
    "PDF": re.compile(rb"%PDF-"),
}
_OURS = re.compile(rb"\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|....ftypavi[fs]", re.DOTALL)
_BEGINNING = 4096  # bytes of a file that tell what it is
_METADATA = re.compile(rb"<metadata>(.*?)</metadata>", re.DOTALL)
_LONGEST_RECORD = 1_000_000  # bytes at the beginning of an SVG in which its record is looked for
# AVIF says how it is turned outside of its EXIF, which Pillow rewrites, and fails at any part that is odd: its table of
# entries is emptied.
_EXIF = re.compile(rb"(II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08)..", re.DOTALL)


def open_picture(source: str | Path | bytes | BinaryIO, more: Sequence[str] = ()) -> Image.Image:
    """Open an RGB picture from a path, bytes or an open file, upright and over white.

    What the content says counts, not the name. The EXIF orientation is applied and all metadata dropped. `more` are
    formats of Pillow's that are opened besides FORMATS, for files that no visitor sent.
    ValueError, with what to do, when it is no picture, is damaged or too large (MAX_PIXELS, MAX_SIDE).
    """
    return to_rgb(_open(source, more))


def open_rgba(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Open a picture as `open_picture` does, but as RGBA with straight alpha."""
    return to_rgba(_open(source))


def open_with_record(source: str | Path) -> Image.Image:
    """Open a picture as `open_picture` does; a PNG that carries a record keeps it."""
    picture = open_picture(source)
    with contextlib.suppress(ValueError):  # it may not be one of ours
        write_record(picture, read_record(source))
    return picture


def open_mask(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Open a mask as `to_mask` wants it, from a file in either convention; errors as of `open_picture`.

    A file with transparency is in the form of OpenAI's API, where the transparent is repainted; in any other,
    white is.
    """
    picture = _open(source)
    if picture.has_transparency_data:
        alpha = to_rgba(picture).getchannel("A")
        if any(alpha.histogram()[:255]):  # many programs write a full alpha channel that says nothing
            return ImageOps.invert(alpha)
    return to_mask(to_rgb(picture))


def to_mask(mask: Image.Image) -> Image.Image:
    """Turn a mask of any mode into mode L: white is repainted, black is kept, grey blends.

    ValueError where it is transparent.
    """
    if mask.has_transparency_data and any(to_rgba(mask).getchannel("A").histogram()[:255]):
        raise Refusal("The mask is transparent in places: give one that is white where the picture is repainted.")
    return to_rgb(mask).convert("L")


def _open(source: str | Path | bytes | BinaryIO, more: Sequence[str] = ()) -> Image.Image:
    """Read the first frame of a picture file, read to its end and upright."""
    if isinstance(source, bytes):
        return _decoded(io.BytesIO(source), more=more)
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return _decoded(file, more=more)
    return _decoded(source, more=more)


def _decoded(file: BinaryIO, *keywords: str, more: Sequence[str] = ()) -> Image.Image:
    """As `_open`, from the beginning of an open file; of a PNG also the texts under these keywords, in its `info`."""
    with warnings.catch_warnings():
        # Pillow warns of big pictures, which are refused here, and of metadata, which are dropped.
        warnings.simplefilter("ignore")
        with _recognised(file, keywords, more) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise Refusal(_too_large(f"{width * height:,}"))
            if max(width, height) > MAX_SIDE:
                raise Refusal(f"A side of the picture has {max(width, height):,} pixels: {MAX_SIDE:,} are allowed.")
            try:
                picture.load()
                if picture.format in ("JPEG", "MPO"):
                    _check_end(file)
                elif picture.format == "PNG":
                    png.check_pixels(file)
                return upright(picture)
            except MemoryError:
                raise
            except Exception as error:  # Pillow's decoders raise all kinds of exceptions
                raise Refusal(_damaged(error)) from error


def _recognised(file: BinaryIO, keywords: Sequence[str], more: Sequence[str]) -> Image.Image:
    """Return the picture, its pixels not read yet."""
    beginning = file.read(_BEGINNING)
    file.seek(0)
    try:
        if beginning[4:8] == b"ftyp":
            file = io.BytesIO(_EXIF.sub(rb"\1\0\0", file.read()))
        elif beginning.startswith(png.SIGNATURE):
            file = png.pixels_only(file, *(keyword.encode() for keyword in keywords))
        return Image.open(file, formats=(*FORMATS, *more))
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise Refusal(_too_large("more")) from error
    except UnidentifiedImageError as error:
        if kind := next((kind for kind, begins in _OTHERS.items() if begins.match(beginning)), None):
            raise Refusal(
                f"This is a file of the kind {kind}, which cannot be read here: save it as PNG or JPEG first."
            ) from error
        if _OURS.match(beginning):
            raise Refusal(_damaged("its head does not make sense")) from error
        raise Refusal(f"This is not a picture: give a file of the kind {', '.join(FORMATS)}.") from error
    except Exception as error:  # as above
        raise Refusal(_damaged(error)) from error


def _check_end(file: BinaryIO) -> None:
    """OSError for a JPEG without its end marker: Pillow takes zeros in its place for grey pixels."""
    file.seek(0)
    data, place = file.read(), 2
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] != b"\xda":  # segments before the pixels
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    if data.find(b"\xff\xd9", place) < 0:
        raise OSError("image file is truncated")


def to_rgb(picture: Image.Image, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Make a new RGB picture without metadata, of any mode, transparency laid over `background`."""
    if picture.has_transparency_data:
        canvas = Image.new("RGBA", picture.size, (*background, 255))
        picture = Image.alpha_composite(canvas, to_rgba(picture))
    picture = _eight_bits(picture).convert("RGB")
    return Image.frombytes("RGB", picture.size, picture.tobytes())


def to_rgba(picture: Image.Image) -> Image.Image:
    """Make a new RGBA picture without metadata, of any mode, straight alpha, opaque where there is no transparency."""
    picture = _eight_bits(picture).convert("RGBA")
    return Image.frombytes("RGBA", picture.size, picture.tobytes())


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return the picture itself, or of one with 16 bits a pixel, which Pillow would cut off at 255, the higher 8."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    levels = np.asarray(picture)
    if picture.mode == "F" or levels.min() < 0 or levels.max() > 0xFFFF:
        raise Refusal("The picture's levels are numbers of no known range: save it with 8 or 16 bits a pixel.")
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))
    return grey


def to_tensor(pictures: list[Image.Image]) -> "torch.Tensor":
    """Pictures of one size -> (n, 3, height, width) float32 in [-1, 1]."""
    import torch  # takes a second, which those who only open and save pictures need not wait for

    arrays = np.stack([np.asarray(to_rgb(picture)) for picture in pictures])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(pixels: "torch.Tensor") -> list[Image.Image]:
    """(n, 3, height, width) in [-1, 1], of any float type and on any device -> RGB pictures.

    ValueError when a number is not finite: it would be a black or white pixel.
    """
    import torch  # as above

    if not torch.isfinite(pixels).all():
        raise Refusal("The pixels hold numbers that are not finite: no picture can be made of them.")
    levels = ((pixels.float() * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.fromarray(array) for array in levels.permute(0, 2, 3, 1).cpu().numpy()]


def square(picture: Image.Image, side: int) -> Image.Image:
    """Return the picture's middle square at `side` pixels: averaged down, as in the decoder's own training, or up."""
    smaller = side < min(picture.size)
    method = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return ImageOps.fit(picture, (side, side), method)


def surround(
    picture: Image.Image, side: int, share: float, anchor: tuple[float, float]
) -> tuple[Image.Image, Image.Image]:
    """Return a white square of `side` pixels with the picture's middle square on it, and the mask of what is around.

    The picture covers `share` of the side, and stands at `anchor`, from (0, 0), left and top, to (1, 1); ValueError
    for a share or an anchor out of range.
    """
    if not 0 < share < 1:
        raise Refusal(f"The picture must cover a share of the new one above 0 and below 1, not {share!r}.")
    if len(anchor) != 2 or not all(0 <= place <= 1 for place in anchor):
        raise Refusal(f"The anchor must be two numbers from 0 to 1, not {anchor!r}.")
    inner = min(max(round(share * side), 1), side - 1)
    left, top = (round(place * (side - inner)) for place in anchor)
    canvas, mask = Image.new("RGB", (side, side), (255, 255, 255)), Image.new("L", (side, side), 255)
    canvas.paste(square(to_rgb(picture), inner), (left, top))
    mask.paste(0, (left, top, left + inner, top + inner))
    return canvas, mask


def highlight(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """Return the picture in grey, and in its colours where `heat` (h, w), of any size and range, is high."""
    spread = float(np.ptp(heat)) or 1.0
    levels = ((heat - heat.min()) / spread * 255).round().astype(np.uint8)
    light = Image.fromarray(levels).resize(picture.size, Image.Resampling.BICUBIC)
    dark = picture.convert("L").point(lambda level: level // 3).convert("RGB")
    return Image.composite(to_rgb(picture), dark, light)


def strip(pictures: list[Image.Image]) -> Image.Image:
    """Lay pictures of one height side by side, with the record of the first and, as "strip", how many they are."""
    whole = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    if RECORD_KEY in pictures[0].info:
        write_record(whole, read_record(pictures[0]) | {"strip": len(pictures)})
    return whole


def write_record(picture: Image.Image, record: Mapping[str, object]) -> None:
    """Put the record into `picture.info`, from where `save` and Gradio's PNGs take it."""
    # ASCII JSON needs only PNG's plainest text chunk, which every reader of metadata knows.
    picture.info[RECORD_KEY] = json.dumps(record, ensure_ascii=True)


def read_record(source: Image.Image | str | Path | bytes) -> dict[str, object]:
    """Return the record that a picture carries; ValueError when it has none or an unreadable one."""
    text = source.info.get(RECORD_KEY) if isinstance(source, Image.Image) else _read_text(source)
    if not isinstance(text, str):
        raise Refusal("The picture carries no record: it was not drawn by this program, or was converted.")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise Refusal("The picture's record is not JSON: another program wrote it.") from error
    if not isinstance(record, dict):
        raise Refusal("The picture's record is not a table: another program wrote it.")
    return record


def _read_text(source: str | Path | bytes) -> str | None:
    """Return the record's text in a PNG, or in an SVG as `formats.to_svg` writes it."""
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        beginning = file.read(_BEGINNING)
        if _OTHERS["SVG"].match(beginning):
            found = _METADATA.search(beginning + file.read(_LONGEST_RECORD))
            return unescape(found[1].decode("utf-8", "replace")) if found else None
        if not beginning.startswith(png.SIGNATURE):
            name = "This file" if isinstance(source, bytes) else source
            raise Refusal(f"{name} is not a PNG or SVG picture, and only these carry a record.")
        file.seek(0)
        return _decoded(file, RECORD_KEY).info.get(RECORD_KEY)


def save(picture: Image.Image, path: str | Path, overwrite: bool = True) -> Path:
    """Write a PNG with the picture's record; the file appears whole or not at all.

    ValueError for a name that does not end in .png, OSError when the disk refuses (nothing is left behind), and
    FileExistsError for a name that is taken, without `overwrite`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise Refusal(f"Pictures are saved as PNG: let {path.name!r} end in .png.")
    with atomic.file(path, overwrite) as partial:
        partial.write_bytes(to_png(picture))
    return path


def to_png(picture: Image.Image) -> bytes:
    """Return the picture as a PNG file, with its record and, if it has one, its provenance."""
    chunks, file, record = PngImagePlugin.PngInfo(), io.BytesIO(), picture.info.get(RECORD_KEY)
    if record is not None:
        chunks.add_text(RECORD_KEY, record)
    if packet := provenance.xmp(record):
        chunks.add_itxt("XML:com.adobe.xmp", packet)
    picture.save(file, format="PNG", pnginfo=chunks)
    return provenance.signed(file.getvalue(), "image/png", record)


def _too_large(count: str) -> str:
    return f"The picture has {count} pixels, but at most {MAX_PIXELS:,} are allowed: make it smaller."


def _damaged(why: object) -> str:
    return f"The picture is damaged and cannot be read to its end: {why}."


def size_of(picture: Image.Image) -> str:
    """Return "40 × 30", for sentences."""
    return " × ".join(map(str, picture.size))
