"""Opening anything safely, pixels to tensors and back, and the record in a PNG."""

import io
import sys
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from PIL import Image

from dalle2 import images

RED = (255, 0, 0)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((4, 6), 200 * 256 + 17, dtype=np.uint16))
    else:
        picture = Image.new("L", (6, 4), 200).convert(mode)
    opened = images.open_picture(encoded(picture))
    assert opened.mode == "RGB" and opened.size == (6, 4)
    if mode != "1":
        assert opened.getpixel((3, 2)) == (200, 200, 200)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_other_formats(kind: str, tmp_path: Path) -> None:
    misnamed = tmp_path / "picture.txt"  # the content counts, not the name
    misnamed.write_bytes(encoded(Image.new("RGB", (8, 8), RED), kind))
    assert np.abs(np.subtract(images.open_picture(misnamed).getpixel((4, 4)), RED)).max() <= 4


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, (0, 0, 255), (0, 255, 0))]
    moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(io.BytesIO(moving)) as opened:
        assert opened.n_frames == 3
    picture = images.open_picture(moving)
    assert picture.size == (8, 8) and np.abs(np.subtract(picture.getpixel((4, 4)), RED)).max() <= 4


def test_cmyk() -> None:
    picture = images.open_picture(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"))
    assert picture.getpixel((4, 4)) == (255, 255, 255)


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    clear.putpixel((1, 0), (255, 0, 0, 255))
    assert list(images.open_picture(encoded(clear)).get_flattened_data()) == [(255, 255, 255), RED]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([0, 255, 0, *RED])
    palette.putpixel((1, 0), 1)
    assert images.open_picture(encoded(palette, transparency=0)).getpixel((0, 0)) == (255, 255, 255)
    assert images.to_rgb(clear, (1, 2, 3)).getpixel((0, 0)) == (1, 2, 3)


def test_orientation_is_applied_and_metadata_dropped() -> None:
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    exif[0x010F] = "camera"
    opened = images.open_picture(encoded(picture, exif=exif))
    assert opened.size == (2, 4) and opened.getpixel((1, 0)) == RED
    assert not opened.getexif() and not opened.info


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    huge = encoded(Image.new("1", (8000, 8000)))
    with pytest.raises(ValueError, match=r"64,000,000 pixels, but at most 40,000,000"):
        images.open_picture(huge)
    with pytest.raises(ValueError, match="at most"):  # Pillow's own bomb limit
        images.open_picture(encoded(Image.new("1", (20000, 20000))))


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a picture"):
        images.open_picture(b"GIF89 but not really")
    with pytest.raises(ValueError, match="not a picture"):
        images.open_picture(b"")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    for kind in ("PNG", "JPEG"):
        with pytest.raises(ValueError, match="damaged"):
            images.open_picture(encoded(noise, kind)[:2000])


def test_tensors_and_back() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))
    pixels = images.to_tensor([picture, picture])
    assert pixels.shape == (2, 3, 5, 7) and pixels.min() >= -1 and pixels.max() <= 1
    for dtype in (torch.float32, torch.float64):
        assert images.to_pictures(pixels.to(dtype))[1].tobytes() == picture.tobytes()
    assert images.to_pictures(torch.full((1, 3, 2, 2), 7.0))[0].getpixel((0, 0)) == (255, 255, 255)


def test_the_record_travels_in_the_png(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4), RED)
    record = {"prompt": "кошка 🐱 \n", "seed": 7, "settings": {"prior": [1.5]}}
    images.write_record(picture, record)
    saved = images.save(picture, tmp_path / "new" / "cat.png")
    assert images.read_record(saved) == record == images.read_record(picture)
    assert Image.open(saved).tobytes() == picture.tobytes()


def test_pictures_without_a_record_are_told(tmp_path: Path) -> None:
    plain = images.save(Image.new("RGB", (4, 4)), tmp_path / "plain.png")
    with pytest.raises(ValueError, match="no record"):
        images.read_record(plain)
    jpeg = tmp_path / "cat.jpg"
    Image.new("RGB", (4, 4)).save(jpeg)
    with pytest.raises(ValueError, match="not a PNG"):
        images.read_record(jpeg)
    for text in ("a cat\nSteps: 20, Sampler: Euler", "[1]"):
        other = Image.new("RGB", (4, 4))
        other.info[images.RECORD_KEY] = text
        with pytest.raises(ValueError, match="another program"):
            images.read_record(other)


def test_only_png_is_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"end in \.png"):
        images.save(Image.new("RGB", (4, 4)), tmp_path / "cat.jpg")


def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    before = images.save(Image.new("RGB", (4, 4)), tmp_path / "cat.png").read_bytes()
    noise.save(tmp_path / "noise.png")
    script = (
        "import resource, signal, sys; from PIL import Image; from dalle2 import images\n"
        "picture = Image.open(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "images.save(picture, sys.argv[2])"
    )
    files = [tmp_path / "noise.png", tmp_path / "cat.png"]
    done = forked.run([sys.executable, "-c", script, *files])
    assert "OSError: [Errno 27]" in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cat.png", "noise.png"]
    assert (tmp_path / "cat.png").read_bytes() == before
