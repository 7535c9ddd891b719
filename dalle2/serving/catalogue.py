"""The checkpoints that are open on this machine, and what visitors may know of each."""

import json
import logging
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dalle2.families import EMBEDDED
from dalle2.families.places import public_name, public_sentence
from dalle2.families.published import known, published
from dalle2.model import UnclipModel
from dalle2.requests import Request
from dalle2.serving.limits import MAX_PICTURES, Choice, settings_of, words
from dalle2.serving.model_cache import Lease, ModelCache, Offer
from dalle2.serving.opening import Card, Opened, Opener
from dalle2.serving.refusal import Refusal
from dalle2.settings import MAX_PROMPT_CHARACTERS, Settings
from dalle2.tasks.text_to_image import ANY_PROMPT
from dalle2.understanding.answer import NearConcept, Understanding, literal
from dalle2.understanding.suggestions import Suggestion

PATH = re.compile(r"(?<![\w:/])/[\w.-]+/")  # the beginning of one on this machine

log = logging.getLogger(__name__)


class Catalogue:
    """Models by their names, the first one being the default, with their cards and samples."""

    def __init__(
        self,
        *models: UnclipModel,
        cards: Mapping[str, Card] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self._models = {model.checkpoint: model for model in models}
        self._cards = dict(cards or {})
        self._folders = dict(folders or {})
        self.offers = [Offer(None, name, known(name), read=True) for name in self._models]
        self.opener = Opener()
        self.cache = ModelCache(self._models, len(models), self._open, self._put)
        self._named = len(self.offers)  # the first ones, which need not be picked before they are loaded

    @classmethod
    def open(
        cls,
        *checkpoints: str,
        dtype: str = "float32",
        allow_pickle: bool = False,
        offload: bool | str | None = None,
        engine: str = "auto",
        keep: int | None = None,
        loras: Sequence[str] = (),
        lazy: bool = False,
    ) -> Self:
        """Offer checkpoints (as `dalle2.families.load` names them; none: the embedded one), and load the first `keep`.

        `dtype`, `allow_pickle`, `offload` and `engine` are as there, and `loras` too, for the first of them. At most
        `keep` are in memory at a time, None being as many as are offered; the others are loaded when they are needed.
        ValueError says what is wrong with one. With `lazy` the embedded one's networks are read when they are needed,
        or by `warming`.
        """
        sources = checkpoints or (EMBEDDED.name,)
        opener = Opener(dtype, allow_pickle, offload, engine, tuple(loras), sources[0], lazy)
        most = len(sources) if keep is None else keep
        if not 1 <= most <= len(sources):
            raise ValueError(f"Of {len(sources)} checkpoints 1 to {len(sources)} can be kept in memory, not {most}.")
        opened = [opener(source) for source in sources[:most]]
        names = [entry.model.checkpoint for entry in opened] + [public_name(source) for source in sources[most:]]
        if len(set(names)) < len(names):
            raise ValueError("Two checkpoints have the same name: give each a folder of another name.")
        found = cls(
            *[entry.model for entry in opened],
            cards={entry.model.checkpoint: entry.card for entry in opened},
            folders={entry.model.checkpoint: entry.folder for entry in opened if entry.folder},
        )
        found.opener = opener
        offers = zip(sources, names, strict=True)
        found._named = len(sources)
        found.offers = [Offer(source, name, known(name), name in found._models) for source, name in offers]
        for name in names:
            found.cache.may_leave(name)
        return found

    def offer_published(self) -> None:
        """Offer all published checkpoints too, to be loaded when a visitor picks one."""
        here = {text for offer in self.offers for text in (offer.source, offer.name)}  # of a copy in the hub's cache
        self.offers += [Offer(entry.source, entry.source, entry) for entry in published() if entry.source not in here]

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """Return the names of those in memory, in the order in which they are offered; the first is the default."""
        names = [offer.name for offer in self.offers]
        return tuple(sorted(self._models, key=names.index))

    def offer(self, checkpoint: str | None = None) -> Offer:
        """Return the offer of this name or source, the first one for None; Refusal when there is none."""
        if checkpoint is None:
            return self.offers[0]
        found = next((offer for offer in self.offers if checkpoint in (offer.name, offer.source, offer.public)), None)
        if found is None:
            names = ", ".join(offer.name for offer in self.offers if offer.read)
            raise Refusal(f"There is no checkpoint {checkpoint!r} here: choose one of {names}.")
        return found

    def lease(self, checkpoint: str | None = None, pick: bool = False) -> Lease:
        """Return what keeps a checkpoint in memory while it is needed: see `Lease`. Refusal when it is not offered.

        A published one that nobody has picked is not loaded by the way: it has to be picked.
        """
        found = self.offer(checkpoint)
        if not (found.read or self.is_named(found) or pick):
            raise Refusal(f"{found.name} has not been loaded here: pick it among the checkpoints first.")
        return Lease(self.cache, found)

    def is_named(self, offer: Offer) -> bool:
        """Whether the operator has named it, so that it is loaded for whoever needs it."""
        return offer in self.offers[: self._named]

    def model(self, checkpoint: str | None = None) -> UnclipModel:
        """Return the model of this name, for its styles, examples and capabilities; Refusal when it is not loaded."""
        name = self.checkpoints[0] if checkpoint is None else checkpoint
        model = self._models.get(name) if isinstance(name, str) else None
        if model is None:
            raise Refusal(f"There is no checkpoint {name!r} here: choose one of {', '.join(self.checkpoints)}.")
        return model

    def _open(self, source: str) -> Opened:
        self.opener.check_memory(source)
        try:
            return self.opener(source)
        except ValueError as error:
            log.warning("%s could not be loaded: %s", source, error)
            sentence = public_sentence(str(error), source)
            if PATH.search(sentence):  # of a file that is not the checkpoint's own
                raise Refusal(
                    f"{public_name(source)} cannot be opened here, and the server's log says why: choose another one."
                ) from error
            raise Refusal(sentence) from error

    def _put(self, opened: Opened) -> None:
        name = opened.model.checkpoint
        self._cards[name] = opened.card
        if opened.folder:
            self._folders[name] = opened.folder

    def can(self, task: str) -> bool:
        """Return whether any of the checkpoints is able to do it, as far as is known of those that were never read."""
        return self._unread() or any(task in model.capabilities for model in self._models.values())

    def _unread(self) -> bool:
        return not all(offer.read for offer in self.offers)

    def card(self, checkpoint: str) -> str:
        """Return the checkpoint's model card, Markdown without its front matter; "" when it has none."""
        return self._cards.get(checkpoint, Card()).text

    def licence(self, checkpoint: str) -> str:
        """Return the licence of what it draws, as "CC BY-SA 4.0"; "" when its card names none, and it is unknown."""
        published = known(checkpoint)
        return self._cards.get(checkpoint, Card()).licence or (published.licence if published else "")

    def folder(self, checkpoint: str) -> Path | None:
        """Return the checkpoint's folder on this machine; None where it has none, or has never been read."""
        return self._folders.get(checkpoint)

    def samples(self, checkpoint: str) -> tuple[Path, Mapping[str, Any]] | None:
        """Return the checkpoint's folder of samples with its index; None without one, or when other weights drew it."""
        index = self._folders.get(checkpoint, Path()) / "samples" / "index.json"
        if checkpoint not in self._folders or not index.is_file():
            return None
        values = json.loads(index.read_text(encoding="utf-8"))
        # A click must draw the picture that it shows.
        if values["checkpoint_hash"] == self.model(checkpoint).checkpoint_hash:
            return index.parent, values
        if self.model(checkpoint).loras:  # they were drawn without
            return None
        log.warning("%s is of other weights and is not shown: run python -m benchmarks.wall", index.parent)
        return None

    def understands(self) -> bool:
        """Return whether any of the checkpoints looks for the meaning of prompts, or may, not having been read."""
        return self._unread() or any(model.understands for model in self._models.values())

    def understand(self, prompt: str, checkpoint: str | None = None, very_words: bool = False) -> Understanding:
        """Return what the checkpoint takes a prompt for; Refusal when it is none."""
        said, model = words(prompt), self.model(checkpoint)
        return literal(said) if very_words else model.understand(said)

    def understood(self, request: Request, checkpoint: str | None = None, literal: bool = False) -> Request:
        """Return the request with what its prompts are taken for, unless `literal`: see `Request.understood`.

        What is said of them is `sentences(request.understandings)`. NotUnderstood, a Refusal, for the first prompt
        of which nothing is known.
        """
        return request if literal else request.understood(self.model(checkpoint))

    def suggest(self, prompt: str, language: str, checkpoint: str | None = None) -> list[Suggestion]:
        """Return what a prompt that is being typed may mean, at most six; none without a vocabulary in memory."""
        offer = self.offer(checkpoint)
        interpreter = self.model(offer.name).interpreter if offer.name in self._models else None
        if not isinstance(prompt, str) or interpreter is None:
            return []
        return interpreter.suggest(prompt[-MAX_PROMPT_CHARACTERS:], language)

    def surprise(self, checkpoint: str | None = None) -> NearConcept:
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
