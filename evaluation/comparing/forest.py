"""Paired differences as a forest plot: what is better to the right, intervals as lines, the zero line through all."""

from collections.abc import Sequence
from html import escape

from evaluation.comparing.comparison import Contest
from evaluation.reporting.report import digits

WIDTH, ROW, LEFT, RIGHT, TOP = 720, 26, 300, 90, 34
WORDS = (
    "Each row has its own scale, from its interval's farther end to zero: what counts is the side of the line, and "
    "whether the interval reaches over it. Marked rows are more than chance once all are counted."
)


def forest(contests: Sequence[Contest]) -> str:
    """Return the plot of the contests of two contestants as SVG; "" where there is none."""
    if not contests:
        return ""
    a, b, height = contests[0].a, contests[0].b, TOP + ROW * len(contests) + 8
    middle = (LEFT + WIDTH - RIGHT) / 2
    shapes = [
        f'<path class="axis" d="M{middle} {TOP - 6}V{height - 6}"/>',
        f'<text class="name" x="{middle - 12}" y="16" text-anchor="end">{escape(b)} better</text>',
        f'<text class="name" x="{middle + 12}" y="16">{escape(a)} better</text>',
    ]
    shapes += [_row(one, TOP + ROW * index + ROW / 2, middle) for index, one in enumerate(contests)]
    label = escape(f"Differences of {a} and {b} with their 95 % intervals")
    return (
        f'<div class="wide"><svg class="forest" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">'
        f'{"".join(shapes)}</svg></div><p class="quiet">{escape(WORDS)}</p>'
    )


def _row(contest: Contest, y: float, middle: float) -> str:
    sign = -1 if contest.better == "lower" else 1
    low, high = sorted(sign * end for end in contest.found.interval)
    mean, room = sign * contest.found.mean, (WIDTH - RIGHT - LEFT) / 2 - 8
    scale = room / (max(abs(low), abs(high), abs(mean)) or 1.0)
    ends = (middle + low * scale, middle + high * scale)
    kind = "c1" if contest.verdict in (contest.a, contest.b) else "c0"
    side = 10 if kind == "c1" else 7
    place = f'x="{middle + mean * scale - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side}" height="{side}"'
    tooltip = escape(f"{contest.label}: {digits(contest.found.mean)}, p = {contest.p_holm:.2g}, {contest.verdict}")
    name = f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(contest.label)}</text>'
    return (
        f"<g><title>{tooltip}</title>{name}"
        f'<path class="axis" d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}"/><rect class="{kind}" {place}/>'
        f'<text x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}">{digits(contest.found.mean)}</text></g>'
    )
