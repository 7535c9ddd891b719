"""A sentence encoder without weights."""

import numpy as np

from dalle2.sentence_encoder import WIDTH


class Letters:
    """An encoder that counts letters."""

    words = frozenset()

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = np.full((len(texts), WIDTH), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                row[ord(letter) % WIDTH] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
