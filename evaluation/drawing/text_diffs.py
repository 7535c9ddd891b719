"""Pictures moved by text diffs, each strength into a file of its own, so that a run can be resumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dalle2.images import read_record, save
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from dalle2.tasks.text_diff import Way
from evaluation.cli.text_diff import Options
from evaluation.drawing.enlargement import open_drawer
from evaluation.pictures.manifest import is_whole


@dataclass(frozen=True)
class TextDiffEditor:
    """A checkpoint, its settings and the way by which it moves pictures."""

    model: UnclipModel
    settings: Settings
    way: Way

    @property
    def picture_size(self) -> int:
        """Return pixels a side."""
        return self.model.picture_size

    @property
    def facts(self) -> dict[str, object]:
        """Return what decides the pictures beside their texts and strengths."""
        model = self.model
        names = {"checkpoint": model.checkpoint, "checkpoint_hash": model.checkpoint_hash}
        return {**names, "settings": self.settings.to_dict()}

    def move(self, picture: Image.Image, old: str, new: str, seed: int, files: Mapping[float, Path]) -> None:
        """Move a picture from the old to the new text, at each strength whose file is not there yet.

        ValueError for a file that was drawn in another way.
        """
        expected = {"new": new, "way": self.way, **self.facts}
        expected.pop("checkpoint")  # it may lie elsewhere by now
        missing = []
        for strength, file in files.items():
            if not is_whole(file):
                missing.append(strength)
            elif other := [key for key, value in expected.items() if read_record(file).get(key) != value]:
                raise ValueError(f"{file} was drawn before with other {other[0]}: choose another --out.")
        if missing:
            way, settings = self.way, self.settings
            moved = self.model.text_diff(
                picture, new, seed=seed, old=old, strengths=missing, settings=settings, way=way, literal=True
            )
            for strength, one in zip(missing, moved, strict=True):
                save(one, files[strength])


def open_mover(options: Options) -> TextDiffEditor:
    """Return the checkpoint that the options name; ValueError where it cannot be opened."""
    model, settings = open_drawer([options.checkpoint, "--device", str(options.device), "--dtype", options.dtype])
    return TextDiffEditor(model, settings.for_text_diff(options.steps), options.way)
