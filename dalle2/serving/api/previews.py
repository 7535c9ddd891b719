"""Which of a drawing's previews a stream tells: as many as were asked for, evenly on the way."""

from collections.abc import Iterator

from PIL import Image

from dalle2.serving.drawing import Drawing


class Previews:
    """Of a request that asked for `most` previews of each picture; a quick machine shows fewer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._told = 0
        self._next = 1

    def due(self, drawing: Drawing) -> Iterator[tuple[int, int, Image.Image]]:
        """Yield the preview's number, the picture's place, and the preview of each picture, where it is time."""
        if drawing.finished or not drawing.pictures or self._next > self._most:
            return
        done, total = (sum(row[part] for row in drawing.stages) for part in (1, 2))
        share = done / max(total, 1) * (self._most + 1)
        if share < self._next:
            return
        for place, picture in enumerate(drawing.pictures):
            yield self._told, place, picture
        self._told += 1
        self._next = int(share) + 1
