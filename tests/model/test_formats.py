"""Pictures as people take them away: enlarged, transparent, SVG, on a sheet, in a ZIP; each with its record."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageDraw

from dalle2 import formats, images
from dalle2.__main__ import main
from dalle2.model import UnclipModel
from dalle2.settings import Settings

SIDE = 128


def drawing(side: int = SIDE, background: str = "white") -> Image.Image:
    """A face as icons draw it: an orange disc with a white eye, a dark mouth and whiskers, with smooth edges."""
    large = Image.new("RGB", (side * 4, side * 4), background)
    pen, unit = ImageDraw.Draw(large), side * 4 / 100
    pen.ellipse([10 * unit, 10 * unit, 90 * unit, 90 * unit], fill="#f4900c")
    pen.ellipse([30 * unit, 30 * unit, 45 * unit, 45 * unit], fill="white")
    pen.rectangle([40 * unit, 62 * unit, 70 * unit, 70 * unit], fill="#292f33")
    pen.line([2 * unit, 95 * unit, 30 * unit, 97 * unit], fill="#292f33", width=round(unit))
    return large.resize((side, side), Image.Resampling.BOX)


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one).astype(float) - np.asarray(other).astype(float)
    return float(10 * np.log10(255**2 / max((difference**2).mean(), 1e-9)))


def rasterised(svg: str, side: int) -> Image.Image:
    file = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side))
    return Image.open(io.BytesIO(file)).convert("RGB")


def test_an_enlarged_drawing_is_nearer_to_the_truth_than_a_smooth_resize(embedded: UnclipModel) -> None:
    model = embedded
    truth = drawing(512)
    small = truth.resize((SIDE, SIDE), Image.Resampling.BOX)
    images.write_record(small, {"prompt": "a face", "seed": 7})
    large = model.enlarge(small, 512)
    assert large.size == (512, 512)
    assert psnr(large, truth) > psnr(small.resize((512, 512), Image.Resampling.BICUBIC), truth) + 3
    # Averaged down, it is the picture that it came from.
    assert psnr(large.resize((SIDE, SIDE), Image.Resampling.BOX), small) > 40
    record = images.read_record(large)
    assert record.pop("enlarging_upsampler") == model.settings.to_dict()["upsampler"]
    assert record == {"prompt": "a face", "seed": 7, "size": 512, "factor": 4, "enlarging_seed": 0}


def test_what_cannot_be_enlarged_gets_a_sentence(model: UnclipModel, quick: Settings) -> None:
    own = model.picture_size
    assert model.enlarge(drawing(5), 512, seed=3, settings=quick).size == (512, 512)
    signed = images.read_record(model.enlarge(drawing(20), 100, seed=3, settings=quick))
    assert (signed["task"], signed["seed"], signed["size"]) == ("enhance", 3, 100)
    for side, picture, sentence in (
        (20, drawing(20), "20 pixels already"),
        (512, drawing(own + 1), f"at most {own}"),
        (4096, drawing(20), "up to 1024, not 4096"),
        (True, drawing(20), "up to 1024, not True"),
    ):
        with pytest.raises(ValueError, match=sentence):
            model.enlarge(picture, side, seed=3, settings=quick)


@pytest.mark.parametrize("background", ["white", "#bfe3f7"])
def test_a_background_becomes_transparent_with_clean_edges(background: str) -> None:
    picture = drawing(background=background)
    picture.putpixel((SIDE - 2, 1), (230, 200, 230))  # dirt
    images.write_record(picture, {"seed": 7})
    cut = formats.transparent(picture)
    alpha = np.asarray(cut.getchannel("A"))
    assert alpha[0, 0] == alpha[1, SIDE - 2] == 0 and alpha[SIDE // 2, SIDE // 2] == 255
    assert alpha[48, 48] == 255  # the white eye is no background
    assert alpha[int(0.96 * SIDE), int(0.16 * SIDE)] > 60  # a thin line stays
    # On black there is no pale rim, and on its own background it is the picture.
    for ground in ("black", background):
        canvas = Image.new("RGBA", cut.size, ground)
        expected = drawing(background=ground)
        assert psnr(Image.alpha_composite(canvas, cut).convert("RGB"), expected) > 28, ground
    assert images.read_record(cut) == {"seed": 7}


def test_a_picture_without_an_even_background_gets_a_sentence() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="no even background"):
        formats.transparent(Image.fromarray(noise))
    with pytest.raises(ValueError, match="nothing but background"):
        formats.transparent(Image.new("RGB", (40, 40), "white"))


def test_an_svg_shows_the_picture_in_few_shapes() -> None:
    picture = drawing()
    noisy = np.asarray(picture).astype(int) + np.random.default_rng(0).integers(-6, 7, (SIDE, SIDE, 3))
    picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    images.write_record(picture, {"prompt": "a </metadata> & <b>", "seed": 7})
    svg = formats.to_svg(picture)
    assert psnr(rasterised(svg, SIDE), drawing()) > 22
    assert svg.count("<path") < 400 and len(svg) < 60_000
    assert "<script" not in svg and svg.count("</metadata>") == 1
    found = re.search(r"<metadata>(.*)</metadata>", svg)[1]
    for sign, entity in (("<", "&lt;"), (">", "&gt;"), ("&", "&amp;")):
        found = found.replace(entity, sign)
    assert json.loads(found)["prompt"] == "a </metadata> & <b>"


def test_a_sheet_and_a_zip_hold_all_pictures_and_their_records() -> None:
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue", "teal", "black")]
    for seed, picture in enumerate(pictures):
        images.write_record(picture, {"seed": seed})
    sheet = formats.contact_sheet(pictures)
    assert sheet.size == (3 * 34 + 2, 2 * 34 + 2)
    assert [sheet.getpixel(place) for place in ((3, 3), (37, 3), (37, 37))] == [(255, 0, 0), (0, 255, 0), (0, 0, 0)]
    assert [record["seed"] for record in images.read_record(sheet)["pictures"]] == [0, 1, 2, 3, 4]
    with zipfile.ZipFile(io.BytesIO(formats.to_zip([("cat", picture) for picture in pictures]))) as packed:
        assert packed.namelist() == ["cat.png", "cat-2.png", "cat-3.png", "cat-4.png", "cat-5.png"]
        with Image.open(packed.open("cat-3.png")) as third:
            third.load()
            assert (images.read_record(third)["seed"], third.getpixel((0, 0))) == (2, (0, 0, 255))


def test_the_command_line_takes_sizes_and_forms(tiny_checkpoint: Path, tmp_path: Path) -> None:
    own = ["--checkpoint", str(tiny_checkpoint)]
    assert main(["a cat", "--draft", "--seed", "7", "--size", "512", "-o", str(tmp_path / "cat.png"), *own]) == 0
    with Image.open(tmp_path / "cat.png") as cat:
        assert cat.size == (512, 512)
    assert images.read_record(tmp_path / "cat.png")["size"] == 512
    assert main(["--from", str(tmp_path / "cat.png"), "-o", str(tmp_path / "again.png"), *own]) == 0
    again, first = (np.asarray(Image.open(tmp_path / name)) for name in ("again.png", "cat.png"))
    assert np.array_equal(again, first)
    assert main(["a cat", "--draft", "--seed", "7", "--format", "svg", "-o", str(tmp_path / "svgs"), *own]) == 0
    assert sorted(file.name for file in (tmp_path / "svgs").iterdir()) == ["a-cat-7.svg"]
    assert images.read_record(tmp_path / "svgs" / "a-cat-7.svg")["prompt"] == "a cat"
    assert main(["--from", str(tmp_path / "svgs" / "a-cat-7.svg"), "-o", str(tmp_path / "redrawn.png"), *own]) == 0
    assert main(["a cat", "--draft", "--seed", "7", "-o", str(tmp_path / "first.png"), *own]) == 0
    redrawn, drawn = (np.asarray(Image.open(tmp_path / name)) for name in ("redrawn.png", "first.png"))
    assert np.array_equal(redrawn, drawn)
    drawing(20).save(tmp_path / "small.png")
    asked = ["enhance", str(tmp_path / "small.png"), "--size", "512", "--format", "transparent"]
    assert main([*asked, "-o", str(tmp_path / "large.png"), *own]) == 0
    with Image.open(tmp_path / "large.png") as large:
        assert (large.mode, large.size) == ("RGBA", (512, 512))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            ["a cat", "--format", "svg", "-o", "cat.png"],
            "'cat.png' ends in .png: name it 'cat.svg', or leave out --format.",
        ),
        (
            ["a cat", "--format", "png", "-o", "cat.svg"],
            "--format png saves pictures as .png, but 'cat.svg' ends in .svg",
        ),
        (["a cat", "--size", "3000"], "up to 1024, not 3000"),
        (["steps", "a cat", "--strip", "--size", "512"], "leave out --strip"),
    ],
)
def test_forms_that_do_not_fit_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert sentence in capsys.readouterr().err
