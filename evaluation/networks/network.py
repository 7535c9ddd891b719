"""What every network says of itself: its space, what distances in it are called, and what must be said of them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image

from evaluation.networks import NETWORKS, SPELLINGS

Extra = Literal["cmmd", "inception_score"]


class Naming(NamedTuple):
    """What measures in a network's features are called: keys for programs, labels for readers.

    `prefix` begins the keys of all other measures, `mark` follows their labels. Only published weights give the names
    that published tables use.
    """

    frechet: tuple[str, str]
    kernel: tuple[str, str]
    prefix: str = ""
    mark: str = ""

    @classmethod
    def of_no_table(cls, prefix: str, mark: str) -> "Naming":
        """Return the names for features whose distances compare with nothing published."""
        frechet = f"{prefix}frechet_distance", f"Fréchet distance{mark}"
        kernel = f"{prefix}kernel_distance", f"kernel distance{mark}"
        return cls(frechet, kernel, prefix, mark)


class Encoder(Protocol):
    """What turns pictures into rows of `dim` numbers: `preprocess` runs in the loader's workers, a call gives rows."""

    @property
    def name(self) -> str:
        """Return the name that reports give it."""
        ...

    @property
    def dim(self) -> int: ...

    @property
    def preprocess(self) -> Callable[[Image.Image], torch.Tensor]: ...

    def __call__(self, batch: torch.Tensor) -> np.ndarray: ...


class Network(Encoder, Protocol):
    """An encoder in whose features distances are taken.

    Attributes:
        sha256: of the weights.
        resize: how a picture comes to the network's size.
        layer: which of its features are taken, where there are several kinds; "" for those that it is known by.
        precision: in which it computes them, one of `PRECISIONS`.
        extras: measures beyond those of every network that are published for this one.
        naming: what distances in these features are called.
        caveats: sentences that a reader of any such distance must know.
    """

    @property
    def sha256(self) -> str: ...

    @property
    def resize(self) -> str: ...

    @property
    def layer(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def extras(self) -> tuple[Extra, ...]: ...

    @property
    def naming(self) -> Naming: ...

    @property
    def caveats(self) -> tuple[str, ...]: ...


class Classifier(Network, Protocol):
    """A network whose features give classes: what has "inception_score" among its extras."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Features (n, dim) -> (n, classes)."""
        ...


class NetworkOptions(NamedTuple):
    """What a command line says of the network beside its name; a kind takes what concerns it."""

    resize: str = "clean"
    weights: str | None = None
    device: str = "cpu"
    precision: str = "float32"


def open_network(
    name: str,
    resize: str | None = None,
    weights: str | None = None,
    *,
    device: str = "cpu",
    precision: str = "float32",
) -> Network:
    """Return the network of one of `NETWORKS`' spellings; ValueError says what is wrong or missing.

    `resize` is one of `resizes_of`, None for the first; `weights` are Inception's: see `inception.find_weights`.
    """
    kind, colon, source = name.partition(":")
    if kind not in NETWORKS or bool(colon) != (":" in NETWORKS[kind].spelling) or (colon and not source):
        raise ValueError(f"--network must be one of {SPELLINGS}, not {name!r}.")
    if precision not in NETWORKS[kind].precisions:
        raise ValueError(f"--precision {precision} is not known to --network {name}, which computes in float32.")
    module = importlib.import_module(f"evaluation.networks.{kind}")
    options = NetworkOptions(resize or (*NETWORKS[kind].resizes, "its own")[0], weights, device, precision)
    return module.open_network(source, options)


@dataclass(frozen=True)
class FeatureSpace:
    """Where features live: the network, its weights, how pictures were brought to its size, and to which form before.

    `size` is the side of the canonical form, 0 for pictures as they are; `layer` tells the features of a network that
    has several, "" being those that it is known by; `precision` is what they were computed in.
    """

    network: str
    sha256: str
    resize: str
    size: int = 0
    layer: str = ""
    precision: str = "float32"

    def require(self, other: "FeatureSpace", what: str) -> None:
        """Raise ValueError unless both are the same: distances between two spaces mean nothing.

        The network is known by its weights; what it is called, or where it lies, may differ.
        """
        if self.sha256 != other.sha256:
            own, theirs = (f"{space.network} (weights {space.sha256[:12]}…)" for space in (self, other))
            raise ValueError(f"{what} were taken with {theirs}, the pictures with {own}: take both alike.")
        for key, nothing in (("resize", ""), ("size", "as they are"), ("layer", "the last"), ("precision", "")):
            if (own := getattr(self, key)) != (theirs := getattr(other, key)):
                own, theirs = (value or nothing for value in (own, theirs))
                raise ValueError(f"{what} were taken with {key} {theirs}, the pictures with {own}: take both alike.")


def space_of(network: Network, size: int | None = None) -> FeatureSpace:
    """Return the space of the network's features of pictures in the canonical form of `size`."""
    return FeatureSpace(network.name, network.sha256, network.resize, size or 0, network.layer, network.precision)
