"""How checkpoints are read for a service: onto which device, in which precision, with what their folders say."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from dalle2 import light
from dalle2.families import EMBEDDED, load
from dalle2.families.lazy import LazyModel
from dalle2.families.places import public_name
from dalle2.families.published import known
from dalle2.model import UnclipModel
from dalle2.serving.refusal import Refusal


class Card(NamedTuple):
    """What a checkpoint's card says: Markdown, and the name of the licence."""

    text: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Opened:
    """A checkpoint that has been read: its model, its card, and its folder where it has one on this machine."""

    model: UnclipModel
    card: Card
    folder: Path | None


@dataclass(frozen=True)
class Opener:
    """Reads checkpoints, as `dalle2.families.load` names them, onto the GPU if there is one; fields are as there.

    The `loras` are for the one checkpoint that is `taught`.
    """

    dtype: str = "float32"
    allow_pickle: bool = False
    offload: bool | str | None = None
    engine: str = "auto"
    loras: Sequence[str] = ()
    taught: str = ""
    lazy: bool = False

    def __call__(self, source: str) -> Opened:
        """Read one; ValueError says what is wrong with it.

        Where it may be there `lazy`, the embedded one's networks are not read before they are needed.
        """
        model = LazyModel(source, lambda: self._load(source)) if self._may_wait(source) else self._load(source)
        folder = folder_of(source)
        # Records and pages are public, and where the server keeps its files is nobody's business.
        model.checkpoint = public_name(model.checkpoint)
        return Opened(model, _card(folder), folder if folder.is_dir() else None)

    def _load(self, source: str) -> UnclipModel:
        import torch  # seconds

        device = "cuda" if torch.cuda.is_available() else "cpu"
        options: dict[str, Any] = {"allow_pickle": self.allow_pickle, "offload": self.offload, "engine": self.engine}
        options["loras"] = self._loras(source)
        return load(source, device, getattr(torch, self.dtype), **options)

    def _loras(self, source: str) -> Sequence[str]:
        return self.loras if source == self.taught else ()

    def _may_wait(self, source: str) -> bool:
        plain = self.dtype == "float32" and self.engine in ("auto", "onnxruntime") and not self.offload
        plain = plain and not self._loras(source)
        # Who has imported torch need not wait for it. Whether a torchvision fits it, only importing both tells, and
        # ZeroGPU wants all networks at the start.
        new = "torch" not in sys.modules and not any(find_spec(name) for name in ("torchvision", "spaces"))
        return self.lazy and plain and source == EMBEDDED.name and new and light.is_here(source)

    @property
    def bytes_each(self) -> int:
        """The bytes that a parameter takes in memory."""
        return 4 if self.dtype == "float32" else 2

    def memory(self, source: str) -> float | None:
        """Return the GB that a published checkpoint's weights take in memory, or None where nothing is known of it."""
        published = known(source)
        return published.memory(self.bytes_each) if published else None

    def check_memory(self, source: str) -> None:
        """Refusal where a published checkpoint needs more memory than is free beside what is there now."""
        needed, free = self.memory(source), _free()
        if needed and free is not None and needed > free:
            raise Refusal(
                f"{source} takes {needed:g} GB of memory, and {free:.1f} GB are free beside what is loaded: choose a "
                "smaller one, or start with --checkpoint and --dtype bfloat16."
            )


def folder_of(source: str) -> Path:
    """Return the folder of a checkpoint, as `load` names it; it may be none of this machine's."""
    return EMBEDDED if source == EMBEDDED.name else Path(source).expanduser()


def _free() -> float | None:
    """Return the GB of memory that are free, on the GPU if there is one; None where the system does not say."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0] / 1e9
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9  # all there is: macOS tells no more
    except (ValueError, OSError):
        return None


def _card(folder: Path) -> Card:
    """Return the folder's README.md without its front matter, which names the licence, and its LICENCES.md below."""
    files = [folder / name for name in ("README.md", "LICENCES.md")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    front = ""
    if texts and texts[0].startswith("---\n"):
        front, _, texts[0] = texts[0].partition("\n---\n")
    named = re.search(r"^license: *(\S+)", front, re.MULTILINE)
    licence = re.sub(r"^CC-(.+)-(\d\.\d)$", r"CC \1 \2", named[1].upper()) if named else ""
    return Card("\n\n".join(texts), licence)
