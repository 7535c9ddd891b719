"""A service whose tests want to know when somebody gives a drawing up."""

import threading
from collections.abc import Iterator

from dalle2.model import UnclipModel
from dalle2.serving.drawing import Drawing
from dalle2.serving.service import Service


class Watched(Service):
    """A service that tells when a stream of drawings has been closed before its end."""

    def __init__(self, model: UnclipModel) -> None:
        super().__init__(model)
        self.left = threading.Event()

    def draw(self, *arguments: object, **options: object) -> Iterator[Drawing]:
        try:
            yield from super().draw(*arguments, **options)
        except GeneratorExit:
            self.left.set()
            raise
