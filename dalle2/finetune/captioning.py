"""Captions for pictures that have none: by the checkpoint's own captioner, or by an image-to-text model."""

from collections.abc import Sequence
from dataclasses import replace

from dalle2.captioner import Captioner
from dalle2.finetune.folder import Picture
from dalle2.images import to_rgb
from dalle2.model import UnclipModel
from dalle2.understanding.wording import take_apart


def captioned(
    pictures: Sequence[Picture], model: UnclipModel, captioner: str | None = None
) -> tuple[list[Picture], list[str]]:
    """Return the pictures, all with captions, and sentences on those that were captioned here.

    The checkpoint's own captioner says only which of its concepts it sees; `captioner` is a folder or a hub id.
    ValueError where neither can caption.
    """
    bare = [one for one in pictures if not one.caption]
    if not bare:
        return list(pictures), []
    opened = [to_rgb(one.picture) for one in bare]
    if captioner:
        source = Captioner(captioner, model.device)
        captions, who = [found[0].caption for found in source.caption(opened, 1)], captioner
    elif model.phrases is None:
        raise ValueError(
            f"{_which(bare)} no caption, and {model.checkpoint} has no words to caption pictures by: write a .txt "
            "beside each picture, or name an image-to-text model with --captioner."
        )
    else:
        styles = model.phrases.styles
        captions = [take_apart(found[0].caption, styles).whole for found in model.caption(opened, 1)]
        who = f"{model.checkpoint}'s own captioner"
    named = dict(zip((one.name for one in bare), captions, strict=True))
    shown = "; ".join(f"{name}: {caption}" for name, caption in list(named.items())[:8])
    note = f"{_which(bare)} no caption, and {who} says: {shown}{' …' if len(named) > 8 else '.'}"
    return [replace(one, caption=named.get(one.name, one.caption)) for one in pictures], [note]


def _which(bare: Sequence[Picture]) -> str:
    return f"{bare[0].name} has" if len(bare) == 1 else f"{len(bare)} pictures have"
