"""The Inception score (Salimans et al., arXiv 1606.03498): sure of each picture's class, of many classes in all."""

from collections.abc import Callable

import numpy as np
import scipy

SPLITS = 10


def inception_score(
    features: np.ndarray, logits: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> tuple[float, float, tuple[float, float]]:
    """Features (n, d) -> mean, standard deviation and 95% interval over ten random parts, as published.

    `logits` makes features (k, d) to (k, classes), a part at a time. 1 at the least, the number of classes at the
    most. ValueError for fewer pictures than parts.
    """
    if len(features) < SPLITS:
        raise ValueError(f"The Inception score is the mean over {SPLITS} parts: measure at least as many pictures.")
    order = np.random.default_rng(seed).permutation(len(features))
    scores = []
    for part in np.array_split(order, SPLITS):
        logs = scipy.special.log_softmax(logits(features[np.sort(part)]).astype(np.float64), axis=1)
        marginal = scipy.special.logsumexp(logs, axis=0) - np.log(len(part))  # a class that nobody has stays finite
        scores.append(np.exp((np.exp(logs) * (logs - marginal)).sum(1).mean()))
    mean, deviation = float(np.mean(scores)), float(np.std(scores))
    reach = float(scipy.stats.t.ppf(0.975, SPLITS - 1)) * deviation / (SPLITS - 1) ** 0.5
    return mean, deviation, (mean - reach, mean + reach)
