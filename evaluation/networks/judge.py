"""The embedded judge: a CLIP of emoji that measures offline, and whose numbers compare with nothing published."""

from evaluation.networks.clip import ClipFeatures
from evaluation.networks.embedded import JUDGE
from evaluation.networks.network import Given


def open_network(source: str, given: Given) -> ClipFeatures:
    """Return the judge as a feature network; `source` is empty, for there is one."""
    return ClipFeatures(source or JUDGE, given.device)
