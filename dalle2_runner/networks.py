"""What is computed of weights beside the networks that denoise: CLIP's text encoder, and what both stand on."""

import json
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
Weights = Mapping[str, Array]
KINDS = {"F16": np.float16, "F32": np.float32, "I64": np.int64, "I8": np.int8, "BF16": np.uint16}
SCALE = ".scale8"  # behind the name of a weight that is kept in eight bits: by how much each row is multiplied


class Text:
    """CLIP's text encoder: token ids (n, length) -> the states of all tokens, and the embedding at each end."""

    def __init__(self, config: Mapping[str, Any], weights: Weights) -> None:
        self.config, self.weights = config, weights

    def __call__(self, ids: Array) -> Array:
        """Token ids (n, length) -> states (n, length, width)."""
        places = np.arange(ids.shape[1])
        x = self.weights["text_model.embeddings.token_embedding.weight"][ids]
        x = x + self.weights["text_model.embeddings.position_embedding.weight"][places]
        later = np.where(places[None] > places[:, None], np.float32(-1e9), np.float32(0))
        for number in range(self.config["num_hidden_layers"]):
            layer = f"text_model.encoder.layers.{number}."
            x = x + self._attend(self._norm(x, f"{layer}layer_norm1"), f"{layer}self_attn.", later)
            hidden = linear(self.weights, f"{layer}mlp.fc1", self._norm(x, f"{layer}layer_norm2"))
            hidden = hidden / (1 + np.exp(-np.float32(1.702) * hidden))  # quick_gelu
            x = x + linear(self.weights, f"{layer}mlp.fc2", hidden)
        return self._norm(x, "text_model.final_layer_norm")

    def embed(self, states: Array) -> Array:
        """States at the ends (n, width) -> text embeddings (n, dim)."""
        return linear(self.weights, "text_projection", states)

    def _attend(self, x: Array, name: str, later: Array) -> Array:
        rows, length, width = x.shape
        heads = self.config["num_attention_heads"]

        def split(part: str) -> Array:
            return linear(self.weights, name + part, x).reshape(rows, length, heads, -1).transpose(0, 2, 1, 3)

        shares = softmax(split("q_proj") @ split("k_proj").transpose(0, 1, 3, 2) * (width // heads) ** -0.5 + later)
        seen = (shares @ split("v_proj")).transpose(0, 2, 1, 3).reshape(rows, length, width)
        return linear(self.weights, f"{name}out_proj", seen)

    def _norm(self, x: Array, name: str) -> Array:
        return layer_norm(self.weights, name, x, self.config["layer_norm_eps"])


def linear(weights: Weights, name: str, x: Array) -> Array:
    """Return a linear layer's output (..., out) for (..., in), with its bias where it has one."""
    bias = weights.get(f"{name}.bias")
    return x @ weights[f"{name}.weight"].T + (0 if bias is None else bias)


def layer_norm(weights: Weights, name: str, x: Array, eps: float = 1e-5) -> Array:
    """Return rows (..., dim) of mean 0 and variance 1, scaled and moved."""
    centred = x - x.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(eps))
    return normed * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def softmax(x: Array) -> Array:
    """Return shares along the last dimension (..., n), float32, which add up to 1."""
    grown = np.exp(x - x.max(-1, keepdims=True))
    return (grown / grown.sum(-1, keepdims=True)).astype(np.float32)


def enlarge(small: Array, size: int) -> Array:
    """Resize (n, 3, s, s) to `size` by cubic interpolation, as torch does with antialias."""
    side = small.shape[-1]
    scale = side / size
    widened = max(scale, 1.0)
    matrix = np.zeros((size, side))
    for place in range(size):
        centre = scale * (place + 0.5)
        first, last = max(int(centre - 2 * widened + 0.5), 0), min(int(centre + 2 * widened + 0.5), side)
        far = np.abs((np.arange(first, last) - centre + 0.5) / widened)
        near = np.where(far < 1, (1.5 * far - 2.5) * far**2 + 1, ((-0.5 * far + 2.5) * far - 4) * far + 2)
        near = np.where(far < 2, near, 0)
        matrix[place, first:last] = near / near.sum()
    return (matrix @ small @ matrix.T).astype(np.float32)


def read_weights(file: Path, but: Collection[str] = ()) -> dict[str, Array]:
    """Return the tensors of a safetensors file `but` these, in float32; what is in eight bits has its scale beside.

    ValueError for another file, and for one that is damaged.
    """
    try:
        read = dict(_tensors(np.memmap(file, np.uint8, "r"), but))
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"{file} is no safetensors file, or is damaged: {error}") from error
    scales = [name for name in read if name.endswith(SCALE)]
    return {name: value * read.get(name + SCALE, 1) for name, value in read.items() if name not in scales}


def _tensors(data: Array, but: Collection[str]) -> Iterator[tuple[str, Array]]:
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    for name, entry in json.loads(data[8 : 8 + length].tobytes()).items():
        if name == "__metadata__" or name.removesuffix(SCALE) in but:
            continue
        first, last = (8 + length + place for place in entry["data_offsets"])
        values = data[first:last].view(KINDS[entry["dtype"]])
        if entry["dtype"] == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        yield name, values.reshape(entry["shape"]).astype(np.float32)


def finite(values: Array, source: str) -> Array:
    """Return the values as they are; ValueError, which names their source, where one is NaN or infinite.

    Drawn, such numbers would be black or white, silently.
    """
    if not np.isfinite(values).all():
        raise ValueError(
            f"The {source} gave numbers that are not finite: its weights are damaged (copy the checkpoint again)."
        )
    return values
