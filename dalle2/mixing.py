"""How much each part of a mix counts. Nothing here imports torch, for which a page would wait."""

import math
from collections.abc import Sequence

from dalle2.refusal import Refusal


def check_weights(weights: Sequence[float], count: int) -> None:
    """ValueError unless there are `count` weights of a mix, all finite, whose sum is above 0.

    Of a sum below 0 the mix would be drawn with all signs turned: what is to be taken away is put in.
    """
    if len(weights) != count or not all(math.isfinite(weight) for weight in weights):
        raise Refusal("The weights of a mix must be numbers, one for each part.")
    # Against the rounding of decimals: 0.1 + 0.2 - 0.3 is nothing.
    if sum(weights) <= 1e-6 * sum(map(abs, weights)):
        raise Refusal("The weights of a mix must sum to more than zero: give what is to be drawn more weight.")
