"""Random draws that do not depend on interruptions or on the number of processes."""

import random
from dataclasses import dataclass, field

import torch


@dataclass
class Randomness:
    """The draws of one step: made for the whole global batch, of which a process keeps its own slots.

    A run resumed at step s, or split over more processes, therefore sees the same noise, crops and captions
    as an unbroken run of one process.

    Attributes:
        seed, stage, step: what the draws are a function of.
        batch_size: pictures a step over all processes. slots: the rows that this process keeps.
        device: where numbers are drawn. A GPU has a generator of its own: what is drawn there never travels, and
            nobody waits for it.
    """

    seed: int
    stage: str
    step: int
    batch_size: int
    slots: slice = field(default_factory=lambda: slice(None))
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        self.generator = torch.Generator(self.device).manual_seed(self._mixed())
        on_cpu = self.device.type == "cpu"
        self.host = self.generator if on_cpu else torch.Generator().manual_seed(self._mixed())

    @property
    def key(self) -> tuple[int, str, int, int, slice]:
        """Return what another process needs to make the same draws."""
        return self.seed, self.stage, self.step, self.batch_size, self.slots

    def seed_dropout(self) -> None:
        """Make dropout, which draws from the global generator, a function of the step as well."""
        torch.manual_seed(self._mixed())

    def normal(self, *shape: int) -> torch.Tensor:
        """Return standard normal numbers, (own slots, *shape)."""
        return torch.randn(self.batch_size, *shape, generator=self.generator, device=self.device)[self.slots]

    def uniform(self, *shape: int) -> torch.Tensor:
        """Return uniform numbers in [0, 1), (own slots, *shape)."""
        return torch.rand(self.batch_size, *shape, generator=self.generator, device=self.device)[self.slots]

    def integers(self, high: int) -> torch.Tensor:
        """Return uniform integers in [0, high), (own slots,)."""
        return torch.randint(high, (self.batch_size,), generator=self.generator, device=self.device)[self.slots]

    def coins(self) -> torch.Tensor:
        """Return uniform numbers in [0, 1), (own slots,), on the CPU: for what decides over texts."""
        return torch.rand(self.batch_size, generator=self.host)[self.slots]

    def shared(self) -> float:
        """Return one uniform number in [0, 1), the same for all slots and processes."""
        return float(torch.rand((), generator=self.host))

    def text(self, slot: int) -> random.Random:
        """Return the draws of words for one slot of the global batch."""
        return random.Random(f"{self.seed} {self.stage} {self.step} {slot}")

    def _mixed(self) -> int:
        return random.Random(f"{self.seed} {self.stage} {self.step}").getrandbits(63)
