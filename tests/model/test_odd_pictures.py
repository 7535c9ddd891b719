"""Picture files as the world has them: odd metadata, torn, other formats. Opened rightly, or refused in a sentence."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dalle2 import images, png

UPRIGHT = Image.new("RGB", (48, 64), "white")
UPRIGHT.paste("black", (0, 0, 24, 16))  # a corner, so that every turn is another picture
# How a camera that states this orientation keeps the picture.
KEPT = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
ODD = {  # an entry beside the orientation: tag, kind, count, value
    "a resolution of -1/0": (0x011A, 10, 1, struct.pack("<ii", -1, 0)),
    "a camera of a number": (0x010F, 4, 1, struct.pack("<I", 7)),
    "a size beyond the file": (0x0101, 12, 1, struct.pack("<I", 2**32 - 1)),
    "a table beyond the file": (0x8825, 5, 2**31, struct.pack("<I", 2**32 - 1)),
    "an unknown kind": (0x9003, 99, 3, b"abc\0"),
    "half a text": (0x9C9B, 1, 3, b"a\0b\0"),
}


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation: int, odd: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of two entries, as cameras write them, by rising tag."""
    tag, kind, count, value = odd
    place = struct.pack("<I", 8 + 2 + 24 + 4) if len(value) > 4 else value
    entries = sorted(
        [struct.pack("<HHI", 0x0112, 3, 1) + struct.pack("<HH", orientation, 0), struct.pack("<HHI", tag, kind, count)],
        key=lambda entry: struct.unpack("<H", entry[:2]),
    )
    entries = [entry if len(entry) == 12 else entry + place for entry in entries]
    tail = value if len(value) > 4 else b""
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + struct.pack("<I", 0) + tail


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def drawn_png(depth: int, colours: int, row: bytes, width: int, *extra: bytes) -> bytes:
    """A PNG of one row, written by hand: Pillow writes no such depths."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colours, 0, 0, 0))
    return png.SIGNATURE + head + b"".join(extra) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("orientation", KEPT)
def test_a_picture_stands_upright_whatever_else_its_exif_says(orientation: int, odd: tuple) -> None:
    kept = UPRIGHT if KEPT[orientation] is None else UPRIGHT.transpose(KEPT[orientation])
    written = exif(orientation, odd)
    plain = encoded(kept, "PNG")
    files = {
        "JPEG": encoded(kept, "JPEG", exif=written, quality=95),
        "WEBP": encoded(kept, "WEBP", exif=written, lossless=True),
        "PNG": plain[:33] + chunk(b"eXIf", written[6:]) + plain[33:],
    }
    for kind, data in files.items():
        opened = images.open_picture(data)
        assert opened.size == UPRIGHT.size, kind
        assert np.abs(np.subtract(opened, UPRIGHT, dtype=np.int64)).mean() < 2, kind
        assert not opened.info


def test_an_avif_opens_upright_whatever_its_exif_says() -> None:
    tags = Image.Exif()
    tags[0x0112], tags[0x011A] = 6, 72.0
    data = encoded(UPRIGHT.transpose(KEPT[6]), "AVIF", exif=tags)
    assert images.open_picture(data).size == UPRIGHT.size
    entry = data.index(struct.pack(">HHI", 0x011A, 5, 1))
    place = data.rindex(b"MM\0*", 0, entry) + struct.unpack(">I", data[entry + 8 : entry + 12])[0]
    odd = bytearray(data)
    odd[entry + 2 : entry + 4], odd[place : place + 8] = struct.pack(">H", 10), struct.pack(">ii", -1, 0)
    assert np.abs(np.subtract(images.open_picture(bytes(odd)), UPRIGHT, dtype=np.int64)).mean() < 4


def test_the_orientation_of_a_png_may_stand_in_xmp() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    assert images.open_picture(encoded(UPRIGHT.transpose(KEPT[6]), "PNG", pnginfo=text)).size == UPRIGHT.size


def test_long_texts_and_colour_profiles_are_left_unread() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 1_500_000, zip=True)
    text.add_itxt("prompt", "x" * 1_500_000, zip=True)
    for _ in range(70):  # together more than Pillow bears
        text.add_text("comment", "x" * 999_000)
    early = encoded(UPRIGHT, "PNG", pnginfo=text, icc_profile=bytes(2_000_000))
    late = encoded(UPRIGHT, "PNG")
    late = late[:-12] + chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2_000_000))) + late[-12:]
    for data in (early, late):
        assert images.open_picture(data).tobytes() == UPRIGHT.tobytes()


def test_a_record_is_read_beside_long_texts(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 1_500_000, zip=True)
    text.add_text(images.RECORD_KEY, '{"task": "mix"}')
    (tmp_path / "a.png").write_bytes(encoded(UPRIGHT, "PNG", pnginfo=text))
    assert images.read_record(tmp_path / "a.png") == {"task": "mix"}


@pytest.mark.parametrize(
    ("depth", "colours", "row", "clear", "expected"),
    [
        (2, 0, bytes([0b00011011]), [2], [0, 85, None, 255]),
        (4, 0, bytes([0x3C]), [12], [51, None]),
        (16, 0, struct.pack(">HH", 0x3C01, 0x3C02), [0x3C02], [0x3C, None]),
        (16, 2, struct.pack(">6H", *[0x1234] * 3, *[0x5678] * 3), [0x5678] * 3, [0x12, None]),
    ],
)
def test_a_level_that_is_transparent_stays_so(
    depth: int, colours: int, row: bytes, clear: list[int], expected: list[int | None]
) -> None:
    data = drawn_png(depth, colours, row, len(expected), chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    levels = [255 if level is None else level for level in expected]
    assert np.asarray(images.open_picture(data))[0].tolist() == [[level] * 3 for level in levels]
    mask = np.asarray(images.open_mask(data))[0].tolist()
    assert mask == [255 if level is None else 0 for level in expected]


def short_of_pixels() -> dict[str, bytes]:
    """PNGs whose parts are as they were written, but whose pixels end too early."""
    row = b"\0" + bytes(range(48)) * 3
    short = {
        "without its last row": (b"\0\0\0\0\0", row * 39),  # which Pillow takes for black
        "without its last byte": (b"\0\0\0\0\0", (row * 40)[:-1]),
        "without rows": (b"\0\0\0\0\0", b""),
        "interlaced, without its last row": (b"\0\0\0\0\1", interlaced(48, 40)[: -len(row)]),
    }
    head = struct.pack(">IIB", 48, 40, 8)
    return {
        name: png.SIGNATURE
        + chunk(b"IHDR", head + b"\2" + rest[2:])
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
        for name, (rest, rows) in short.items()
    }


def interlaced(width: int, height: int) -> bytes:
    """The rows of a grey RGB picture in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b""
    for left, top, across, down in passes:
        columns, lines = len(range(left, width, across)), len(range(top, height, down))
        rows += (b"\0" + b"\x07" * 3 * columns) * lines if columns else b""
    return rows


