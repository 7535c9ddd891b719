"""Numbers that are not finite stop a picture where they are born: drawn, they would be black or white, silently."""

import torch

from dalle2.refusal import Refusal


def check_finite(values: torch.Tensor, source: str) -> torch.Tensor:
    """Return the values as they are, of any shape.

    Args:
        source: what they come from, such as "decoder".

    Raises:
        ValueError: one of them is NaN or infinite; says what to do.
    """
    if not torch.isfinite(values).all():
        raise Refusal(
            f"The {source} gave numbers that are not finite: its weights are damaged (copy the checkpoint again), or "
            "they need more precision (use float32, as with --dtype float32)."
        )
    return values
