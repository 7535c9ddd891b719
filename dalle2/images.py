"""The only room that knows pixels: opening pictures safely, PIL to tensors and back, the record in a PNG.

Tensors hold pictures as (n, 3, height, width) float32; the networks' range is [-1, 1].
"""

import io
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

MAX_PIXELS = 40_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
RECORD_KEY = "parameters"


def open_picture(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """An RGB picture from a path, bytes or an open file, upright and over white.

    What the content says counts, not the name. The EXIF orientation is applied and all metadata dropped.
    ValueError, with what to do, when it is no picture, is damaged, or has more than MAX_PIXELS pixels.
    """
    return to_rgb(_open(source))


def open_mask(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """A mask as `to_mask` wants it, from a file in either convention; errors as of `open_picture`.

    A file with transparency is in the form of OpenAI's API, where the transparent is repainted; in any other,
    white is.
    """
    picture = _open(source)
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] < 255:  # many programs write a full alpha channel that says nothing
            return ImageOps.invert(alpha)
    return to_mask(to_rgb(picture))


def to_mask(mask: Image.Image) -> Image.Image:
    """A mask of any mode without transparency -> mode L: white is repainted, black is kept, grey blends."""
    if mask.has_transparency_data and mask.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise ValueError("The mask is transparent in places: give one in which what to repaint is white.")
    return to_rgb(mask).convert("L")


def _open(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """The first frame of a picture file, read to its end and upright."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            # Pillow warns of big pictures where we refuse them; its own refusal is caught below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ValueError(f"This is not a picture: give a file of the kind {', '.join(FORMATS)}.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large("more")) from error
    with picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(_too_large(f"{width * height:,}"))
        try:
            return ImageOps.exif_transpose(picture)
        except (OSError, SyntaxError, EOFError) as error:
            raise ValueError(f"The picture is damaged and cannot be read to its end: {error}.") from error


def to_rgb(picture: Image.Image, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """A new RGB picture without metadata: any mode, transparency laid over `background`."""
    if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255
        picture = Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        canvas = Image.new("RGBA", picture.size, (*background, 255))
        picture = Image.alpha_composite(canvas, picture.convert("RGBA"))
    picture = picture.convert("RGB")
    return Image.frombytes("RGB", picture.size, picture.tobytes())


def to_tensor(pictures: list[Image.Image]) -> torch.Tensor:
    """Pictures of one size -> (n, 3, height, width) float32 in [-1, 1]."""
    arrays = np.stack([np.asarray(to_rgb(picture)) for picture in pictures])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(pixels: torch.Tensor) -> list[Image.Image]:
    """(n, 3, height, width) in [-1, 1], of any float type and on any device -> RGB pictures."""
    levels = ((pixels.float() * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.fromarray(array) for array in levels.permute(0, 2, 3, 1).cpu().numpy()]


def square(picture: Image.Image, side: int) -> Image.Image:
    """The picture's middle square at `side` pixels: averaged down, as the decoder's own training saw it, or up."""
    smaller = side < min(picture.size)
    method = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return ImageOps.fit(picture, (side, side), method)


def surround(
    picture: Image.Image, side: int, share: float, anchor: tuple[float, float]
) -> tuple[Image.Image, Image.Image]:
    """A white square of `side` pixels with the picture's middle square on it, and the mask of what is around.

    The picture covers `share` of the side, and stands at `anchor`, from (0, 0), left and top, to (1, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"The picture must cover a share of the new one above 0 and below 1, not {share!r}.")
    if len(anchor) != 2 or not all(0 <= place <= 1 for place in anchor):
        raise ValueError(f"The anchor must be two numbers from 0 to 1, not {anchor!r}.")
    inner = min(max(round(share * side), 1), side - 1)
    left, top = (round(place * (side - inner)) for place in anchor)
    canvas, mask = Image.new("RGB", (side, side), (255, 255, 255)), Image.new("L", (side, side), 255)
    canvas.paste(square(to_rgb(picture), inner), (left, top))
    mask.paste(0, (left, top, left + inner, top + inner))
    return canvas, mask


def lit(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """The picture in grey, and in its colours where `heat` (h, w), of any size and range, is high."""
    spread = float(np.ptp(heat)) or 1.0
    levels = ((heat - heat.min()) / spread * 255).round().astype(np.uint8)
    light = Image.fromarray(levels).resize(picture.size, Image.Resampling.BICUBIC)
    dark = picture.convert("L").point(lambda level: level // 3).convert("RGB")
    return Image.composite(to_rgb(picture), dark, light)


def strip(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one height side by side, with the record of the first."""
    whole = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    whole.info |= {key: value for key, value in pictures[0].info.items() if key == RECORD_KEY}
    return whole


def write_record(picture: Image.Image, record: Mapping[str, object]) -> None:
    """Put the record into `picture.info`, from where `save` and Gradio's PNGs take it."""
    # ASCII JSON needs only PNG's plainest text chunk, which every reader of metadata knows.
    picture.info[RECORD_KEY] = json.dumps(record, ensure_ascii=True)


def read_record(source: Image.Image | str | Path) -> dict[str, object]:
    """The record that a picture carries; ValueError when it has none or an unreadable one."""
    if not isinstance(source, Image.Image):
        try:
            with Image.open(source, formats=("PNG",)) as picture:
                picture.load()  # a text chunk may stand after the pixels
                return read_record(picture)
        except (UnidentifiedImageError, SyntaxError, EOFError) as error:
            raise ValueError(f"{source} is not a PNG picture, and only PNG pictures carry a record.") from error
    text = source.info.get(RECORD_KEY)
    if not isinstance(text, str):
        raise ValueError("The picture carries no record: it was not drawn by this program, or was converted.")
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError("The picture's record is not JSON: another program wrote it.") from error
    if not isinstance(record, dict):
        raise ValueError("The picture's record is not a table: another program wrote it.")
    return record


def save(picture: Image.Image, path: str | Path) -> Path:
    """Write a PNG with the picture's record; the file appears whole or not at all.

    ValueError for a name that does not end in .png, OSError when the disk refuses (nothing is left behind).
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"Pictures are saved as PNG: let {path.name!r} end in .png.")
    chunks = PngImagePlugin.PngInfo()
    if RECORD_KEY in picture.info:
        chunks.add_text(RECORD_KEY, picture.info[RECORD_KEY])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            picture.save(file, format="PNG", pnginfo=chunks)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _too_large(count: str) -> str:
    return f"The picture has {count} pixels, but at most {MAX_PIXELS:,} are allowed: make it smaller."