def test_the_pixels_of_whole_pictures_are_all_there() -> None:
    for width, height in ((1, 1), (3, 2), (5, 9), (48, 40)):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
        body = chunk(b"IDAT", zlib.compress(interlaced(width, height)))
        picture = images.open_picture(png.SIGNATURE + head + body + chunk(b"IEND", b""))
        assert (picture.size, picture.getextrema()) == ((width, height), ((7, 7),) * 3)
        noise = Image.effect_noise((width, height), 100)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
            assert images.open_picture(encoded(noise.convert(mode), "PNG")).size == (width, height)


def torn_files() -> dict[str, bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    whole, jpeg, gif = encoded(noise, "PNG"), encoded(noise, "JPEG"), encoded(noise, "GIF")
    flat = encoded(Image.new("L", (60, 60), 7), "PNG")
    data = flat.index(b"IDAT")
    torn = {
        "png, cut": whole[:3000],
        "png, without its end": whole[:-12],
        "png, the rest zeros": whole[:3000].ljust(len(whole), b"\0"),
        "png, pixels damaged": flat[: data + 10] + bytes([flat[data + 10] ^ 1]) + flat[data + 11 :],
        "png, palette damaged": bytearray(encoded(noise.quantize(8), "PNG")),
        "jpeg, cut": jpeg[: len(jpeg) * 6 // 10],
        "jpeg, the rest zeros": jpeg[: len(jpeg) * 6 // 10].ljust(len(jpeg), b"\0"),
        "gif, cut": gif[: len(gif) // 2],
        "gif, the rest zeros": gif[: len(gif) // 2].ljust(len(gif), b"\0"),
        "webp, cut": encoded(noise, "WEBP")[:-10],
        "avif, cut": encoded(noise, "AVIF")[:-10],
        "avif, its head cut": encoded(noise, "AVIF")[:100],
        "bmp, cut": encoded(noise, "BMP")[:-10],
    }
    torn["png, palette damaged"][45] ^= 1
    torn |= {f"png, {name}": data for name, data in short_of_pixels().items()}
    return {name: bytes(data) for name, data in torn.items()}


@pytest.mark.parametrize("name", torn_files())
def test_a_torn_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^The picture is damaged and cannot be read to its end: .*[^.]\.$"):
        images.open_picture(torn_files()[name])


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("HEIC", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"),
        ("JPEG XL", b"\xff\x0a\xfa\x1f"),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
        ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("TIFF", encoded(UPRIGHT, "TIFF")),
        ("SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("PDF", b"%PDF-1.7"),
        ("Photoshop", b"8BPS"),
    ],
)
def test_another_format_is_named_with_what_to_do(kind: str, begins: bytes) -> None:
    with pytest.raises(ValueError, match=f"of the kind {kind}, which cannot be read here: save it as PNG or JPEG"):
        images.open_picture(begins.ljust(200, b"\0"))


def test_millions_of_rows_are_refused_before_they_are_decoded() -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 9_000_000, 2, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="A side of the picture has 9,000,000 pixels: 65,535 are allowed"):
        images.open_picture(png.SIGNATURE + head + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b""))


def test_levels_of_no_known_range_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers of no known range"):
        images.to_rgb(Image.new("F", (2, 2), 0.5))


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Cut, filled up with zeros, or with some bytes changed, most of them in its head."""
    match draw.randrange(4):
        case 0:
            return data[: draw.randrange(len(data))]
        case 1:
            return data[: draw.randrange(len(data))].ljust(len(data), b"\0")
    changed = bytearray(data)
    for _ in range(draw.choice((1, 2, 8))):
        changed[draw.randrange(min(len(data), draw.choice((60, 200, 10_000))))] = draw.choice((0, 1, 127, 128, 255))
    return bytes(changed)


def test_of_damaged_files_only_pictures_and_sentences_come_out() -> None:
    small, draw = UPRIGHT.resize((12, 16)), random.Random(0)
    turned = exif(6, ODD["a camera of a number"])
    frames = {"save_all": True, "append_images": [small.rotate(90)]}
    kinds = [
        *((kind, small.convert(mode), {}) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF") for mode in "L"),
        *(("PNG", small.convert(mode), {}) for mode in ("1", "P", "RGBA", "I;16")),
        *((kind, small, {"exif": turned}) for kind in ("PNG", "JPEG", "WEBP")),
        *((kind, small, frames) for kind in ("PNG", "GIF", "WEBP", "MPO")),
        *(("JPEG", small, {"progressive": True}), ("JPEG", small.convert("CMYK"), {})),
    ]
    opened = refused = 0
    for kind, picture, options in kinds:
        data = encoded(picture, kind, **options)
        for _ in range(40):
            try:
                assert images.open_picture(mutated(data, draw)).mode == "RGB"
                opened += 1
            except ValueError as error:
                assert "\n" not in str(error)
                refused += 1
    assert opened > 50 and refused > 200
