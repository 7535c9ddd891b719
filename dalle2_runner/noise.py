"""torch's noise on a CPU, made of its Mersenne twister."""

import math

import numpy as np

Array = np.ndarray


class Noise:
    """torch's generator on a CPU: `normal` is `torch.randn` of 16 numbers or more."""

    def __init__(self, seed: int) -> None:
        self._words = np.random.RandomState(seed % 2**32)._bit_generator

    def normal(self, *shape: int) -> Array:
        """Return numbers of this shape, each the one of torch, to the last bits of a logarithm and a cosine."""
        count = math.prod(shape)
        assert count >= 16, "fewer are drawn in another way"
        numbers = self._blocks(self._uniform(count)[: count // 16 * 16])
        if count % 16:  # the last sixteen are drawn once more
            numbers = np.concatenate([numbers[: count - 16], self._blocks(self._uniform(16))])
        return numbers.reshape(shape)

    def _uniform(self, count: int) -> Array:
        return (self._words.random_raw(count) & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)

    @staticmethod
    def _blocks(uniform: Array) -> Array:
        """Sixteen at a time by Box and Muller: eight radii, eight angles."""
        radius, angle = uniform.reshape(-1, 2, 8).transpose(1, 0, 2).astype(np.float64)
        radius, angle = np.sqrt(-2 * np.log(1 - radius)), np.float64(np.float32(2 * math.pi)) * angle
        both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return both.reshape(-1).astype(np.float32)
