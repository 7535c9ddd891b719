"""How a checkpoint reads prompts: its tokenizer and its CLIP text encoder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers
import torch
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from dalle2.finiteness import check_finite


@dataclass(frozen=True)
class Text:
    """Encoded prompts: CLIP embeddings (n, dim), tokens (n, length, dim), and which are text (n, length)."""

    embeddings: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor

    def repeated(self, times: int) -> "Text":
        """Each row `times` times."""
        return Text(*(rows.repeat_interleave(times, dim=0) for rows in (self.embeddings, self.tokens, self.mask)))


class Reader:
    """Prompts -> `Text`, on the text encoder's device. Prompts that do not fit into the context are cut."""

    def __init__(self, tokenizer: CLIPTokenizer, encoder: CLIPTextModelWithProjection) -> None:
        self._tokenizer, self._encoder = tokenizer, encoder
        # A tokenizer without a configured length says 10^30.
        self.context = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        self._plain = _plain(tokenizer)

    def read(self, prompts: Sequence[str], guided: bool = False, negative: str = "") -> Text:
        """Encode the prompts; when guided, the negative prompt stands before them as many times."""
        rows = [self.tokenize(prompt) for prompt in [negative] * len(prompts) * guided + list(prompts)]
        ids = self._padded(rows, self.context)
        mask = torch.tensor([[i < len(row) for i in range(self.context)] for row in rows], device=ids.device)
        # In batches of one size, for a matrix product of another size rounds otherwise.
        encoded = [self._encoder(batch) for batch in ids.split(len(prompts))]
        embeddings = check_finite(torch.cat([output.text_embeds for output in encoded]), "text encoder")
        tokens = check_finite(torch.cat([output.last_hidden_state for output in encoded]), "text encoder")
        return Text(embeddings, tokens, mask)

    def embed(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts -> CLIP text embeddings (n, dim)."""
        # Attention looks back only, so what follows the end changes nothing: no more of it than the longest needs.
        rows = [self.tokenize(prompt) for prompt in prompts]
        embeddings = self._encoder(self._padded(rows, max(map(len, rows)))).text_embeds
        return check_finite(embeddings, "text encoder")

    def tokenize(self, prompt: str) -> list[int]:
        """Return a prompt's ids between the start and the end token, cut so that both fit into the context."""
        ids = self._plain.encode(prompt, add_special_tokens=False).ids[: self.context - 2]
        return [self._tokenizer.bos_token_id, *ids, self._tokenizer.eos_token_id]

    def words(self, prompt: str) -> list[tuple[str, list[int]]]:
        """Return the words of a prompt that fit into the context, in order, with the places of their tokens there."""
        read = self._plain.encode(prompt, add_special_tokens=False)
        places: dict[int, list[int]] = {}
        for place, word in enumerate(read.word_ids[: self.context - 2]):
            if word is not None:
                places.setdefault(word, []).append(1 + place)  # after the start token
        spans = [read.word_to_chars(word) or (0, 0) for word in places]
        return [(prompt[first:last], tokens) for (first, last), tokens in zip(spans, places.values(), strict=True)]

    def _padded(self, rows: Sequence[list[int]], length: int) -> torch.Tensor:
        pad = self._tokenizer.pad_token_id
        return torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=self._encoder.device)


def _plain(tokenizer: CLIPTokenizer) -> tokenizers.Tokenizer:
    """Return the tokenizer without special tokens.

    Karlo pads with "!", and made a special token of it: a "!" in a prompt would become padding that the mask
    keeps.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"added_tokens": [], "post_processor": None, "padding": None, "truncation": None}
    return tokenizers.Tokenizer.from_str(json.dumps(backend))
