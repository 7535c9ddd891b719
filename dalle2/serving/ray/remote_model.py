"""What is known of a checkpoint where it does not draw: all that a service tells of it or checks by it."""

from typing import Any, NoReturn

from dalle2.model import UnclipModel
from dalle2.understanding.interpreter import Interpreter

FACTS = (
    *("capabilities", "priors", "settings", "checkpoint", "tokenizer", "styles", "examples", "subject"),
    *("picture_size", "picture_sizes", "upsampling", "inpaints", "noise_levels", "loras", "device", "dtype"),
)


class RemoteModel(UnclipModel):
    """A checkpoint without its networks, which can be sent to another machine: it understands prompts, and draws none.

    It has no phrases either, which only captions need, and these are found where the networks are; nor their host.
    """

    def __init__(self, model: UnclipModel) -> None:
        vars(self).update({name: getattr(model, name) for name in FACTS})
        self._checkpoint_hash, self._interpreter = model.checkpoint_hash, model.interpreter

    @property
    def checkpoint_hash(self) -> str:
        return self._checkpoint_hash

    @property
    def interpreter(self) -> Interpreter | None:
        return self._interpreter

    def embed_prompt(self, *_: Any, **__: Any) -> NoReturn:
        raise self._elsewhere()

    def embed_image(self, *_: Any, **__: Any) -> NoReturn:
        raise self._elsewhere()

    def decode_pixels(self, *_: Any, **__: Any) -> NoReturn:
        raise self._elsewhere()

    def _elsewhere(self) -> RuntimeError:
        return RuntimeError(f"The networks of {self.checkpoint} are on other machines.")
