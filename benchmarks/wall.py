"""python -m benchmarks.wall: the pictures that the page's first screen shows of a checkpoint, drawn anew.

Of each prompt a few seeds are drawn, and the one that an independent judge finds nearest to its caption is kept, with
its record, in the checkpoint's folder `samples`: the wall in English and in Chinese, and one concept in every style.
The pictures are small WebP, and index.json beside them says what drew them.
To be run whenever the weights change, and looked at: `--sheet FILE` shows all that were drawn, the kept ones framed.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from rich.progress import track

from dalle2 import images
from dalle2.datasets.phrases import styled
from dalle2.families import EMBEDDED, load
from evaluation.networks.clip import Clip

# English, as the judge reads it, and Chinese; of each language the wall keeps the KEPT best.
WALL = (
    ("cat face, twemoji style", "猫脸，twemoji风格"),
    ("rainbow, fluent color style", "彩虹，fluent color风格"),
    ("red heart on a light blue background", "浅蓝色背景上的红心"),
    ("panda, noto style", "熊猫，noto风格"),
    ("sun with face, twemoji style", "微笑的太阳，twemoji风格"),
    ("Christmas tree, emojione style", "圣诞树，emojione风格"),
    ("smiling face with sunglasses, noto style", "墨镜笑脸，noto风格"),
    ("tulip, fluent color style", "郁金香，fluent color风格"),
    ("fox, twemoji style", "狐狸，twemoji风格"),
    ("star, twemoji style", "星星，twemoji风格"),
    ("grinning face, noto v1 style", "嘿嘿，noto v1风格"),
    ("light bulb, noto style", "灯泡，noto风格"),
    ("alien, twemoji style", "外星人，twemoji风格"),
    ("red apple, twemoji style", "红苹果，twemoji风格"),
    ("ghost, fluent flat style", "鬼，fluent flat风格"),
    ("crying face, twemoji style", "哭，twemoji风格"),
    ("guitar, noto style", "吉他，noto风格"),
    ("strawberry, fluent flat style", "草莓，fluent flat风格"),
    ("tiger face, twemoji style", "老虎头，twemoji风格"),
    ("jack-o-lantern, twemoji style", "南瓜灯，twemoji风格"),
)
STYLED = "smiling face with sunglasses"  # what shows the styles
SEEDS = 8
KEPT = 16
QUALITY = 82  # of WebP
SIDE = 96  # pixels of a picture in the sheet


@dataclass(frozen=True)
class WallPicture:
    """A picture to be drawn: its file below `samples`, its prompt, the caption to judge it by.

    `style` is that which it is the sample of, "" on the wall.
    """

    file: str
    prompt: str
    caption: str
    style: str = ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the samples, then write them all at once."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wall", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", nargs="?", type=Path, default=EMBEDDED, help="folder; default: the embedded one")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"seeds to choose from; default: {SEEDS}")
    parser.add_argument("--sheet", type=Path, help="picture to write, of all that were drawn")
    options = parser.parse_args(arguments)
    if not options.checkpoint.is_dir():
        parser.error(f"{options.checkpoint} is not a folder: samples lie beside a checkpoint's weights")
    if options.seeds < 1:
        parser.error("--seeds must be 1 or more")
    judge, model = Clip(), load(options.checkpoint)
    rows, chosen, scores, drawn_as = [], [], {}, {}
    index: dict[str, Any] = {"checkpoint_hash": model.checkpoint_hash, "settings": model.settings.to_dict()}
    index |= {"wall": {"en": [], "zh": []}, "styles": {}}
    for wanted in track(list(_wanted(model.styles)), description="Drawing"):
        asked = model.understand(wanted.prompt).asked
        if asked not in drawn_as:  # a prompt that is understood as another one draws the same
            drawn = model.text_to_image([wanted.prompt] * options.seeds, seeds=range(options.seeds))
            near = judge.embed_pictures(drawn) @ judge.embed_captions([wanted.caption])[0]
            best = int(near.argmax())
            drawn_as[asked] = {"file": wanted.file, "seed": best}
            scores[wanted.file] = near[best]
            rows.append(drawn)
            chosen.append(best)
        sample = drawn_as[asked] | {"prompt": wanted.prompt}
        if wanted.style:
            index["styles"][wanted.style] = sample
        else:
            index["wall"][Path(wanted.file).parent.name].append(sample)
    for language, wall in index["wall"].items():
        best_of = sorted(wall, key=lambda sample: -scores[sample["file"]])[:KEPT]
        index["wall"][language] = [sample for sample in wall if sample in best_of]
    pictures = dict(zip(scores, (row[best] for row, best in zip(rows, chosen, strict=True)), strict=True))
    _write(index, pictures, options.checkpoint / "samples")
    if options.sheet:
        images.save(_sheet(rows, chosen), options.sheet)
    print(f"{len(rows)} pictures in {options.checkpoint / 'samples'}: look at them.")


def _wanted(styles: Sequence[str]) -> Iterator[WallPicture]:
    for index, (english, chinese) in enumerate(WALL):
        yield WallPicture(f"wall/en/{index:02}.webp", english, english)
        yield WallPicture(f"wall/zh/{index:02}.webp", chinese, english)
    for style in styles:
        prompt = styled(STYLED, style)
        yield WallPicture(f"styles/{style}.webp", prompt, prompt, style)


def _write(index: Mapping[str, Any], pictures: Mapping[str, Image.Image], folder: Path) -> None:
    """Write the folder as the index has it, in the place of an earlier one."""
    with tempfile.TemporaryDirectory() as made:
        kept = [sample for wall in index["wall"].values() for sample in wall] + list(index["styles"].values())
        for sample in kept:
            file = Path(made, sample["file"])
            file.parent.mkdir(parents=True, exist_ok=True)
            pictures[sample["file"]].convert("RGB").save(file, quality=QUALITY, method=6)
        text = json.dumps(index, indent=1, ensure_ascii=False)
        Path(made, "index.json").write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made, folder)


def _sheet(rows: Sequence[Sequence[Image.Image]], chosen: Sequence[int]) -> Image.Image:
    sheet = Image.new("RGB", (max(map(len, rows)) * SIDE, len(rows) * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for y, (row, best) in enumerate(zip(rows, chosen, strict=True)):
        for x, picture in enumerate(row):
            sheet.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x * SIDE, y * SIDE))
        pen.rectangle((best * SIDE, y * SIDE, best * SIDE + SIDE - 1, y * SIDE + SIDE - 1), outline="red", width=2)
    return sheet


if __name__ == "__main__":
    main()
