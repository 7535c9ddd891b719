"""Networks that turn pictures into features.

Each kind that `--network` can name is a file of its name here, whose `open_network(source, given)` gives a `Network`.
To add one, write the file and its line below: commands, reports and comparisons ask the network for all else.
"""

from typing import NamedTuple


class Kind(NamedTuple):
    """How a network is named on the command line, and the ways to its size between which --resize chooses.

    `precisions` are those that it can compute in, the first by default.
    """

    spelling: str
    resizes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("float32",)


TO_299 = ("clean", "legacy-tf", "legacy-torch")
PRECISIONS = ("float32", "bf16")
NETWORKS = {
    "inception": Kind("inception", TO_299, PRECISIONS),
    "sfid": Kind("sfid", TO_299, PRECISIONS),
    "judge": Kind("judge"),
    "clip": Kind("clip:FOLDER"),
    "hf": Kind("hf:FOLDER", ("published", "square")),
}
SPELLINGS = ", ".join(kind.spelling for kind in NETWORKS.values())
RESIZES = tuple(dict.fromkeys(name for kind in NETWORKS.values() for name in kind.resizes))
WEIGHTS_VARIABLE = "INCEPTION_WEIGHTS"


def resizes_of(network: str) -> tuple[str, ...]:
    """Return the ways to its size that a network leaves open; () where it has its own."""
    kind = NETWORKS.get(network.partition(":")[0])
    return () if kind is None else kind.resizes
