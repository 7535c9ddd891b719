"""The checkpoints that are open on this machine, and what visitors may know of each."""

import json
import logging
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from dalle2.families import EMBEDDED, load
from dalle2.families.places import public_name
from dalle2.model import UnclipModel
from dalle2.requests import Request
from dalle2.serving.limits import MAX_PICTURES, Choice, settings_of, words
from dalle2.serving.refusal import Refusal
from dalle2.settings import MAX_PROMPT_CHARACTERS, Settings
from dalle2.tasks.text_to_image import ANY_PROMPT
from dalle2.understanding.answer import Near, Understanding, literal
from dalle2.understanding.suggestions import Suggestion

log = logging.getLogger(__name__)


class Card(NamedTuple):
    """What a checkpoint's card says: Markdown, and the name of the licence."""

    text: str = ""
    licence: str = ""


class Catalogue:
    """Models by their names, the first one being the default, with their cards and samples."""

    def __init__(
        self,
        *models: UnclipModel,
        cards: Mapping[str, Card] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self._models = {model.checkpoint: model for model in models}
        self._cards = cards or {}
        self._folders = folders or {}

    @classmethod
    def open(
        cls,
        *checkpoints: str,
        dtype: str = "float32",
        allow_pickle: bool = False,
        offload: bool | str | None = None,
        engine: str = "auto",
    ) -> Self:
        """Load checkpoints (as `dalle2.families.load` names them; none: the embedded one) onto the GPU if there is one.

        `dtype`, `allow_pickle`, `offload` and `engine` are as there. ValueError says what is wrong with one.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        models, cards, folders = [], {}, {}
        for source in checkpoints or (EMBEDDED.name,):
            how: dict[str, Any] = {"allow_pickle": allow_pickle, "offload": offload, "engine": engine}
            model = load(source, device, getattr(torch, dtype), **how)
            folder = folder_of(source)
            # Records and pages are public, and where the server keeps its files is nobody's business.
            model.checkpoint = public_name(model.checkpoint)
            if folder.is_dir():
                folders[model.checkpoint] = folder
            cards[model.checkpoint] = _card(folder)
            models.append(model)
        if len(cards) < len(models):
            raise ValueError("Two checkpoints have the same name: give each a folder of another name.")
        return cls(*models, cards=cards, folders=folders)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Return the names that `checkpoint` takes; the first one is the default."""
        return tuple(self._models)

    def model(self, checkpoint: str | None = None) -> UnclipModel:
        """Return the model of this name, for its styles, examples and capabilities; Refusal when it is not open."""
        name = self.checkpoints[0] if checkpoint is None else checkpoint
        if not isinstance(name, str) or name not in self._models:
            raise Refusal(f"There is no checkpoint {name!r} here: choose one of {', '.join(self.checkpoints)}.")
        return self._models[name]

    def can(self, task: str) -> bool:
        """Return whether any of the checkpoints is able to do it."""
        return any(task in model.capabilities for model in self._models.values())

    def card(self, checkpoint: str) -> str:
        """Return the checkpoint's model card, Markdown without its front matter; "" when it has none."""
        return self._cards.get(checkpoint, Card()).text

    def licence(self, checkpoint: str) -> str:
        """Return the licence of what it draws, as "CC BY-SA 4.0"; "" when its card names none."""
        return self._cards.get(checkpoint, Card()).licence

    def samples(self, checkpoint: str) -> tuple[Path, Mapping[str, Any]] | None:
        """Return the checkpoint's folder of samples with its index; None without one, or when other weights drew it."""
        index = self._folders.get(checkpoint, Path()) / "samples" / "index.json"
        if checkpoint not in self._folders or not index.is_file():
            return None
        values = json.loads(index.read_text(encoding="utf-8"))
        # A click must draw the picture that it shows.
        if values["checkpoint_hash"] == self.model(checkpoint).checkpoint_hash:
            return index.parent, values
        log.warning("%s is of other weights and is not shown: run python -m benchmarks.wall", index.parent)
        return None

    def understands(self) -> bool:
        """Return whether any of the checkpoints looks for the meaning of prompts."""
        return any(model.interpreter is not None for model in self._models.values())

    def understand(self, prompt: str, checkpoint: str | None = None, very_words: bool = False) -> Understanding:
        """Return what the checkpoint takes a prompt for; Refusal when it is none."""
        said, model = words(prompt), self.model(checkpoint)
        try:
            return literal(said) if very_words else model.understand(said)
        except ValueError as error:
            raise Refusal(str(error)) from error

    def understood(self, request: Request, checkpoint: str | None = None, literal: bool = False) -> Request:
        """Return the request with what its prompts are taken for, unless `literal`: see `Request.understood`.

        What is said of them is `sentences(request.understandings)`. NotUnderstood, a ValueError, for the first prompt
        of which nothing is known.
        """
        return request if literal else request.understood(self.model(checkpoint))

    def suggest(self, prompt: str, language: str, checkpoint: str | None = None) -> list[Suggestion]:
        """Return what a prompt that is being typed may mean, at most six; none without a vocabulary."""
        interpreter = self.model(checkpoint).interpreter
        if not isinstance(prompt, str) or interpreter is None:
            return []
        return interpreter.suggest(prompt[-MAX_PROMPT_CHARACTERS:], language)

    def surprise(self, checkpoint: str | None = None) -> Near:
        """Return a concept that comes out well, by chance; Refusal where the checkpoint has no vocabulary."""
        model = self.model(checkpoint)
        if model.interpreter is None:
            raise Refusal(f"The checkpoint {model.checkpoint} has no vocabulary: there is nothing to choose from.")
        return model.interpreter.surprise(random.SystemRandom())

    def settings(
        self, chosen: Choice = "default", checkpoint: str | None = None, like: Request = ANY_PROMPT
    ) -> Settings:
        """Return a preset's settings, or the checkpoint's own with what `chosen` changes, in the shape of a record.

        Both as a request that is `like` this one needs them. Refusal when a value is out of range.
        """
        return settings_of(chosen, self.model(checkpoint), like)

    def steps(self, chosen: Choice, count: int, checkpoint: str | None = None, like: Request = ANY_PROMPT) -> int:
        """Return how many network steps so many pictures take with these settings; Refusal for unknown ones."""
        settings = self.settings(chosen, checkpoint, like)
        if isinstance(count, bool) or not isinstance(count, int):
            raise Refusal(f"Ask for 1 to {MAX_PICTURES} pictures, not {count!r}.")
        return count * sum(stage.evaluations for stage in like.rows(settings).values())


def folder_of(source: str) -> Path:
    """Return the folder of a checkpoint, as `load` names it; it may be none of this machine's."""
    return EMBEDDED if source == EMBEDDED.name else Path(source).expanduser()


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
