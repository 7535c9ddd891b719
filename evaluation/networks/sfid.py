"""Inception's spatial features, of which sFID is made (Nash et al., arXiv 2103.03841; OpenAI's ADM evaluator).

They lie before the pool, so they know where things are in a picture, which the features of FID forget.
"""

from pathlib import Path

import numpy as np
import torch

from evaluation.networks.inception import Inception, find_weights, in_precision
from evaluation.networks.inception_trunk import SPATIAL_CHANNELS, Trunk
from evaluation.networks.network import Extra, Naming, NetworkOptions

PUBLISHED_NAMING = Naming(("sfid", "sFID"), ("skid", "kernel distance (spatial)"), "spatial_", " (spatial)")
OTHER_NAMING = Naming.of_no_table("unpublished_spatial_", " (spatial, unpublished weights)")


class Spatial(Inception):
    """Pictures -> 17 · 17 · 7 features of the middle of Inception, of the same weights and resizings as `Inception`.

    ValueError as there, and for NVIDIA's TorchScript, whose middle cannot be reached.
    """

    name = "inception-2015-12-05 spatial"
    dim = 17 * 17 * SPATIAL_CHANNELS
    extras: tuple[Extra, ...] = ()
    layer = "mixed_6/conv"

    def __init__(
        self, weights: str | Path, resize: str = "clean", device: str = "cpu", *, precision: str = "float32"
    ) -> None:
        super().__init__(weights, resize, device, precision=precision)
        if not isinstance(self._trunk, Trunk):
            raise ValueError(
                f"{weights} is a TorchScript, of which only the last features can be had: sFID needs the weights of "
                "pytorch-fid or torch-fidelity (a .pth file)."
            )

    @property
    def naming(self) -> Naming:
        """Return the names: sFID for the published weights only."""
        return in_precision(PUBLISHED_NAMING if self.published else OTHER_NAMING, self.precision)

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Levels (n, 3, 299, 299) -> features (n, 2023) float32."""
        assert isinstance(self._trunk, Trunk), "looked at when it was opened"
        return self._trunk.spatial(self._scaled(batch)).float().cpu().numpy()


def open_network(source: str, options: NetworkOptions) -> Spatial:
    """Return the weights that are named, or found on this machine, with the resizing that is asked for."""
    return Spatial(find_weights(options.weights), options.resize, options.device, precision=options.precision)
