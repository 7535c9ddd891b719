"""Where a decoder looks while it draws: the attention of its pixels to the tokens of its context."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnAddedKVProcessor

from dalle2.engines.hosting import by_torch


class AttentionMaps:
    """The sum of all that was seen while the decoder was watched."""

    def __init__(self, context: int, size: int) -> None:
        self._context, self._size = context, size
        self._sum = torch.zeros(context, size, size)
        self._count = 0

    def add(self, shares: torch.Tensor) -> None:
        """Shares of attention (heads of all rows, pixels, context + pixels); the last row is the conditional one."""
        pixels = shares.shape[1]
        side = round(pixels**0.5)
        heads = shares.float().cpu()[:, :, : self._context]
        maps = heads.mean(0).T.reshape(1, self._context, side, side)
        self._sum += torch.nn.functional.interpolate(maps, size=self._size, mode="bilinear")[0]
        self._count += 1

    def maps(self) -> torch.Tensor:
        """(context, size, size): the mean share that each token of the context had."""
        return self._sum / max(self._count, 1)


@contextmanager
def record_attention(decoder: UNet2DConditionModel, context: int) -> Generator[AttentionMaps]:
    """Watch the attention to the first `context` keys, which diffusers puts before the pixels' own.

    The decoder must draw one row, or under guidance an unconditional and a conditional one.
    """
    maps = AttentionMaps(context, decoder.config.sample_size)
    before = decoder.attn_processors
    attentions = {name: module for name, module in decoder.named_modules() if f"{name}.processor" in before}
    # This processor asks its module for the shares; the faster one never forms them.
    decoder.set_attn_processor(AttnAddedKVProcessor())
    try:
        for module in attentions.values():
            module.get_attention_scores = _recording(module.get_attention_scores, module.heads, maps)
        with by_torch(decoder):
            yield maps
    finally:
        for module in attentions.values():
            vars(module).pop("get_attention_scores", None)  # the class's own comes back
        decoder.set_attn_processor(before)


def _recording(score, heads: int, maps: AttentionMaps):
    def recording(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        shares = score(query, key, mask)
        maps.add(shares[-heads:])
        return shares

    return recording
