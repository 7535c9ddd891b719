"""A comparison as tables: ready to be printed or put on a page, as Markdown, and as CSV."""

import csv
import io
from collections.abc import Iterator
from itertools import combinations

from evaluation.comparing.comparison import Comparison, Contest, Table
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import digits, flat, markdown_table

COLUMNS = ("kind", "key", "label", "a", "b", "value", "low", "high", "n", "p", "p_holm", "wins", "losses", "verdict")
ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def tables(comparison: Comparison) -> Iterator[Table]:
    """Return all tables that are not empty."""
    names = tuple(measured.contestant.name for measured in comparison.contestants)
    rows = [
        (first.label + ARROWS[first.better], *map(interval_text, found)) for first, found in comparison.measure_rows()
    ]
    yield Table("measures", "Measures", ("measure", *names), rows, tuple(range(1, 1 + len(names))))
    for a, b in combinations(names, 2):
        rows = [_difference(contest) for contest in comparison.contests if (contest.a, contest.b) == (a, b)]
        columns = ("measure", "difference", "95% interval", "p (Holm)", "won", "better")
        if rows:
            yield Table("differences", f"Paired differences: {a} − {b}", columns, rows, (1, 2, 3), (a, b))
    if comparison.likenesses:
        yield _likenesses(comparison)
    if comparison.sweep:
        yield _sweep(comparison)
    if comparison.votes:
        yield _votes(comparison)


def to_markdown(comparison: Comparison) -> str:
    """Return verdicts, tables, warnings and provenance, without the pictures."""
    lines = [f"# {comparison.title}", "", *(f"- {sentence}" for sentence in comparison.summary), ""]
    for table in tables(comparison):
        lines += [f"## {table.heading}", "", *markdown_table(table.columns, table.rows), ""]
    lines += [f"> **Note** {warning}\n" for warning in comparison.warnings]
    lines += ["## Provenance", "", *markdown_table(("fact", "value"), list(flat(comparison.provenance)))]
    return "\n".join(lines) + "\n"


def to_csv(comparison: Comparison) -> str:
    """Return a row a measure, a difference, a likeness or a count of votes; `kind` says which."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(comparison))
    return text.getvalue()


def interval_text(measure: Measure | None) -> str:
    """Return the value, and its interval in brackets."""
    if measure is None:
        return "–"
    return digits(measure.value) + bounds(measure.interval)


def bounds(interval: tuple[float, float] | None) -> str:
    """Return an interval in brackets, after a space; "" for none."""
    return "" if interval is None else f" ({' … '.join(map(digits, interval))})"


def _difference(contest: Contest) -> tuple[str, ...]:
    return (
        contest.label,
        digits(contest.found.mean),
        " … ".join(map(digits, contest.found.interval)),
        f"{contest.p_holm:.3g}",
        contest.score,
        contest.verdict,
    )


def _likenesses(comparison: Comparison) -> Table:
    rows = [
        (f"{pair.a} and {pair.b}", digits(pair.ssim), digits(pair.psnr), f"{pair.identical:,} of {pair.n:,}")
        for pair in comparison.likenesses
    ]
    columns = ("pair", "SSIM", "PSNR in dB", "identical")
    return Table("likenesses", "How alike the pictures are", columns, rows, (1, 2, 3))


def _sweep(comparison: Comparison) -> Table:
    rows = [
        (
            point.name,
            digits(point.distance) + bounds(point.distance_interval),
            digits(point.score) + bounds(point.score_interval),
            "yes" if point.front else "",
        )
        for point in comparison.sweep
    ]
    columns = ("contestant and settings", f"{comparison.distance} ↓", "CLIP score ↑", "Pareto front")
    return Table("sweep", "Guidance and steps", columns, rows, (1, 2, 3))


def _votes(comparison: Comparison) -> Table:
    rows = [
        (
            vote.question,
            f"{vote.a} against {vote.b}",
            f"{vote.wins:,} : {vote.losses:,}, {vote.ties:,} ties",
            f"{vote.share:.0%} ({vote.interval[0]:.0%} … {vote.interval[1]:.0%})",
            f"{vote.p_holm:.3g}",
        )
        for vote in comparison.votes
    ]
    columns = ("question", "pair", "votes", "won by the first", "p (Holm)")
    return Table("votes", "Human votes", columns, rows, (1, 2, 3))


def _rows(comparison: Comparison) -> Iterator[dict[str, object]]:
    row: dict[str, object]
    for measured in comparison.contestants:
        for one in measured.measures:
            low, high = one.interval or ("", "")
            row = {"kind": "measure", "key": one.key, "label": one.label, "a": measured.contestant.name}
            yield row | {"value": one.value, "low": low, "high": high, "n": one.n}
    for contest in comparison.contests:
        found = contest.found
        row = {"kind": "difference", "key": contest.key, "label": contest.label, "a": contest.a, "b": contest.b}
        row |= {"value": found.mean, "low": found.interval[0], "high": found.interval[1], "n": found.n, "p": found.p}
        row |= {"p_holm": contest.p_holm, "wins": found.wins, "losses": found.losses, "verdict": contest.verdict}
        yield row
    for pair in comparison.likenesses:
        for key, label, value in (("ssim", "SSIM", pair.ssim), ("psnr", "PSNR in dB", pair.psnr)):
            row = {"kind": "likeness", "key": key, "label": label, "a": pair.a, "b": pair.b}
            yield row | {"value": value, "n": pair.n}
    for vote in comparison.votes:
        row = {"kind": "votes", "key": vote.question, "label": vote.question, "a": vote.a, "b": vote.b}
        row |= {"value": vote.share, "low": vote.interval[0], "high": vote.interval[1]}
        row |= {"n": vote.wins + vote.losses + vote.ties, "p_holm": vote.p_holm}
        yield row | {"wins": vote.wins, "losses": vote.losses}
