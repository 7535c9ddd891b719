"""What is compared: a folder that was drawn before, or a checkpoint with settings, drawn now by `generation`.

A contestant is written as on generation's own command line: `emoji`, `"emoji --steps 10,4,2"`,
`"runs/b --guidance 3,1 --dtype bfloat16"`. Each is drawn by a process of its own, whose peak memory is its own too.
"""

import hashlib
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.manifest import Cost, Manifest, read_cost, read_manifest


@dataclass(frozen=True)
class Contestant:
    """A name, a complete folder of pictures with its manifest, and what drawing it cost, if known."""

    name: str
    folder: Path
    manifest: Manifest
    cost: Cost | None

    @property
    def files(self) -> list[Path]:
        """The pictures, in the order of the prompts."""
        return [self.folder / row.file for row in self.manifest.rows]


def open_contestant(name: str, out: Path, arguments: Sequence[str], with_prompts: bool) -> Contestant:
    """The contestant, drawn into `out` unless it is a drawn folder; ValueError when it cannot be had.

    `arguments` go to generation for all: the prompts, where there are any, and the seed.
    """
    words = shlex.split(name)
    if not words:
        raise ValueError("A contestant is a checkpoint, a checkpoint with settings, or a drawn folder, not nothing.")
    drawn = Path(words[0]).expanduser()
    if (manifest := read_manifest(drawn)) is None:
        if not with_prompts:
            raise ValueError(
                f"{words[0]} is no drawn folder, and to draw with it takes prompts: name them by --prompts."
            )
        slug = re.sub(r"[^\w.-]+", "-", name).strip("-")[-60:]
        drawn = out / f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        manifest = _draw(name, ["--checkpoint", *words, *arguments, "--out", str(drawn)], drawn)
    elif len(words) > 1:
        raise ValueError(f"{words[0]} is drawn already, so {' '.join(words[1:])} comes too late: leave it out.")
    if missing := [row.file for row in manifest.rows if not (drawn / row.file).is_file()]:
        raise ValueError(f"{drawn} lacks {len(missing):,} pictures, the first is {missing[0]}: {manifest.command}")
    return Contestant(name, drawn, manifest, read_cost(drawn))


def _draw(name: str, arguments: Sequence[str], folder: Path) -> Manifest:
    """Draw what is missing of the folder."""
    if subprocess.run([sys.executable, "-m", "evaluation.generation", *arguments], check=False).returncode != 0:
        raise ValueError(f"{name} was not drawn; why stands above.")
    manifest = read_manifest(folder)
    assert manifest is not None
    return manifest
