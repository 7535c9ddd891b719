"""More words for a text tower, each of which begins with what a sentence encoder knows of it."""

import copy
import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from dalle2.embeddings import principal_axes
from dalle2.training.clip import ClipTowers
from dalle2.training.tokenizer import merges_of

TOKENS = "text_model.embeddings.token_embedding.weight"
WORD = re.compile(r"[a-z]{2,}</w>")  # a token that is a whole English word, the encoder's language


def widened(
    towers: ClipTowers, tokenizer: CLIPTokenizer, embed: Callable[[Sequence[str]], np.ndarray]
) -> CLIPTextModelWithProjection:
    """Return the text tower with this tokenizer's tokens; what it knew of its words it has to learn anew.

    A set's captions are too few to tell what a word means that is in none of them. An English word's embedding becomes
    the principal components of what `embed` makes of it (words -> (n, width)), spread as far as the embeddings
    were; another token keeps its embedding, or has the mean of the two that it was merged from.
    """
    old = towers.text.text_model.embeddings.token_embedding.weight.detach()
    places, ids = towers.tokenizer.get_vocab(), tokenizer.get_vocab()
    vocabulary = sorted(ids, key=lambda token: ids[token])
    words = [token for token in vocabulary if WORD.fullmatch(token)]
    known = dict(zip(words, _fitted(embed([word.removesuffix("</w>") for word in words]), old), strict=True))
    rows = {token: old[places[token]] for token in vocabulary if token in places} | known
    for first, second in merges_of(tokenizer):  # in the order in which they were learnt, so that the parts are there
        if (token := first + second) not in rows:
            rows[token] = (rows[first] + rows[second]) / 2
    config = copy.deepcopy(towers.text.config)
    config.vocab_size = len(vocabulary)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    tower = CLIPTextModelWithProjection(config)
    tower.load_state_dict(towers.text.state_dict() | {TOKENS: torch.stack([rows[token] for token in vocabulary])})
    return tower.to(old.device)


def _fitted(known: np.ndarray, old: torch.Tensor) -> torch.Tensor:
    """Turn what is known (n, width) into its principal components (n, dim), with the deviation of `old` (m, dim)."""
    rows = torch.from_numpy(known)
    mean, axes = principal_axes(rows)
    places = ((rows - mean) @ axes.T)[:, : old.shape[1]]
    places = torch.nn.functional.pad(places, (0, old.shape[1] - places.shape[1])).to(old)
    return places * old.std() / places.std()
