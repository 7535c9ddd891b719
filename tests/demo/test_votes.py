"""Blind votes: the store under concurrent visitors, no prompt without consent, win rates, the ranking, the export."""

import csv
import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from dalle2.judgements.ranking import MEAN_RATING, POINTS, QUESTIONS, bradley_terry, rank, wilson
from demo import votes as program
from demo.votes import Vote, Votes

REALISM, CAPTION, DIVERSITY = QUESTIONS


@pytest.fixture
def store(tmp_path: Path) -> Votes:
    return Votes(tmp_path / "votes.sqlite3")


def some(winners: str, a: str = "fast", b: str = "best", question: str = REALISM) -> list[Vote]:
    """Votes from their winners' letters; "t" is a tie."""
    names = {"a": "a", "b": "b", "t": "tie"}
    return [Vote(question, a, b, names[letter], seed) for seed, letter in enumerate(winners)]


def test_votes_come_back_as_they_were_given(store: Votes) -> None:
    given = [Vote(REALISM, "x", "y", "tie", 7, "a 'cat'; DROP TABLE votes"), Vote(CAPTION, "y", "x", "a", 2**32 - 1)]
    store.add(given[:1])
    store.add(given[1:])
    assert Votes(store.file).read() == given


def test_no_file_before_the_first_vote(store: Votes) -> None:
    assert (store.read(), store.to_csv(), store.file.exists()) == ([], "question,a,b,winner\n", False)


def test_votes_go_on_after_their_file_was_moved_away(store: Votes, tmp_path: Path) -> None:
    store.add(some("ab"))
    store.file.rename(tmp_path / "kept.sqlite3")
    store.add(some("t"))
    assert store.read() == some("t") and Votes(tmp_path / "kept.sqlite3").read() == some("ab")


def test_a_row_tells_the_time_and_no_prompt_unless_given(store: Votes) -> None:
    store.add(some("a"))
    with closing(sqlite3.connect(store.file)) as connection:
        rows = connection.execute("SELECT * FROM votes").fetchall()
    (number, time, *row) = rows[0]
    assert (number, row) == (1, [REALISM, "fast", "best", "a", 0, None])
    assert time.endswith("+00:00") and len(time) == len("2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    "values, sentence",
    [
        (("beauty", "x", "y", "a", 1), "photorealism, caption match, diversity"),
        ((REALISM, "x", "y", "x", 1), "a, b, tie, not 'x'"),
        ((REALISM, "x", "x", "a", 1), "two different contestants"),
        ((REALISM, "", "x", "a", 1), "two different contestants"),
    ],
)
def test_impossible_votes_are_refused(values: tuple, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Vote(*values)


def test_a_voter_s_answers_are_kept_together_or_not_at_all(store: Votes) -> None:
    store.add(some("a"))
    broken = some("b")[0]
    object.__setattr__(broken, "winner", "nobody")  # past the dataclass, into the table's own check
    with pytest.raises(OSError, match="CHECK constraint"):
        store.add([*some("tt"), broken])
    assert store.read() == some("a")


def _vote_often(file: Path, name: str) -> None:
    with ThreadPoolExecutor(4) as voters:
        list(voters.map(lambda seed: Votes(file).add([Vote(REALISM, name, "other", "a", seed)]), range(20)))


def test_threads_and_processes_vote_at_once_and_none_is_lost(store: Votes) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_vote_often, args=(store.file, f"p{i}")) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3
    kept = sorted((vote.a, vote.seed) for vote in store.read())
    assert kept == [(f"p{i}", seed) for i in range(3) for seed in range(20)]


def test_the_export_has_one_line_a_vote_and_never_a_prompt(store: Votes, tmp_path: Path) -> None:
    store.add([*some("abt"), Vote(DIVERSITY, 'x, "y"', "z", "b", 1, "a secret")])
    path = store.export(tmp_path / "votes.csv")
    assert path.read_text().startswith("question,a,b,winner\nphotorealism,fast,best,a\n")
    assert "secret" not in path.read_text()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["winner"] for row in rows] == ["a", "b", "tie", "b"]
    assert rows[-1] == {"question": DIVERSITY, "a": 'x, "y"', "b": "z", "winner": "b"}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["votes.csv", "votes.sqlite3"]


@pytest.mark.parametrize("won, played", [(0, 1), (1, 1), (0, 30), (7, 10), (15, 30), (999, 1000)])
def test_wilson_s_interval_agrees_with_scipy(won: int, played: int) -> None:
    expected = binomtest(won, played).proportion_ci(method="wilson")
    assert wilson(won, played) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_half_a_win_lies_between_its_neighbours() -> None:
    ends = [wilson(won, 10) for won in (6, 6.5, 7)]
    assert sorted(ends) == ends and sorted(high for _, high in ends) == [high for _, high in ends]


