"""Statistics in the forms of other programs: pytorch-fid's and clean-fid's .npz, and ADM's reference batches.

They hold means and covariances, and not how they were taken; each program has its own way to Inception's 299 pixels,
though, so naming the program says it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dalle2 import atomic
from evaluation.metrics.frechet import Moments, covariance_of, doubles
from evaluation.metrics.statistics import Statistics
from evaluation.networks.inception import PUBLISHED
from evaluation.networks.network import Network, space_of

ADM_LAYERS = {"": ("mu", "sigma"), "mixed_6/conv": ("mu_s", "sigma_s")}


class Form(NamedTuple):
    """The resizing that a program takes statistics with, and its arrays by the layer of Inception."""

    resize: str
    arrays: dict[str, tuple[str, str]]


FORMS = {
    "pytorch-fid": Form("legacy-torch", {"": ("mu", "sigma")}),
    "clean-fid": Form("clean", {"": ("mu", "sigma")}),
    "adm": Form("legacy-tf", ADM_LAYERS),
}


def form_of(path: Path) -> str | None:
    """Return "ours", or "adm", which alone has spatial statistics, or None for what does not say.

    ValueError for what holds no statistics.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            names = set(file.files)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} is no .npz of statistics ({error}).") from error
    if "space" in names:
        return "ours"
    if "mu" not in names or "sigma" not in names:
        raise ValueError(f"{path} holds no statistics: mu and sigma are looked for, it has {', '.join(sorted(names))}.")
    return "adm" if "mu_s" in names else None


def read_foreign(path: Path, form: str, network: Network, size: int | None) -> Statistics:
    """Return the statistics of a foreign file for a network; ValueError unless they can be of its features.

    The form must be that of the network's resizing, and the network the published Inception.
    """
    known = FORMS[form]
    if network.sha256 not in PUBLISHED.values():
        raise ValueError(
            f"The statistics in {path} are of the published Inception, the pictures' features of {network.name} "
            f"(weights {network.sha256[:12]}…): take both alike."
        )
    if network.resize != known.resize:
        raise ValueError(
            f"The statistics in {path} were taken with resize {known.resize} ({form}), the pictures with "
            f"{network.resize}: take both alike."
        )
    if network.precision != "float32":
        raise ValueError(
            f"The statistics in {path} are of features in float32, the pictures' in {network.precision}: take both "
            "alike."
        )
    if network.layer not in known.arrays:
        raise ValueError(f"{path} holds nothing for sFID: {form} keeps no spatial statistics.")
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, covariance = (doubles(file[name]) for name in known.arrays[network.layer])
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} holds no statistics of {form} ({error}).") from error
    if mean.shape != (network.dim,) or covariance.shape != (network.dim, network.dim):
        raise ValueError(f"{path} is of {mean.shape[0]} features, {network.name} has {network.dim}.")
    scatter = covariance_of(covariance.numpy(), path)
    return Statistics(space_of(network, size), Moments(2, mean, scatter=scatter), counted=False)


def write_foreign(path: Path, form: str, by_layer: dict[str, Statistics]) -> Path:
    """Write statistics as another program reads them; whole or not at all. ValueError where its resize is another."""
    known = FORMS[form]
    arrays = {}
    for layer, statistics in by_layer.items():
        if layer not in known.arrays or statistics.space.resize != known.resize:
            raise ValueError(f"{form} keeps statistics of inception{' and sfid' * (form == 'adm')} by {known.resize}.")
        mean, covariance = known.arrays[layer]
        arrays |= {mean: statistics.moments.mean.numpy(), covariance: statistics.moments.covariance.numpy()}
    with atomic.file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
    return path
