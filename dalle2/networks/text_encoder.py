"""Prompts -> what prior and decoder read of them: a CLIP tokenizer and text encoder, in training and in drawing."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import tokenizers
import torch
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from dalle2.finiteness import check_finite

REMEMBERED = 256  # prompts


class EncodedText(NamedTuple):
    """Encoded prompts: CLIP embeddings (n, dim), tokens (n, length, dim), and which are text (n, length)."""

    embeddings: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor

    def repeated(self, times: int) -> "EncodedText":
        """Return each row `times` times."""
        return EncodedText(*(rows.repeat_interleave(times, dim=0) for rows in self))


class PromptTokenizer:
    """Prompts -> token ids. Prompts that do not fit into the context are cut."""

    def __init__(self, tokenizer: CLIPTokenizer, context: int) -> None:
        self._tokenizer = tokenizer
        # A tokenizer without a configured length says 10^30.
        self.context = min(tokenizer.model_max_length, context)
        self._plain = _plain(tokenizer)

    def tokenize(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return each prompt's ids between the start and the end token, cut so that both fit into the context."""
        start, end = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        encodings = self._plain.encode_batch(list(prompts), add_special_tokens=False)
        return [[start, *encoding.ids[: self.context - 2], end] for encoding in encodings]

    def pad(self, rows: Sequence[list[int]], length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of ids -> ids, and which of them are text, both (n, length)."""
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
        return ids, torch.tensor([[place < len(row) for place in range(length)] for row in rows])

    def words(self, prompt: str) -> list[tuple[str, list[int]]]:
        """Return the words of a prompt that fit into the context, in order, with the places of their tokens there."""
        read = self._plain.encode(prompt, add_special_tokens=False)
        places: dict[int, list[int]] = {}
        for place, word in enumerate(read.word_ids[: self.context - 2]):
            if word is not None:
                places.setdefault(word, []).append(1 + place)  # after the start token
        spans = [read.word_to_chars(word) or (0, 0) for word in places]
        return [(prompt[first:last], tokens) for (first, last), tokens in zip(spans, places.values(), strict=True)]


def encode(
    encoder: CLIPTextModelWithProjection, tokenizer: PromptTokenizer, prompts: Sequence[str], device: torch.device
) -> EncodedText:
    """Encode prompts in one batch, each padded to the whole context: how prior and decoder know them."""
    ids, mask = tokenizer.pad(tokenizer.tokenize(prompts), tokenizer.context)
    output = encoder(ids.to(device, non_blocking=True))
    mask = mask.to(output.text_embeds.device, non_blocking=True)
    return EncodedText(output.text_embeds, output.last_hidden_state, mask)


class PromptEncoder:
    """Prompts -> `EncodedText`, on the text encoder's device, whose weights must not change any more."""

    def __init__(self, tokenizer: CLIPTokenizer, encoder: CLIPTextModelWithProjection) -> None:
        self.tokenizer = PromptTokenizer(tokenizer, encoder.config.max_position_embeddings)
        self._encoder = encoder
        # The prior and then the decoder read the same prompts, and each of them often several times.
        self._encoded: OrderedDict[str, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()  # tokens and mask, a row

    def read(self, prompts: Sequence[str], guided: bool = False, negative: str | None = None) -> EncodedText:
        """Encode the prompts; when guided, the negative prompt (or "") stands before them as many times."""
        halves = [[negative or ""] * len(prompts), prompts] if guided else [prompts]
        texts = dict.fromkeys(text for half in halves for text in half)
        if new := [text for text in texts if text not in self._encoded]:
            self._encode(new)
        read = EncodedText(*map(torch.cat, zip(*map(self._stacked, halves), strict=True)))
        while len(self._encoded) > REMEMBERED:
            self._encoded.popitem(last=False)
        return read

    def embed(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts -> CLIP text embeddings (n, dim)."""
        # Attention looks back only, so what follows the end changes nothing: no more of it than the longest needs.
        rows = self.tokenizer.tokenize(prompts)
        ids, _ = self.tokenizer.pad(rows, max(map(len, rows)))
        return check_finite(self._encoder(ids.to(self._encoder.device)).text_embeds, "text encoder")

    def _encode(self, prompts: Sequence[str]) -> None:
        # Never one alone: a matrix product of a single text rounds otherwise than that of several.
        text = encode(self._encoder, self.tokenizer, [*prompts, *prompts][: max(len(prompts), 2)], self._encoder.device)
        check_finite(text.tokens, "text encoder")
        self._encoded |= zip(prompts, zip(text.tokens.split(1), text.mask.split(1), strict=True), strict=False)

    def _stacked(self, texts: Sequence[str]) -> EncodedText:
        tokens, mask = map(torch.cat, zip(*(self._encoded[text] for text in texts), strict=True))
        ends = tokens[torch.arange(len(texts), device=tokens.device), mask.sum(1) - 1]
        # Small, and made for each batch anew: it rounds by the number of rows, which is that of diffusers' pipelines.
        embeddings = self._encoder.text_projection(ends)
        return EncodedText(check_finite(embeddings, "text encoder"), tokens, mask)


def _plain(tokenizer: CLIPTokenizer) -> tokenizers.Tokenizer:
    """Return the tokenizer without special tokens; words that were added later stay.

    Karlo pads with "!", and made a special token of it: a "!" in a prompt would become padding that the mask
    keeps.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    known = backend["model"]["vocab"]
    words = [token for token in backend["added_tokens"] if not token["special"] and token["content"] not in known]
    backend |= {"added_tokens": words, "post_processor": None, "padding": None, "truncation": None}
    return tokenizers.Tokenizer.from_str(json.dumps(backend))
