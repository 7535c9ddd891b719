"""Whether a picture stands on the background that its caption asks for: the colour of its border, by name."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from dalle2.datasets.caption_words import BACKGROUNDS
from dalle2.datasets.phrases import on_background

__all__ = ["ASKED", "BACKGROUNDS", "border_colour", "nearest_name", "on_background"]

BORDER = 32  # the border is this part of the shorter side wide, and at least a pixel
# White is what a caption without a background gets too, so it is no test; as an answer it stays possible.
ASKED = tuple(name for name in BACKGROUNDS if name != "white")


def border_colour(picture: Image.Image) -> tuple[float, float, float]:
    """Return the median of the border's pixels, each channel for itself, 0..255."""
    pixels = np.asarray(picture.convert("RGB"))
    width = max(1, min(pixels.shape[:2]) // BORDER)
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    inside[width:-width, width:-width] = True
    red, green, blue = np.median(pixels[~inside], axis=0)
    return float(red), float(green), float(blue)


def nearest_name(colour: tuple[float, float, float], names: Mapping[str, tuple[int, int, int]] = BACKGROUNDS) -> str:
    """Return the name of the colour that is nearest in RGB."""
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(names[name], colour, strict=True)))
