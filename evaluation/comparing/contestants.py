"""What is compared: a folder that was drawn before, or a checkpoint with settings, drawn now by `generation`.

A contestant is written as on generation's own command line: `emoji`, `"emoji --steps 10,4,2"`,
`"runs/b --guidance 3,1 --dtype bfloat16"`. Each is drawn by a process of its own, whose peak memory is its own too;
all that are to be drawn take turns, so that their times compare.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.drawing import turns
from evaluation.drawing.cost import Cost, read_cost
from evaluation.pictures.manifest import Manifest, is_whole, read_manifest


@dataclass(frozen=True)
class Contestant:
    """A name, a complete folder of pictures with its manifest, and what drawing it cost, if known."""

    name: str
    folder: Path
    manifest: Manifest
    cost: Cost | None

    @property
    def files(self) -> list[Path]:
        """Return the pictures, in the order of the prompts."""
        return [self.folder / row.file for row in self.manifest.rows]


def open_contestants(
    specs: Mapping[str, str], out: Path, arguments: Sequence[str], with_prompts: bool, one_at_a_time: bool = False
) -> list[Contestant]:
    """Open the contestants by name, drawn into `out` unless they are drawn folders; ValueError when one cannot be had.

    All are looked at before any is drawn. `arguments` go to generation for all: the prompts, where there are any,
    and the seed. Drawn anew, they take turns, or follow one another with `one_at_a_time`.
    """
    folders: dict[str, Path] = {}
    tasks: dict[str, list[str]] = {}
    for name, spec in specs.items():
        words = shlex.split(spec)
        if not words:
            raise ValueError(
                "A contestant is a checkpoint, a checkpoint with settings, or a drawn folder, not nothing."
            )
        drawn = Path(words[0]).expanduser()
        if read_manifest(drawn) is None:
            if not with_prompts:
                raise ValueError(
                    f"{words[0]} is not a drawn folder, and to draw with it takes prompts: name them by --prompts."
                )
            slug = re.sub(r"[^\w.-]+", "-", spec).strip("-")[-60:]
            drawn = out / f"{slug}-{hashlib.sha256(spec.encode(errors='surrogateescape')).hexdigest()[:6]}"
            tasks[str(drawn)] = ["--checkpoint", *words, *arguments, "--out", str(drawn)]
        elif len(words) > 1:
            raise ValueError(f"{words[0]} is drawn already, so {' '.join(words[1:])} comes too late: leave it out.")
        else:
            _require_complete(drawn)
        folders[name] = drawn
    if tasks:
        draw = turns.draw_one_by_one if one_at_a_time or len(tasks) == 1 else turns.draw_in_turns
        draw({spec: tasks[str(folders[name])] for name, spec in specs.items() if str(folders[name]) in tasks})
    return [Contestant(name, drawn, _require_complete(drawn), read_cost(drawn)) for name, drawn in folders.items()]


def _require_complete(drawn: Path) -> Manifest:
    manifest = read_manifest(drawn)
    assert manifest is not None
    if missing := [row.file for row in manifest.rows if not is_whole(drawn / row.file)]:
        raise ValueError(f"{drawn} lacks {len(missing):,} pictures, the first is {missing[0]}: {manifest.command}")
    return manifest
