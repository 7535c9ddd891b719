"""A checkpoint in Karlo's layout that is there before torch is: torch takes seconds to import, and a page waits.

What it is like stands in its folder. Until its networks are loaded, `dalle2_runner` draws pictures of prompts; whatever
else is asked for loads them, which takes as long as it took before the page was there.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from PIL import Image

from dalle2 import light
from dalle2.datasets.phrases import Phrases
from dalle2.families.description import NAME, Description
from dalle2.families.karlo import abilities
from dalle2.model import UnclipModel
from dalle2.settings import OnStep, Settings, Step
from dalle2.understanding.interpreter import Interpreter
from dalle2.understanding.vocabulary import WORDS

if TYPE_CHECKING:
    from dalle2_runner.drawer import Drawer

log = logging.getLogger(__name__)

CONFIGS = ("super_res_last/config.json", "decoder/config.json")


def _loaded_operation(name: str) -> Any:
    return lambda model, *arguments, **keywords: getattr(model.loaded, name)(*arguments, **keywords)


class LazyModel(UnclipModel):
    """What `load` returns, some time; `unloaded` says whether it has not been loaded yet."""

    def __init__(self, checkpoint: str, load: Callable[[], UnclipModel]) -> None:
        self.checkpoint, self.folder = checkpoint, light.place(checkpoint)
        read = {file: json.loads((self.folder / file).read_text(encoding="utf-8")) for file in (NAME, *CONFIGS)}
        description = Description.from_dict(read[NAME], abilities.KARLO_SETTINGS)
        self.settings, self.styles, self.examples, self.subject = (
            description.settings,
            description.styles,
            description.examples,
            description.subject,
        )
        parts = [part.name for part in self.folder.iterdir()]
        self.phrases = Phrases.read(self.folder)
        self.priors = abilities.priors(parts)
        self.capabilities = abilities.capabilities(parts, self.phrases is not None)
        large, small = (read[name]["sample_size"] for name in CONFIGS)
        self.picture_size, self.upsampling = large, large // small
        self.device, self.dtype = SimpleNamespace(type="cpu"), light.MADE["dtype"]  # ty: ignore[invalid-assignment]
        self._load, self._loaded = load, None
        self._loading, self._opening = threading.Lock(), threading.Lock()
        self._drawer: Drawer | None = None
        self._unreadable = False

    @property
    def unloaded(self) -> bool:
        """Whether the networks are not loaded yet."""
        return self._loaded is None

    @property
    def loaded(self) -> UnclipModel:
        """Return the model itself, which takes seconds when it is first asked for."""
        with self._loading:
            if self._loaded is None:
                loaded = self._load()
                self.device, self.dtype = loaded.device, loaded.dtype
                self._loaded, self._drawer = loaded, None
            return self._loaded

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.loaded, name)

    @property
    def engine(self) -> str:
        return light.MADE["engine"] if self._loaded is None else self._loaded.engine

    @cached_property
    def checkpoint_hash(self) -> str:
        from dalle2.portable import fingerprint

        return fingerprint(self.folder)

    @property
    def understands(self) -> bool:
        return (self.folder / WORDS).is_file()

    @cached_property
    def interpreter(self) -> Interpreter | None:
        return Interpreter.of(self.folder, self.styles, self.checkpoint_hash)

    embed_prompt = _loaded_operation("embed_prompt")
    embed_image = _loaded_operation("embed_image")
    embed_text = _loaded_operation("embed_text")
    decode_pixels = _loaded_operation("decode_pixels")
    edit_embedding = _loaded_operation("edit_embedding")
    invert = _loaded_operation("invert")
    upsample = _loaded_operation("upsample")
    attend = _loaded_operation("attend")

    def open(self) -> None:
        """Read what draws pictures of prompts without torch; ValueError or OSError where that cannot be."""
        with self._opening:
            if self._drawer is None and self.unloaded:
                from dalle2.portable import open_checkpoint

                self._drawer = open_checkpoint(self.folder)

    def draws_unloaded(self, settings: Settings) -> bool:
        """Whether pictures of prompts are drawn without torch now; a warning tells of what cannot be read."""
        if self._unreadable or not self.unloaded or not light.draws(settings):
            return False
        try:
            self.open()
        except Exception as error:  # ONNX Runtime's are of no common kind, and torch can draw all the same
            log.warning("torch draws instead of ONNX Runtime: %s", error)
            self._unreadable = True
        return not self._unreadable

    def draw_unloaded(
        self, prompts: Sequence[str], seeds: Sequence[int], settings: Settings | None, on_step: OnStep | None
    ) -> list[Image.Image]:
        """Draw pictures of prompts without torch, where `draws_unloaded` these settings."""
        drawer = self._drawer
        if drawer is None:  # the networks have come meanwhile
            return self.loaded.draw_prompts(prompts, seeds, settings, on_step)
        report = (lambda *step: on_step(Step(*step))) if on_step else (lambda *_: None)
        return light.pictures(drawer.draw(prompts, seeds, self.adopt(settings).to_dict(), report))
