"""python -m benchmarks.popular_prompts -o sheet.webp: 36 popular prompts of one to four words, seeds 0 to 2.

`evaluation/emoji/popular-prompts.csv` was fixed before the weights that it judges. Every picture stands under its
prompt with what the checkpoint says beforehand; a prompt that it says it does not know has no pictures. `--literal`
draws the very words.
"""

import argparse
import csv
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.twelve_prompts import write
from dalle2.families import EMBEDDED, load
from dalle2.model import UnclipModel
from dalle2.understanding import sentences
from dalle2.understanding.answer import Understanding

LIST = Path(__file__).parent.parent / "evaluation" / "emoji" / "popular-prompts.csv"
SEEDS = (0, 1, 2)
_COLUMNS, _SIDE, _MARGIN, _LINE, _LETTERS = 3, 112, 10, 15, 58


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw them all, say how many were known to be beyond it, and write the sheet."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.popular_prompts", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--checkpoint", default=EMBEDDED, help="folder, hub id or id@revision; default: the embedded one"
    )
    parser.add_argument("--literal", action="store_true", help="ask the very words, without looking for what they mean")
    parser.add_argument("-o", "--out", type=Path, default=Path("popular-prompts.webp"))
    options = parser.parse_args(arguments)
    with LIST.open(encoding="utf-8", newline="") as file:
        prompts = [row["caption"] for row in csv.DictReader(file)]
    model = load(options.checkpoint)
    cells = [_cell(model, prompt, options.literal) for prompt in prompts]
    _grid([cell for cell, _ in cells]).save(options.out, quality=80)
    told = [answer.prompt for _, answer in cells if not answer.known or answer.notes]
    print(f"{options.out}: {len(prompts)} prompts; of {len(told)} it says what it cannot: {', '.join(told)}")


def _cell(model: UnclipModel, prompt: str, literally: bool) -> tuple[Image.Image, Understanding]:
    """Return a prompt, what is said of it, and its pictures."""
    answer = model.understand(prompt)
    cell = Image.new("RGB", (len(SEEDS) * (_SIDE + 4), _SIDE + 4 * _LINE), "white")
    draw = ImageDraw.Draw(cell)
    said = "" if literally else sentences.sentence(answer)
    for row, line in enumerate([prompt, *textwrap.wrap(said, _LETTERS)[:2]]):
        write(draw, line, cell.width / 2, row * _LINE)
    if literally or answer.known:
        pictures = model.text_to_image([prompt] * len(SEEDS), seeds=list(SEEDS), literal=literally)
        for column, picture in enumerate(pictures):
            cell.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (column * (_SIDE + 4), 3 * _LINE + 4))
    return cell, answer


def _grid(cells: Sequence[Image.Image]) -> Image.Image:
    width, height = cells[0].width + 2 * _MARGIN, cells[0].height + _MARGIN
    sheet = Image.new("RGB", (_COLUMNS * width, -(-len(cells) // _COLUMNS) * height), "white")
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % _COLUMNS * width + _MARGIN, index // _COLUMNS * height + _MARGIN))
    return sheet


if __name__ == "__main__":
    main()
