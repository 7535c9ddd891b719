"""Intervals, p-values and their correction: against closed forms, scipy and simulation."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evaluation.comparing.comparison import contests_of
from evaluation.metrics.bootstrap import holm, jackknife, mean_interval, paired_bootstrap, sign_test
from evaluation.reporting.measure import Measure


def test_the_interval_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = mean_interval(values)
    reach = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.02)


def test_equal_values_are_no_difference() -> None:
    values = np.random.default_rng(0).normal(size=50)
    found = paired_bootstrap(values, values)
    assert (found.mean, found.interval, found.p, found.wins, found.losses) == (0.0, (0.0, 0.0), 1.0, 0, 0)


def test_pairing_finds_what_the_unpaired_test_does_not() -> None:
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 10, 200)
    a, b = hard + rng.normal(0.3, 0.5, 200), hard + rng.normal(0, 0.5, 200)
    found = paired_bootstrap(a, b)
    assert stats.ttest_ind(a, b).pvalue > 0.5
    assert found.p < 0.001
    assert found.interval[0] > 0
    assert found.mean == pytest.approx((a - b).mean())
    assert found.wins + found.losses == found.n == 200
    back = paired_bootstrap(b, a)
    assert (back.mean, back.wins, back.losses, back.p) == (-found.mean, found.losses, found.wins, found.p)


def test_five_values_of_one_picture_are_not_five_pictures() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.1, 1, 60), rng.normal(0, 1, 60)
    blocks = np.repeat(np.arange(60), 5)
    assert mean_interval(np.repeat(a, 5), blocks=blocks) == pytest.approx(mean_interval(a))
    once, five = paired_bootstrap(a, b), paired_bootstrap(np.repeat(a, 5), np.repeat(b, 5), blocks=blocks)
    assert (five.interval, five.p) == (pytest.approx(once.interval), once.p)
    assert paired_bootstrap(np.repeat(a, 5), np.repeat(b, 5)).p < once.p / 2  # as if all were independent
    assert mean_interval(a, blocks=np.zeros(60, int)) == mean_interval(a)  # pictures of one prompt
    assert mean_interval(np.repeat(a, 5), blocks=3 * blocks + 7) == pytest.approx(mean_interval(a))  # a part of blocks


def test_the_p_value_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.12, 1, 300), rng.normal(0, 1, 300)
    assert paired_bootstrap(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.02)


def test_five_wins_of_six_are_not_enough() -> None:
    """Of all 2^5 exchanges two are as extreme; a bootstrap would call this p < 0.01."""
    assert paired_bootstrap([1, 1, 1, 1, 1, 0], [0] * 6).p == pytest.approx(2 / 32, abs=0.01)


def test_false_alarms_are_rare() -> None:
    rng = np.random.default_rng(3)
    p_values = [paired_bootstrap(*rng.normal(size=(2, 40)), seed=trial).p for trial in range(60)]
    assert np.mean(np.array(p_values) < 0.05) < 0.15


@pytest.mark.parametrize(
    ("a", "b", "said"), [([1, 2], [1], "2 and 1"), ([1], [1], "two values"), ([1, np.nan], [1, 2], "finite")]
)
def test_bad_pairs_are_refused(a: list[float], b: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        paired_bootstrap(a, b)


def test_the_jackknife_of_a_mean_is_the_t_interval() -> None:
    values = np.random.default_rng(4).normal(0.4, 1, 25)
    left_out = (values.sum() - values) / 24
    error, interval, p = jackknife(values.mean(), left_out)
    test = stats.ttest_1samp(values, 0)
    assert error == pytest.approx(stats.sem(values))
    assert interval == pytest.approx(tuple(test.confidence_interval()))
    assert p == pytest.approx(test.pvalue)


def test_the_jackknife_of_nothing_is_no_difference() -> None:
    assert jackknife(0.0, [0.0] * 5) == (0.0, (0.0, 0.0), 1.0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_votes_are_an_exact_binomial_test() -> None:
    share, (low, high), p = sign_test(30, 10)
    assert (share, p) == (0.75, stats.binomtest(30, 40).pvalue)
    assert low < 0.75 < high
    assert sign_test(0, 0) == (0.5, (0.0, 1.0), 1.0)


def test_errors_of_the_reference_and_of_the_pictures_add_up() -> None:
    def coverage(values: list[float], left_out: list[float]) -> Any:
        both = {"values": np.array(values), "left_out": np.array(left_out)}
        one = Measure("coverage", "coverage", float(np.mean(values)), 40, "higher", **both)
        named = SimpleNamespace(name=str(one.value), cost=None)
        return SimpleNamespace(contestant=named, measures=(one,), measure=lambda _: one)

    full, half = [1.0] * 40, [1.0] * 20 + [0.0] * 20
    steady, shaky = [0.9] * 20, list(np.random.default_rng(0).normal(0.5, 0.2, 20))
    (sure,) = contests_of((coverage(full, steady), coverage(half, [0.45 + 0.001 * n for n in range(20)])), 0)
    (unsure,) = contests_of((coverage(full, steady), coverage(half, shaky)), 0)
    (chance,) = contests_of((coverage(full, steady), coverage([*full[:-1], 0.0], [*steady[:-1], 0.89])), 0)
    assert sure.found.p < 0.001 and sure.verdict == "1.0"
    assert unsure.found.p > 0.05 and unsure.found.mean == 0.5
    assert chance.found.p > 0.3  # one of 40 of the reference, however steady the pictures are
    pairs = np.subtract(full, half)
    error = (pairs.var(ddof=1) / 40) ** 0.5
    alike = error / 19**0.5 * np.array([1.0, -1.0] * 10)  # so that the groups are as unsure as the reference
    (both,) = contests_of((coverage(full, steady), coverage(half, [*(0.5 + alike)])), 0)
    assert both.found.interval[1] - both.found.mean == pytest.approx(2**0.5 * error * stats.t.ppf(0.975, 19))
    assert both.found.p == pytest.approx(2 * stats.t.sf(0.5 / (2**0.5 * error), 19))
    (same,) = contests_of((coverage(half, shaky), coverage(half, shaky)), 0)
    assert same.verdict == "no difference" and same.found.p == 1
