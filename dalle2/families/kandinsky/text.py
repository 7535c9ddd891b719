"""Prompts -> what the decoder of Kandinsky 2.1 reads: XLM-RoBERTa, in many languages, trained on CLIP's texts."""

from collections.abc import Sequence

import torch
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import XLMRobertaTokenizer

from dalle2.finiteness import check_finite

CONTEXT = 77  # tokens, to which diffusers' pipelines pad and cut


class MultilingualReader:
    """Prompts of any language -> the conditions that the decoder takes of them."""

    def __init__(self, tokenizer: XLMRobertaTokenizer, encoder: MultilingualCLIP) -> None:
        self._tokenizer, self._encoder = tokenizer, encoder

    def read(self, prompts: Sequence[str], guided: bool, negative: str | None) -> dict[str, torch.Tensor]:
        """Embeddings (n, dim) and tokens (n, CONTEXT, width) by the names of the network's conditions.

        When guided they are (2n, ...), the negative prompt's, or those of "", first.
        """
        texts = [*([negative or ""] * len(prompts) if guided else []), *prompts]
        different = list(dict.fromkeys(texts))
        # Never one alone: a matrix product of a single text rounds otherwise than that of several.
        rows = [*different, *different][: max(len(different), 2)]
        read = self._tokenizer(rows, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt")
        device = self._encoder.device
        embeddings, tokens = self._encoder(read.input_ids.to(device), read.attention_mask.to(device))
        places = [different.index(text) for text in texts]
        found = {"text_embeds": embeddings[places], "encoder_hidden_states": tokens[places]}
        for values in found.values():
            check_finite(values, "text encoder")
        return found
