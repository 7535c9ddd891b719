"""Distance and CLIP score over what a sweep went through, guidance or steps: a line a contestant, with intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from evaluation.comparing.comparison import Comparison
from evaluation.reporting.report import digits

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 720, 260, 76, 52, 24
COLOURS = 6  # of the style sheet
Place = Callable[[float], float]


@dataclass(frozen=True)
class Dot:
    """A value of a contestant at one of the settings, or steps, that a curve goes through."""

    contestant: str
    at: str
    value: float
    low: float
    high: float


def curves(comparison: Comparison) -> Iterator[str]:
    """Yield the plots as SVG; nothing for an option that was not swept."""
    distance, score = f"{comparison.distance} (lower is better)", "CLIP score (higher is better)"
    for option, what in (("guidance", "guidance scale"), ("steps", "steps")):
        swept = [point for point in comparison.sweep if getattr(point, option)]
        if len({getattr(point, option) for point in swept}) > 1:
            for key, title in (("distance", distance), ("score", score)):
                dots = []
                for point in swept:
                    value = getattr(point, key)
                    low, high = getattr(point, f"{key}_interval") or (value, value)
                    dots.append(Dot(point.contestant, getattr(point, option), value, low, high))
                names = list(dict.fromkeys(point.contestant for point in comparison.sweep))
                yield plot(dots, names, title, what)


def plot(dots: Sequence[Dot], names: Sequence[str], title: str, what: str) -> str:
    """Return a plot; settings stand at even distances, in the order given, since one may be of several stages."""
    settings = list(dict.fromkeys(dot.at for dot in dots))
    low, high = min(dot.low for dot in dots), max(dot.high for dot in dots)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    floor, step = HEIGHT - BOTTOM, (WIDTH - LEFT - 2 * MARGIN) / (len(settings) - 1)
    across = {at: LEFT + MARGIN + step * place for place, at in enumerate(settings)}

    def up(value: float) -> float:
        return floor - (value - low + room) / (high - low + 2 * room) * (floor - MARGIN)

    shapes = [
        f'<path class="axis" d="M{LEFT} {MARGIN}V{floor}H{WIDTH - MARGIN / 2}"/>',
        f'<text class="name" x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(what)}</text>',
        f'<text class="name" x="{LEFT}" y="{MARGIN - 8}">{escape(title)}</text>',
    ]
    shapes += [
        f'<text x="{x:.1f}" y="{floor + 20}" text-anchor="middle">{escape(at)}</text>' for at, x in across.items()
    ]
    ends = dict.fromkeys((low, high))
    shapes += [f'<text x="{LEFT - 8}" y="{up(end) + 4:.1f}" text-anchor="end">{digits(end)}</text>' for end in ends]
    for number, name in enumerate(names):
        own = [(across[dot.at], dot) for dot in dots if dot.contestant == name]
        shapes.append(_line(own, up, number % COLOURS))
    label, drawn = escape(f"{title} over {what}"), "".join(shapes)
    return f'<div class="wide"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{drawn}</svg></div>'


def _line(dots: Sequence[tuple[float, Dot]], up: Place, colour: int) -> str:
    """Return one contestant's line, its points, and their intervals as bars."""
    path = " ".join(f"{x:.1f},{up(dot.value):.1f}" for x, dot in dots)
    bars = "".join(f"M{x:.1f} {up(dot.low):.1f}V{up(dot.high):.1f}" for x, dot in dots)
    points = "".join(
        f'<circle cx="{x:.1f}" cy="{up(dot.value):.1f}" r="4"><title>{digits(dot.value)}</title></circle>'
        for x, dot in dots
    )
    return f'<g class="curve c{colour}"><polyline points="{path}"/><path d="{bars}"/>{points}</g>'
