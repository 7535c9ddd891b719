"""How much each part of a mix counts. Nothing here imports torch, for which a page would wait."""

import math
from collections.abc import Sequence

from dalle2.refusal import Refusal


def check_weights(weights: Sequence[float], count: int) -> None:
    """ValueError unless there are `count` weights of a mix, all finite, whose sum is not 0."""
    if len(weights) != count or not all(math.isfinite(weight) for weight in weights):
        raise Refusal("The weights of a mix must be numbers, one for each part.")
    # Against the rounding of decimals: 0.1 + 0.2 - 0.3 is nothing.
    if abs(sum(weights)) <= 1e-6 * sum(map(abs, weights)):
        raise Refusal("The weights of a mix must not sum to zero: that would leave nothing to draw.")
