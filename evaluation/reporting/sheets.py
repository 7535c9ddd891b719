"""Sheets of pictures to look at: a plain grid, and pictures beside what lies nearest to them."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

GAP = 12
LINE = 16  # pixels of height for a line of text
COLUMNS = 8
GROUPS = 2  # side by side


def grid(pictures: Sequence[Image.Image], columns: int = COLUMNS) -> Image.Image:
    """Lay pictures of one size row by row, on white."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (min(columns, len(pictures)) * width, rows * height), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet


def neighbours(rows: Sequence[tuple[Image.Image, Sequence[Image.Image], Sequence[float]]]) -> Image.Image:
    """Lay out each picture, then its neighbours with their cosines underneath; `GROUPS` such rows side by side."""
    return grid([_group(*row) for row in rows], GROUPS)


def _group(picture: Image.Image, near: Sequence[Image.Image], cosines: Sequence[float]) -> Image.Image:
    width, height = picture.size
    group = Image.new("RGB", ((1 + len(near)) * width + 3 * GAP, height + LINE), "white")
    group.paste(picture, (0, 0))
    pen = ImageDraw.Draw(group)
    pen.text((2, height), "drawn", "black")
    for index, (one, cosine) in enumerate(zip(near, cosines, strict=True)):
        left = (1 + index) * width + 2 * GAP
        group.paste(one, (left, 0))
        pen.text((left, height), f"{cosine:.3f}", "black")
    return group
