"""Pictures that visitors bring, as bytes or as the path of a file: checked before they are decoded.

A path that the server chose is nobody's business, so no sentence tells it.
"""

import contextlib
import threading
from pathlib import Path

from PIL import Image

from dalle2 import images
from dalle2.serving.limits import MAX_UPLOAD_BYTES
from dalle2.serving.refusal import Refusal

Upload = str | Path | bytes
# So many pictures are decoded at a time, by all threads: each may take 120 MB of memory, and more meanwhile.
DECODING = threading.BoundedSemaphore(4)


def open_picture(upload: Upload | None) -> Image.Image:
    """Return a visitor's picture, upright, without its metadata; checked by size, content and pixels before decoding.

    Refusal says what is wrong with it.
    """
    if not upload:
        raise Refusal("There is no picture yet: choose, drop or paste one.")
    try:
        _check_bytes(upload)
        with DECODING:
            return images.open_picture(upload)
    except OSError as error:
        raise Refusal("The picture is not on the server any more: choose it again.") from error


def open_mask(upload: Upload | None, picture: Image.Image) -> Image.Image:
    """Open where a picture is repainted: a mask of its size, or a square for its middle square.

    White is repainted, or what is transparent in a mask that is transparent in places. A square of any size is fitted.
    Refusal says what is wrong with it.
    """
    if not upload:
        raise Refusal("Nothing is marked yet: paint over what should change.")
    try:
        _check_bytes(upload)
        with DECODING:
            mask = images.open_mask(upload)
    except OSError as error:
        raise Refusal("The mask is not on the server any more: paint it again.") from error
    if not mask.getextrema()[1]:
        raise Refusal("Nothing is marked yet: paint over what should change.")
    if mask.size == picture.size or mask.width != mask.height:
        return mask
    side = min(picture.size)
    whole = Image.new("L", picture.size)
    whole.paste(mask.resize((side, side)), ((picture.width - side) // 2, (picture.height - side) // 2))
    return whole


def open_own(upload: Upload) -> Image.Image:
    """Open a picture as `open_picture` does; one that was drawn here keeps its record."""
    picture = open_picture(upload)
    with contextlib.suppress(Refusal):
        images.write_record(picture, read_record(upload))
    return picture


def read_record(picture: Upload | Image.Image) -> dict[str, object]:
    """Return the record that a PNG carries; Refusal when it has none."""
    try:
        with DECODING:
            return images.read_record(picture)
    except Refusal as error:
        # The message may begin with the file's path on the server.
        sentence = str(error).replace(str(picture), "This file") if isinstance(picture, str | Path) else str(error)
        raise Refusal(sentence) from error
    except OSError as error:
        raise Refusal("The picture is damaged and cannot be read to its end: choose another one.") from error


def _check_bytes(upload: Upload) -> None:
    size = len(upload) if isinstance(upload, bytes) else Path(upload).stat().st_size
    if size > MAX_UPLOAD_BYTES:
        raise Refusal(f"The picture's file is larger than {MAX_UPLOAD_BYTES // 1_000_000} MB: make it smaller.")
