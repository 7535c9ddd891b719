"""Copies: pictures that are among the references too, or several times on one side, are counted and told."""

import numpy as np

from evaluation.metrics.frechet import Moments
from evaluation.metrics.overlap import notes_on
from evaluation.metrics.statistics import Statistics
from evaluation.networks.network import FeatureSpace

SPACE = FeatureSpace("tiny", "0" * 64, "clean")


def of(features: np.ndarray) -> Statistics:
    return Statistics(SPACE, Moments.of(features), features)


def test_copies_are_counted_between_the_sides_and_within_each() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    assert notes_on(of(rows[:30]), of(rows[30:])) == []
    shared, repeated = notes_on(of(rows[:30]), of(np.concatenate([rows[27:], rows[50:52]])))
    assert shared.startswith("3 of the 30 pictures have the very features of references")
    assert repeated.startswith("2 of the 35 references have the very features of others of them")
    (own,) = notes_on(of(np.repeat(rows[:10], 3, axis=0)), of(rows[30:]))
    assert own.startswith("20 of the 30 pictures have the very features of others of them")
    moments = Statistics(SPACE, Moments.of(rows[30:]))
    assert notes_on(of(rows[:30]), moments) == [] and notes_on(moments, of(rows)) == []
