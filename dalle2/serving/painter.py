"""Who draws for a service: the networks of this machine here, and replicas on others in `dalle2.serving.ray`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from PIL import Image

from dalle2.model import UnclipModel
from dalle2.requests import Request
from dalle2.serving.batches import Batches, Visit
from dalle2.serving.pace import CPU_OVERHEAD, OVERHEAD
from dalle2.serving.shared_model import SharedModel
from dalle2.settings import MAX_PICTURES, OnStep, Settings
from dalle2.tasks.caption import Caption

# Pictures in a batch on a CPU, where a picture costs no less in a larger one; on a GPU it is as many as a model draws.
CPU_PICTURES = 8


class Painter(Protocol):
    """Draws what visits ask for, each in a thread of its own.

    Attributes:
        together: how many pictures may be asked for at a time.
        batch: how many of them are computed at once, at most.
        batches_at_once: how many such batches run beside each other.
        overhead: of a batch, in what one more picture adds to it: see `Pace`.
    """

    together: int
    batch: int
    batches_at_once: int
    overhead: float

    def draw(
        self,
        visit: Visit,
        request: Request,
        checkpoint: str,
        seeds: Sequence[int],
        settings: Settings,
        on_step: OnStep,
    ) -> list[Image.Image]:
        """Return the request's pictures, and begin the visit's turn; Cancelled once the visit is given up."""
        ...

    def caption(self, visit: Visit, request: Caption, checkpoint: str) -> list[tuple[str, float]]:
        """Return the captions nearest to the request's first picture, with their scores; else as `draw`."""
        ...

    def give_up(self, visit: Visit) -> None:
        """End what is drawn for the visit, within a step. It may have ended already."""
        ...


class LocalPainter:
    """Draws with these models, in batches across visits."""

    def __init__(self, models: Mapping[str, UnclipModel]) -> None:
        on_cpu = all(model.device.type == "cpu" for model in models.values())
        self.batches = Batches(CPU_PICTURES if on_cpu else MAX_PICTURES)
        self._models = models  # which change while others come and go
        self.batch, self.batches_at_once = self.batches.most, 1
        self.overhead = CPU_OVERHEAD if on_cpu else OVERHEAD
        # While one batch is drawn and brought to its visitors, the next one is ready.
        self.together = 2 * self.batch

    def draw(
        self,
        visit: Visit,
        request: Request,
        checkpoint: str,
        seeds: Sequence[int],
        settings: Settings,
        on_step: OnStep,
    ) -> list[Image.Image]:
        with self.batches.during(visit):
            return request.draw(self._shared(checkpoint), seeds, settings, on_step)

    def caption(self, visit: Visit, request: Caption, checkpoint: str) -> list[tuple[str, float]]:
        with self.batches.during(visit):
            return [(one.caption, one.score) for one in request.find(self._shared(checkpoint))[0]]

    def give_up(self, visit: Visit) -> None:
        self.batches.give_up(visit)

    def _shared(self, checkpoint: str) -> SharedModel:
        return SharedModel(self._models[checkpoint], self.batches)
