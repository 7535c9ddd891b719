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
            return to_rgb(ImageOps.exif_transpose(picture))
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
