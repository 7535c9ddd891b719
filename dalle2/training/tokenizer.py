"""A byte-level BPE of the data set's own words, in CLIP's files."""

import json
from collections.abc import Iterable

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int, context_length: int) -> CLIPTokenizer:
    """Train CLIP's tokenizer on `texts`.

    Bytes come first, so that any script can be written, then the merges, then the start and the end token
    as the two highest ids, as in CLIP's own vocabulary. Padding is the end token.
    """
    bytes_ = sorted(ByteLevel.alphabet())
    alphabet = bytes_ + [byte + "</w>" for byte in bytes_]
    seed = CLIPTokenizer(vocab={token: index for index, token in enumerate([*alphabet, "<|endoftext|>"])}, merges=[])
    trained = seed.train_new_from_iterator(texts, vocab_size=vocabulary, show_progress=False)
    merges = merges_of(trained)[: max(0, vocabulary - len(alphabet) - 2)]
    tokens = [*alphabet, *("".join(pair) for pair in merges), "<|startoftext|>", "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    # Merges are pairs, though the annotation of transformers says texts.
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=context_length)  # ty: ignore[invalid-argument-type]


def merges_of(tokenizer: CLIPTokenizer) -> list[tuple[str, str]]:
    """Return the pairs of tokens that its BPE merges, in the order in which they were learnt."""
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in merges)
    return [(first, second) for first, second in pairs]
