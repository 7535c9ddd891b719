"""What is embedded in this project: where it lies, and which CLIP of it judges.

Nothing heavy is imported here, so that a command line can name it.
"""

from pathlib import Path

CHECKPOINTS = Path(__file__).parents[2] / "dalle2" / "checkpoints"
JUDGES = ("emoji-judge", "emoji")  # what is embedded, best first
JUDGE = "judge"


def default_judge() -> str:
    """Return the embedded CLIP that measures where no published one is named."""
    return next(name for name in JUDGES if (CHECKPOINTS / name).is_dir() or name == JUDGES[-1])


def clip_source(given: str | None) -> str:
    """Return the folder, hub id or embedded name that `given` means, in the spellings of both --clip and --network.

    None, "judge" and "clip:judge" are the embedded judge, "clip:SOURCE" is SOURCE.
    """
    source = (given or JUDGE).removeprefix("clip:")
    return default_judge() if source == JUDGE else source


def checkpoint_folder(checkpoint: str) -> Path:
    """Return where a checkpoint lies that is named as an embedded one, or by its folder."""
    embedded = CHECKPOINTS / checkpoint
    return embedded if embedded.is_dir() else Path(checkpoint).expanduser()
