"""The Inception score: its ends, its definition and its seed."""

import numpy as np
import pytest
from scipy.special import softmax

from evaluation.metrics.inception_score import inception_score


def same(features: np.ndarray) -> np.ndarray:
    """Features that are logits."""
    return features


def test_ends() -> None:
    unsure = inception_score(np.zeros((50, 7)), same)
    assert unsure[0] == pytest.approx(1) and unsure[1] == pytest.approx(0)
    sure = np.eye(5)[np.arange(1000) % 5] * 1000
    assert inception_score(sure, same)[0] == pytest.approx(5, rel=0.05)  # parts of 100 are not quite even
    alike = np.tile([0, 1000.0, 0], (50, 1))
    assert inception_score(alike, same)[0] == pytest.approx(1)


def test_definition_and_interval() -> None:
    logits = np.random.default_rng(0).normal(size=(95, 8)) * 2
    shares = softmax(logits[np.random.default_rng(4).permutation(95)], axis=1)
    scores = []
    for part in np.array_split(shares, 10):
        marginal = part.mean(0)
        scores.append(np.exp(np.mean([np.sum(one * (np.log(one) - np.log(marginal))) for one in part])))
    mean, deviation, (low, high) = inception_score(logits / 2, lambda rows: 2 * rows, seed=4)
    assert mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert deviation == pytest.approx(np.std(scores), rel=1e-12)
    error = np.std(scores, ddof=1) / 10**0.5
    assert (high - low) / 2 == pytest.approx(2.262157 * error, rel=1e-6) and (low + high) / 2 == pytest.approx(mean)
    assert inception_score(logits, same, seed=5)[0] != mean


def test_too_few_pictures() -> None:
    with pytest.raises(ValueError, match="at least as many pictures"):
        inception_score(np.zeros((9, 3)), same)
