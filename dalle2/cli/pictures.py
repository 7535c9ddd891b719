"""Opens the pictures that a command line names, and says what of each file is left out."""

import sys
from pathlib import Path

from PIL import Image

from dalle2 import images


def open_named(path: str | Path, with_record: bool = False) -> Image.Image:
    """Open a picture as `images.open_picture` does, or with the record that it carries.

    Every task takes the middle square of the first frame: standard error says where a file has more.
    """
    picture = (images.open_with_record if with_record else images.open_picture)(path)
    width, height = picture.size
    if width != height:
        sys.stderr.write(f"Of {path} ({width} × {height} pixels) only the middle square is used.\n")
    with Image.open(path, formats=images.FORMATS) as file:
        # A phone's JPEG (MPO) has the same picture twice.
        if file.format != "MPO" and (frames := getattr(file, "n_frames", 1)) > 1:
            sys.stderr.write(f"Of the {frames} frames of {path} only the first is used.\n")
    return picture
