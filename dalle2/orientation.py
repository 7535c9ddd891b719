"""How a picture file says that it is turned, and the picture turned upright."""

import struct

from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(picture: Image.Image) -> Image.Image:
    """Return a turned copy. Pillow's exif_transpose reads and writes all of the EXIF, and fails at any odd part."""
    turn = _TURNS.get(_orientation(picture.info.get("exif", b"")))
    if turn is None:
        try:  # not in EXIF, but perhaps in XMP
            turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
        except Exception:  # whatever a camera or program left there, the pixels are whole
            turn = None
    return picture.copy() if turn is None else picture.transpose(turn)


def _orientation(exif: bytes) -> int | None:
    """Return the orientation, 1 to 8, that EXIF states; None where there is none. Nothing else in it is looked at."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (place,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == ExifTags.Base.Orientation:
                return struct.unpack_from(order + {1: "B", 4: "I"}.get(kind, "H"), tiff, entry + 8)[0]
    except struct.error:
        pass
    return None
