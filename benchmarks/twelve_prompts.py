"""python -m benchmarks.twelve_prompts -o grid.png: the same twelve prompts, seed 0, for every checkpoint.

Chosen before the embedded checkpoint was trained, and never picked over: what the README shows is what the
default settings draw at the first try.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dalle2 import images
from dalle2.families import EMBEDDED, load

PROMPTS = (
    "a cat face, twemoji style",
    "pizza, noto style",
    "a red heart on a light blue background",
    "robot, openmoji style",
    "grinning face, noto v1 style",
    "rainbow, fluent color style",
    "watermelon, twemoji style",
    "Christmas tree, emojione style",
    "soccer ball, noto style",
    "rocket, twemoji style",
    "hot beverage, fluent flat style",
    "星星，twemoji风格",
)
_COLUMNS, _MARGIN, _CAPTION = 4, 12, 30


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the twelve and write them as one picture with their prompts underneath."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.twelve_prompts", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--checkpoint", default=EMBEDDED, help="folder, hub id or id@revision; default: the embedded one"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("twelve-prompts.png"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=192, help="pixels a picture is shown at")
    options = parser.parse_args(arguments)
    model = load(options.checkpoint)
    pictures = [model.text_to_image([prompt], seeds=[options.seed], literal=True)[0] for prompt in PROMPTS]
    images.save(_grid(pictures, options.side), options.out)


def _grid(pictures: Sequence[Image.Image], side: int) -> Image.Image:
    rows = -(-len(pictures) // _COLUMNS)
    width, height = side + 2 * _MARGIN, side + _MARGIN + _CAPTION
    sheet = Image.new("RGB", (_COLUMNS * width, rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (prompt, picture) in enumerate(zip(PROMPTS, pictures, strict=True)):
        left, top = index % _COLUMNS * width + _MARGIN, index // _COLUMNS * height + _MARGIN
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (left, top))
        write(draw, prompt, left + side / 2, top + side + 4)
    return sheet


def write(draw: ImageDraw.ImageDraw, prompt: str, centre: float, top: float) -> None:
    """Write a prompt sign by sign: few fonts have both Latin and Chinese ones."""
    signs = [(sign, _font(chinese=ord(sign) > 0x2E80)) for sign in prompt]
    left = centre - sum(font.getlength(sign) for sign, font in signs) / 2
    for sign, font in signs:
        draw.text((left, top), sign, fill="black", font=font)
        left += font.getlength(sign)


@cache
def _font(chinese: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font that has the signs: Pillow's own, or for Chinese one of the machine's; OSError if it has none."""
    if not chinese:
        return ImageFont.load_default(12)
    for name in ("NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf", "wqy-zenhei.ttc"):
        try:
            return ImageFont.truetype(name, 12)
        except OSError:
            continue
    raise OSError("No font for the Chinese prompt was found: install one, such as Debian's fonts-noto-cjk.")


if __name__ == "__main__":
    main()
