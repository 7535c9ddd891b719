"""The embedded judge: a CLIP of emoji that measures offline, and whose numbers compare with nothing published."""

from evaluation.networks.clip import ClipFeatures
from evaluation.networks.embedded import JUDGE
from evaluation.networks.network import NetworkOptions


def open_network(source: str, options: NetworkOptions) -> ClipFeatures:
    """Return the judge as a feature network; `source` is empty, for there is one."""
    return ClipFeatures(source or JUDGE, options.device)
