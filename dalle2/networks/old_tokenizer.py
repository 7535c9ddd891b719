"""Token ids as most programs made them in 2022, for those who must redraw a picture of that time."""

import copy

from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import CLIPTokenizer

# OpenAI's pattern (openai/CLIP, clip/simple_tokenizer.py).
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def as_in_2022(tokenizer: CLIPTokenizer) -> CLIPTokenizer:
    """Return a copy that splits prompts as transformers' slow CLIPTokenizer did where ftfy was not installed.

    It took BERT's rules instead of OpenAI's: accents are dropped, and punctuation and Chinese characters stand alone.
    "café", "it's", "!!!" and most Chinese, Japanese and Cyrillic texts get other ids than today, plain English words
    the same (transformers 4.25.1, models/clip/tokenization_clip.py).
    """
    old = copy.deepcopy(tokenizer)
    backend = old.backend_tokenizer
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return old
