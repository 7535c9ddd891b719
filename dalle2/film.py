"""Pictures as a film: a GIF by Pillow, an MP4 by PyAV."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dalle2 import atomic, images, provenance


def save_film(pictures: Sequence[Image.Image], path: Path, per_second: int = 8, overwrite: bool = True) -> Path:
    """Write a GIF that never ends (by Pillow) or an MP4 (H.264, by PyAV), with the first picture's record in it.

    The file appears whole or not at all. FileExistsError for a name that is taken, without `overwrite`.
    """
    record = pictures[0].info.get(images.RECORD_KEY, "")
    with atomic.file(path, overwrite) as partial:
        if path.suffix.lower() == ".gif":
            pictures[0].save(
                partial,
                format="GIF",
                save_all=True,
                append_images=pictures[1:],
                duration=round(1000 / per_second),
                loop=0,
                comment=record.encode(),
            )
        else:
            _write_mp4(pictures, partial, per_second, record)
        if provenance.signing():
            kind = "image/gif" if path.suffix.lower() == ".gif" else "video/mp4"
            partial.write_bytes(provenance.signed(partial.read_bytes(), kind, record))
    return path


def _write_mp4(pictures: Sequence[Image.Image], path: Path, per_second: int, record: str) -> None:
    import av  # with all its codecs, for which a page need not wait

    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["comment"] = record
        stream = container.add_stream("libx264", rate=per_second)
        # Players want even sides, and colours at half their resolution.
        stream.width, stream.height = (side // 2 * 2 for side in pictures[0].size)
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
