"""A picture told in words: the caption that the checkpoint's own CLIP finds nearest to it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from PIL import Image

from dalle2.datasets.phrases import on_background, styled
from dalle2.refusal import Refusal
from dalle2.unclip_base import UnclipBase

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

MAX_CAPTIONS = 50
SHORTLIST = 20  # captions that are tried on every background
MANY = 256  # captions embedded at a time

# The embeddings of all concepts in all styles, made once a model: that takes seconds. Who comes meanwhile waits.
_tables: WeakKeyDictionary[UnclipBase, torch.Tensor] = WeakKeyDictionary()
_making = threading.Lock()


@dataclass(frozen=True)
class ScoredCaption:
    """A caption, and how near it is to the picture: the cosine of their embeddings, or a captioner's probability."""

    caption: str
    score: float


@dataclass(frozen=True)
class Caption:
    """The `num` nearest captions of each picture, the nearest first.

    The words are those of the checkpoint's phrases.json. All concepts in all styles come first; the best of them are
    then tried on each background. It draws nothing, and so is no `Request`: it needs neither seeds nor settings.
    """

    name: ClassVar[str] = "caption"

    pictures: Sequence[Image.Image]
    num: int = 5

    def __post_init__(self) -> None:
        check_num(self.num)

    def find(self, model: UnclipBase) -> list[list[ScoredCaption]]:
        """Return the captions of each picture; ValueError for a checkpoint that has no words or no image encoder."""
        import torch

        if model.phrases is None:
            raise Refusal(
                f"The checkpoint {model.checkpoint} has no phrases.json, the words to describe pictures by: describe "
                "them by an image-to-text model, with --captioner FOLDER_OR_ID."
            )
        model.require(self.name)
        names = [styled(concept, style) for concept in model.phrases.concepts for style in model.phrases.styles]
        with _making:
            if model.itself not in _tables:
                _tables[model.itself] = _embed(model, names)
        table = _tables[model.itself]
        embeddings = torch.nn.functional.normalize(model.embed_image(self.pictures), dim=-1)
        return [_nearest(model, embedding, names, table, self.num) for embedding in embeddings]


def check_num(num: int) -> None:
    """ValueError unless so many captions can be asked for."""
    if isinstance(num, bool) or not isinstance(num, int) or not 1 <= num <= MAX_CAPTIONS:
        raise Refusal(f"Ask for 1 to {MAX_CAPTIONS} captions, not {num!r}.")


def _nearest(
    model: UnclipBase, embedding: torch.Tensor, names: Sequence[str], table: torch.Tensor, num: int
) -> list[ScoredCaption]:
    best = [names[place] for place in (table @ embedding).topk(min(max(num, SHORTLIST), len(names))).indices]
    colours = model.phrases.backgrounds if model.phrases else ()
    forms = [[name, *(on_background(name, colour) for colour in colours)] for name in best]
    near = (_embed(model, [form for row in forms for form in row]) @ embedding).view(len(best), -1)
    # Of each caption its best form, on no background or on one.
    found = [
        ScoredCaption(row[int(scores.argmax())], float(scores.max())) for row, scores in zip(forms, near, strict=True)
    ]
    return sorted(found, key=lambda caption: -caption.score)[:num]


def _embed(model: UnclipBase, captions: Sequence[str]) -> torch.Tensor:
    """Captions -> (n, dim) of length 1."""
    import torch

    order = sorted(range(len(captions)), key=lambda place: len(captions[place]))  # a batch is as long as its longest
    rows = [model.embed_text([captions[p] for p in order[i : i + MANY]]) for i in range(0, len(order), MANY)]
    back = torch.tensor(order).argsort()
    return torch.nn.functional.normalize(torch.cat(rows)[back], dim=-1)
