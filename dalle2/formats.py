"""Pictures in the forms in which people use them: a transparent background, SVG, a contact sheet, a ZIP of them all.

Each form keeps the picture's record: PNGs in their text, an SVG in its `<metadata>`.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageFilter, UnidentifiedImageError

from dalle2 import atomic, images, provenance
from dalle2.refusal import Refusal

TOLERANCE = 28  # levels by which a background may stray from its colour
EVEN = 0.6  # the share of the border that must have the background's colour
SEAM = 2  # pixels on both sides of an edge in which subject and background are mixed, at 128 pixels a side
SPECK = 0.001  # of the picture's pixels: what is smaller and stands alone is dirt
COLOURS = 24  # of an SVG, at most
MEDIAN = 5  # pixels, at TRACED_SIDE
TRACED_SIDE = 512  # pixels: what is smaller is enlarged before it is traced, or its edges would be stairs
GAP = 0.06  # of a picture's side, around each one on a contact sheet


def transparent(picture: Image.Image) -> Image.Image:
    """Return the picture as RGBA, without the even background around its subject; holes of the subject stay.

    Along the edge the background's share of each colour is taken out again, so that no pale rim is left on another
    background. ValueError when the border of the picture has no even colour.
    """
    from scipy import ndimage  # takes half a second, which most pictures need not wait for

    pixels = np.asarray(images.to_rgb(picture)).astype(np.float32)
    around = _background(pixels)
    colour = np.median(pixels[around], axis=0)
    seam = max(round(SEAM * min(picture.size) / 128), 1)
    pure, around = _pure(around, seam)
    distance = ndimage.distance_transform_edt(~around)
    rows, columns = ndimage.distance_transform_edt(~pure, return_distances=False, return_indices=True)
    subject = pixels[rows, columns]
    toward = subject - colour
    share = ((pixels - colour) * toward).sum(-1) / np.maximum((toward**2).sum(-1), 1.0)
    alpha = np.where(pure | (distance > seam), 1.0, share.clip(0, 1))
    # The first pixels of the background may hold a little of the subject; those farther out hold none.
    alpha[ndimage.distance_transform_edt(around) > seam] = 0.0
    shown = np.where((alpha < 1)[..., None], subject, pixels)
    levels = np.dstack([shown, alpha[..., None] * 255]).round().clip(0, 255).astype(np.uint8)
    return _with_record(Image.fromarray(levels), picture)


def to_svg(picture: Image.Image) -> str:
    """Trace the picture into filled polygons of a few colours, on an opaque ground; an SVG 512 units wide."""
    flat = images.to_rgb(picture)
    factor = TRACED_SIDE / min(flat.size)
    if factor > 1:
        flat = flat.resize([round(side * factor) for side in flat.size], Image.Resampling.BICUBIC)
    # Colours are merged, and what a single pixel strays by is smoothed away: each would become a shape of its own.
    flat = flat.filter(ImageFilter.MedianFilter(MEDIAN)).quantize(
        COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
    )
    flat = flat.convert("RGB").filter(ImageFilter.MedianFilter(MEDIAN))
    import vtracer

    traced = vtracer.convert_raw_image_to_svg(
        images.to_png(flat),
        img_format="png",
        mode="polygon",  # a third of the splines' bytes, and nearer to the picture
        filter_speckle=6,
        color_precision=8,
        layer_difference=1,  # the colours are few already
        path_precision=1,
    )
    width, height = flat.size
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"{_metadata(picture)}"
    )
    body = traced[traced.index(">", traced.index("<svg")) + 1 : traced.rindex("</svg>")]
    return f"{head}{body.strip()}</svg>\n"


def save_svg(picture: Image.Image, path: Path, overwrite: bool = True) -> Path:
    """Write the picture as SVG; the file appears whole or not at all.

    FileExistsError for a name that is taken, without `overwrite`.
    """
    svg = to_svg(picture)
    with atomic.file(path, overwrite) as partial:
        partial.write_text(svg, encoding="utf-8")
    return path


def contact_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay all pictures in rows, as square as it goes; the record of the sheet holds theirs, in order."""
    columns = next(count for count in range(1, len(pictures) + 1) if count**2 >= len(pictures))
    rows = -(-len(pictures) // columns)
    side = max(max(picture.size) for picture in pictures)
    gap = round(GAP * side)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + gap) + gap), "white")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        left, top = (place * (side + gap) + gap for place in (column, row))
        sheet.paste(images.to_rgb(picture), (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
    records = [images.read_record(picture) for picture in pictures if images.RECORD_KEY in picture.info]
    if records:
        images.write_record(sheet, {"task": "contact_sheet", "pictures": records})
    return sheet


def to_zip(named: Sequence[tuple[str, Image.Image]]) -> bytes:
    """(name without suffix, picture) pairs -> a ZIP of PNGs with their records; equal names are numbered."""
    archive, taken = io.BytesIO(), set()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:  # PNGs are compressed already
        for name, picture in named:
            own = next(file for file in _numbered(name) if file not in taken)
            taken.add(own)
            packed.writestr(zipfile.ZipInfo(own), encode(picture))
    return archive.getvalue()


def encode(picture: Image.Image, kind: str = "png", quality: int = 100) -> bytes:
    """Return the picture as a PNG, which carries its record, a JPEG or a WebP, each with its provenance."""
    if kind == "png":
        return images.to_png(picture)
    file, record = io.BytesIO(), picture.info.get(images.RECORD_KEY)
    packet = provenance.xmp(record)
    picture.save(file, kind.upper(), quality=quality, **({"xmp": packet.encode()} if packet else {}))
    return provenance.signed(file.getvalue(), f"image/{kind}", record)


def _background(pixels: np.ndarray) -> np.ndarray:
    """Where (h, w) the even background is that touches the border of (h, w, 3)."""
    from scipy import ndimage  # takes half a second, which most pictures need not wait for

    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(-1) <= TOLERANCE).mean() < EVEN:
        raise Refusal("The picture has no even background that could be made transparent.")
    near = np.abs(pixels - colour).max(-1) <= TOLERANCE
    parts, _ = ndimage.label(near)
    touching = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return np.isin(parts, touching[touching > 0])


def _pure(around: np.ndarray, seam: int) -> tuple[np.ndarray, np.ndarray]:
    """Where (h, w) only the subject is, and the background (h, w) with the specks that are no part of the subject.

    A line so thin that it is all seam counts as pure along its middle.
    """
    from scipy import ndimage  # takes half a second, which most pictures need not wait for

    distance = ndimage.distance_transform_edt(~around)
    parts, count = ndimage.label(~around, np.ones((3, 3)))
    labels = np.arange(count + 1)
    speck = ndimage.sum_labels(np.ones_like(parts), parts, labels) < SPECK * parts.size
    thin = ndimage.maximum(distance, parts, labels) <= seam
    speck[0] = thin[0] = False
    pure = (distance > seam) | (thin[parts] & (distance == ndimage.maximum_filter(distance, 3)))
    around = around | speck[parts]
    if not (pure & ~around).any():
        raise Refusal("The picture is nothing but background.")
    return pure & ~around, around


def _metadata(picture: Image.Image) -> str:
    if images.RECORD_KEY not in picture.info:
        return ""
    return f"<metadata>{escape(json.dumps(images.read_record(picture)))}</metadata>"


def _numbered(name: str) -> Sequence[str]:
    return [f"{name}.png", *(f"{name}-{number}.png" for number in range(2, 1000))]


def is_transparent(file: Path) -> bool:
    """Return whether the file is a picture as `transparent` makes it; an SVG is none."""
    try:
        with Image.open(file) as picture:
            return picture.mode == "RGBA"
    except UnidentifiedImageError:
        return False


def _with_record(new: Image.Image, old: Image.Image) -> Image.Image:
    if images.RECORD_KEY in old.info:
        new.info[images.RECORD_KEY] = old.info[images.RECORD_KEY]
    return new
