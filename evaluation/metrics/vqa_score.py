"""What answers about pictures are worth: right, wrong or nonsense, and how likely the right one was.

Soft-TIFA (GenEval 2, arXiv 2512.16853) takes the probability that an answer begins with the right one, and their
arithmetic (AM) or geometric mean (GM) over a picture's questions. Its script sums the probabilities of the first tokens
of the answer as it is written, capitalised, after a space, and as a figure. An endpoint tells tokens as text and only
the likeliest of them, so here those are summed that are the answer in any of these forms (and with punctuation), or
that begin it, since a tokenizer may split it ("str" + "iped"); a right answer of which neither is among them counts
with the most that its first token can have. VQAScore (arXiv 2404.01291) is the
probability of "yes" to one question, taken alike.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ARTICLES = {"a", "an", "the"}
MOST_WORDS = 6  # of an answer, which was asked to be one


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer.

    Attributes:
        right: None where it is no answer.
        likely: the probability of the right one; None where the endpoint tells none, or it is more than a word.
        listed: whether the right one, or a beginning of it, was among the tokens whose probability was told; if not,
            `likely` is the most that another token can have.
        begun: whether most of `likely` is of tokens that only begin the right one, and may begin another word too.
    """

    right: bool | None
    likely: float | None = None
    listed: bool = True
    begun: bool = False


def judged(text: str, expected: str, alternatives: Mapping[str, float] | None) -> JudgedAnswer:
    """Return what an answer is worth; ValueError where nothing that is expected is a word."""
    wanted = words(expected)
    if not wanted:
        raise ValueError(f"{expected!r} is no answer that anybody could give.")
    right = _right(words(text), wanted)
    if not alternatives or len(wanted) > 1:
        return JudgedAnswer(right)
    whole = [share for token, share in alternatives.items() if words(token) == wanted]
    begun = [share for token, share in alternatives.items() if words(token) != wanted and _begins(token, wanted[0])]
    if whole or begun:
        return JudgedAnswer(right, min(1.0, sum(whole) + sum(begun)), begun=sum(begun) > sum(whole))
    rest = max(0.0, 1 - sum(alternatives.values()))
    return JudgedAnswer(right, min(rest, *alternatives.values()), listed=False)


def _right(said: Sequence[str], wanted: Sequence[str]) -> bool | None:
    if wanted in (["yes"], ["no"]):
        return said[0] == wanted[0] if said and said[0] in ("yes", "no") else None
    if not said or len(said) > MOST_WORDS:
        return None
    return any(said[start : start + len(wanted)] == wanted for start in range(len(said)))


def _begins(token: str, wanted: str) -> bool:
    """Return whether a token is a part of the wanted word from its start; of a number also of its name."""
    forms = [wanted, *(name for index, name in enumerate(NUMBERS) if str(index) == wanted)]
    plain = _plain(token)
    return len(plain) == 1 and any(form != plain[0] and form.startswith(plain[0]) for form in forms)


def words(text: str) -> list[str]:
    """Return the words of an answer without case, punctuation and articles, numbers as figures."""
    return [str(NUMBERS.index(word)) if word in NUMBERS else word for word in _plain(text)]


def _plain(text: str) -> list[str]:
    """Return the words of a text without case, punctuation and articles."""
    plain = text.casefold().translate(str.maketrans(dict.fromkeys(string.punctuation + "▁Ġ", " ")))
    return [word for word in plain.split() if word not in ARTICLES]


def shares_right(pictures: Sequence[Sequence[JudgedAnswer]]) -> np.ndarray:
    """Return for each picture (n,) the share of its questions that were answered right; nonsense is wrong."""
    return np.array([np.mean([one.right is True for one in answers]) for answers in pictures], dtype=float)


def soft(pictures: Sequence[Sequence[JudgedAnswer]]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return for each picture, (n,) each, both means of right answers' probabilities; None where one is not known."""
    if any(one.likely is None for answers in pictures for one in answers):
        return None
    likely = [np.array([one.likely for one in answers], dtype=float) for answers in pictures]
    with np.errstate(divide="ignore"):  # a probability of 0 makes the geometric mean 0
        geometric = [float(np.exp(np.log(of).mean())) for of in likely]
    return np.array([of.mean() for of in likely]), np.array(geometric)