def mm_strengths(wins: np.ndarray, rounds: int = 5000) -> np.ndarray:
    """A second implementation: Hunter's MM iteration (2004), with the tie against an average opponent of worth 1."""
    worth = np.ones(len(wins))
    played = wins + wins.T
    for _ in range(rounds):
        rivals = (played / (worth[:, None] + worth[None, :])).sum(1) + 1 / (worth + 1)
        worth = (wins.sum(1) + 0.5) / rivals
    return np.log(worth) - np.log(worth).mean()


def test_bradley_terry_agrees_with_the_mm_iteration() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 3, 8):
        wins = rng.integers(0, 20, (n, n)) / 2
        np.fill_diagonal(wins, 0)
        strengths, _ = bradley_terry(wins)
        assert strengths == pytest.approx(mm_strengths(wins), abs=1e-6)


def test_two_contestants_have_the_strength_of_their_odds() -> None:
    strengths, covariance = bradley_terry(np.array([[0, 30_000], [10_000, 0]]))
    assert strengths[0] - strengths[1] == pytest.approx(np.log(3), abs=1e-3)
    # The log odds of a binomial have the variance 1 / (n p (1 - p)); the tie on top is one vote in 40,000.
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert spread == pytest.approx(1 / (40_000 * 0.75 * 0.25), rel=1e-3)


def test_who_always_wins_has_a_finite_strength_and_a_wide_interval() -> None:
    strengths, covariance = bradley_terry(np.array([[0, 5], [0, 0]]))
    assert np.isfinite(strengths).all() and strengths[0] == -strengths[1] > 0
    few, many = (np.sqrt(bradley_terry(np.array([[0, 5 * k], [5 * k, 0]]))[1][0, 0]) for k in (1, 100))
    assert np.sqrt(covariance[0, 0]) > few > 5 * many


def test_groups_that_never_met_are_ranked_on_one_scale() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2] = 30, 10, 30, 10
    strengths, _ = bradley_terry(wins)
    assert strengths[[0, 1]] == pytest.approx(strengths[[2, 3]]) and strengths.sum() == pytest.approx(0)


def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = np.array([0.8, 0.1, -0.9])
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        wins = np.zeros((3, 3))
        for i, j in ((0, 1), (0, 2), (1, 2)):
            wins[i, j] = rng.binomial(60, 1 / (1 + np.exp(truth[j] - truth[i])))
            wins[j, i] = 60 - wins[i, j]
        strengths, covariance = bradley_terry(wins)
        held += list(np.abs(strengths - truth) <= 1.96 * np.sqrt(np.diag(covariance)))
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_ranking_counts_ties_as_half_and_each_question_alone() -> None:
    votes = [*some("aaabt"), *some("bb", question=CAPTION), *some("t", "slow", "fast")]
    first, *others = rank(votes, REALISM)
    assert (first.name, first.votes, first.win_rate) == ("fast", 6, pytest.approx(4 / 6))
    assert first.win_interval == wilson(4, 6)
    assert {place.name for place in others} == {"best", "slow"}
    assert np.mean([place.rating for place in (first, *others)]) == pytest.approx(MEAN_RATING)
    assert all(place.rating_interval[0] < place.rating < place.rating_interval[1] for place in (first, *others))
    assert [place.name for place in rank(votes, CAPTION)] == ["best", "fast"]
    assert rank(votes, DIVERSITY) == []


def test_sides_do_not_matter() -> None:
    mirrored = {"a": "b", "b": "a", "tie": "tie"}
    votes = some("aabtaa")
    swapped = [Vote(vote.question, vote.b, vote.a, mirrored[vote.winner], vote.seed) for vote in votes]
    assert [place.name for place in rank(votes, REALISM)] == ["fast", "best"]
    for ours, theirs in zip(rank(votes, REALISM), rank(swapped, REALISM), strict=True):
        assert (ours.name, ours.win_rate) == (theirs.name, theirs.win_rate)
        assert ours.rating == pytest.approx(theirs.rating, abs=1e-6)


def test_400_points_are_ten_to_one() -> None:
    first, second = rank(some("a" * 10_000 + "b" * 1_000), REALISM)
    assert first.rating - second.rating == pytest.approx(400, abs=1)
    assert pytest.approx(400) == POINTS * np.log(10)


def test_the_command_prints_the_ranking_and_exports(
    store: Votes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(some("aaat"))
    program.main([str(store.file), "--out", str(tmp_path / "votes.csv")])
    printed = capsys.readouterr().out
    assert "photorealism (4 votes)" in printed and "diversity (0 votes)" in printed
    assert printed.index("fast") < printed.index("best") and "88%" in printed
    assert (tmp_path / "votes.csv").read_text() == store.to_csv()


@pytest.mark.parametrize("content, sentence", [(None, "does not exist"), (b"no database at all" * 100, "database")])
def test_the_command_refuses_a_wrong_file_with_a_sentence(
    tmp_path: Path, content: bytes | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "votes.sqlite3"
    if content:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        program.main([str(file)])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
