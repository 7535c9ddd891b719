"""What blind votes add up to: win rates with Wilson's interval, and a Bradley–Terry ranking. Pure maths on votes.

The questions are those of the paper's human evaluation (section 5.2): photorealism, caption match, diversity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

QUESTIONS = ("photorealism", "caption match", "diversity")
WINNERS = ("a", "b", "tie")
WON = {"a": 1.0, "tie": 0.5, "b": 0.0}  # what each outcome is worth to a: a tie is half a win for both
Z = 1.959964  # 95 % of a normal distribution lie within this many standard deviations
MEAN_RATING = 1000.0
POINTS = 400 / math.log(10)  # as in chess: 400 points more win ten times as often as they lose


class Outcome(Protocol):
    """Two contestants that met, and which of them won: one of `WINNERS`."""

    @property
    def a(self) -> str: ...
    @property
    def b(self) -> str: ...
    @property
    def winner(self) -> str: ...


class Vote(Outcome, Protocol):
    """A visitor's outcome, by one of the `QUESTIONS`."""

    @property
    def question(self) -> str: ...


@dataclass(frozen=True)
class Place:
    """A contestant's place in the ranking; each interval holds the value in 95 of 100 cases.

    `rating` is in chess points around MEAN_RATING; `win_rate` in 0..1, a tie being half a win, over `votes` votes.
    """

    name: str
    rating: float
    rating_interval: tuple[float, float]
    win_rate: float
    win_interval: tuple[float, float]
    votes: int

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Return a row of a table: name, rating, its interval, win rate, its interval, votes."""
        low, high = self.rating_interval
        worst, best = self.win_interval
        rating = (f"{self.rating:.0f}", f"{low:.0f} to {high:.0f}")
        return (self.name, *rating, f"{self.win_rate:.0%}", f"{worst:.0%} to {best:.0%}", str(self.votes))


def rank(votes: Sequence[Vote], question: str) -> list[Place]:
    """Return the contestants of one question, the best first; [] without votes."""
    asked = [vote for vote in votes if vote.question == question]
    names = sorted({name for vote in asked for name in (vote.a, vote.b)})
    if not names:
        return []
    wins = _wins(asked, names)
    strengths, covariance = bradley_terry(wins)
    errors = np.sqrt(np.diag(covariance))
    places = []
    for i, name in enumerate(names):
        rating, margin = MEAN_RATING + POINTS * strengths[i], POINTS * Z * errors[i]
        won, played = wins[i].sum(), wins[i].sum() + wins[:, i].sum()
        interval = (rating - margin, rating + margin)
        places.append(Place(name, rating, interval, won / played, wilson(won, played), round(played)))
    return sorted(places, key=lambda place: -place.rating)


def wilson(won: float, played: float) -> tuple[float, float]:
    """Return the 95 % interval of a win rate (Wilson, 1927), right also near 0 and 1; `played` is above 0."""
    rate, square = won / played, Z * Z / played
    middle = (rate + square / 2) / (1 + square)
    margin = math.sqrt(rate * (1 - rate) * square + square * square / 4) / (1 + square)
    return max(0.0, middle - margin), min(1.0, middle + margin)


def bradley_terry(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`wins[i, j]`, how often i won against j (n, n) -> log strengths (n,) of mean 0, and their covariance (n, n).

    P(i beats j) = sigmoid(strength_i - strength_j) (Bradley and Terry, 1952). Each contestant gets one tie against an
    average opponent on top: with that, one who won every vote has a finite strength, and groups that
    never met have a common scale.
    """
    from scipy.optimize import minimize  # takes a second, which the page need not wait for
    from scipy.special import expit

    # 1. The negative log-likelihood of all votes and of the tie: minus log sigmoid(x) is log(1 + exp(-x)).
    n = len(wins)
    played = wins + wins.T

    def chances(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return expit(x[:, None] - x[None, :]), expit(x)

    def loss(x: np.ndarray) -> float:
        pairs = np.logaddexp(0, x[None, :] - x[:, None])
        return float((wins * pairs).sum() + (np.logaddexp(0, x) + np.logaddexp(0, -x)).sum() / 2)

    # 2. Its slope: for each contestant the wins expected less those seen.
    def gradient(x: np.ndarray) -> np.ndarray:
        against, average = chances(x)
        return (played * against).sum(1) - wins.sum(1) + average - 0.5

    # 3. Its curvature: each vote weighs p (1 - p), the variance of its outcome.
    def hessian(x: np.ndarray) -> np.ndarray:
        against, average = chances(x)
        weights = played * against * against.T
        return np.diag(weights.sum(1) + average * (1 - average)) - weights

    # 4. The loss is convex, so the minimum is the only one.
    found = minimize(loss, np.zeros(n), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-8})

    # 5. Only differences mean something: both are brought to mean 0. The inverse curvature is the covariance (Fisher).
    centre = np.eye(n) - 1 / n
    return centre @ found.x, centre @ np.linalg.inv(hessian(found.x)) @ centre


def _wins(votes: Sequence[Outcome], names: Sequence[str]) -> np.ndarray:
    """(n, n): how often the row's contestant won against the column's; a tie is half a win for both."""
    index = {name: i for i, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for vote in votes:
        a, b = index[vote.a], index[vote.b]
        wins[a, b] += WON[vote.winner]
        wins[b, a] += 1 - WON[vote.winner]
    return wins
