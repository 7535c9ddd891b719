"""A comparison as one HTML page: verdicts, tables, the guidance curve, and the pictures that differ most."""

from collections.abc import Callable, Sequence
from html import escape

from dalle2.images import open_picture
from evaluation.comparing.comparison import Comparison, Contest, Point, Scene
from evaluation.comparing.contestants import Contestant
from evaluation.comparing.curves import curves
from evaluation.comparing.forest import forest
from evaluation.comparing.tables import tables
from evaluation.reporting import webpage
from evaluation.reporting.report import digits, flat

PICTURE, LARGE = 200, 512  # pixels a side at most: as it stands, and pressed; a page of 24 prompts stays small
WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 720, 400, 76, 56, 24
COLOURS = 6  # of the style sheet

Place = Callable[[float], float]


def to_html(comparison: Comparison, above_all: Sequence[str] | None = None) -> str:
    """Return the page; nothing is fetched from elsewhere, and names and captions are escaped.

    `above_all` is what it begins with, None for the verdicts.
    """
    verdicts = [f'<p class="verdict">{escape(sentence)}</p>' for sentence in comparison.summary]
    parts = verdicts if above_all is None else list(above_all)
    for table in tables(comparison):
        best = _best(comparison) if table.key == "measures" else ()
        above = [_plot(comparison), *curves(comparison)] if table.key == "sweep" else []
        above += [forest(_between(comparison, table.pair))] if table.pair else []
        below = webpage.notes(comparison.warnings) if table.key == "measures" else []
        shown = webpage.table(table.columns, table.rows, table.numbers, best)
        parts.append(webpage.section(table.heading, *above, shown, *below))
    if comparison.scenes:
        contestants = [measured.contestant for measured in comparison.contestants]
        scenes = "".join(_scene(scene, contestants) for scene in comparison.scenes)
        words = webpage.text(
            "Same prompt, same seed. The number under a picture is its CLIP score; the highest of a prompt is marked. "
            "Press a picture to see it large."
        )
        grid = f'<div class="scenes" style="--n: {len(contestants)}">{scenes}</div>'
        parts.append(webpage.section(f"The {len(comparison.scenes)} prompts in which they differ most", words, grid))
    parts.append(webpage.provenance(flat(comparison.provenance)))
    return webpage.page(comparison.title, *parts)


def _between(comparison: Comparison, pair: tuple[str, str]) -> list[Contest]:
    return [one for one in comparison.contests if (one.a, one.b) == pair]


def _best(comparison: Comparison) -> list[tuple[int, int]]:
    """Return the cells of the table of measures that win by more than chance against all others of their row.

    What is not tested has no winner.
    """
    names = [measured.contestant.name for measured in comparison.contestants]
    cells = []
    for row, (measure, found) in enumerate(comparison.measure_rows()):
        values = [one.value for one in found if one is not None]
        if not measure.better or len(values) < len(names):
            continue
        winner = names[values.index(max(values) if measure.better == "higher" else min(values))]
        contests = [one for one in comparison.contests if one.key == measure.key and winner in (one.a, one.b)]
        if len(contests) == len(names) - 1 and all(one.verdict == winner for one in contests):
            cells.append((row, 1 + names.index(winner)))
    return cells


def _scene(scene: Scene, contestants: Sequence[Contestant]) -> str:
    figures = []
    best = max(scene.scores)
    for contestant, file, score in zip(contestants, scene.files, scene.scores, strict=True):
        image = webpage.zoomed(open_picture(file), f"{contestant.name}: {scene.caption}", LARGE)
        mark = ' class="best"' if score == best else ""
        caption = f"<figcaption>{escape(contestant.name)} <b{mark}>{score:.1f}</b></figcaption>"
        figures.append(f"<figure>{image}{caption}</figure>")
    words = f"<p>{escape(scene.caption)} <small>seed {scene.seed}</small></p>"
    return f'<article class="scene">{words}<div class="side">{"".join(figures)}</div></article>'


def _plot(comparison: Comparison) -> str:
    """Distance to the right, CLIP score upwards: the best corner is the upper left; the front is a line."""
    points = comparison.sweep
    across = _scale([point.distance for point in points], LEFT, WIDTH - MARGIN)
    up = _scale([point.score for point in points], HEIGHT - BOTTOM, MARGIN)
    names = list(dict.fromkeys(point.contestant for point in points))
    front = sorted((point for point in points if point.front), key=lambda point: point.distance)
    shapes = [_axes(points, across, up, comparison.distance)]
    line = " ".join(f"{across(point.distance):.1f},{up(point.score):.1f}" for point in front)
    shapes.append(f'<polyline class="front" points="{line}"/>')
    for point in points:
        x, y = across(point.distance), up(point.score)
        kind = names.index(point.contestant) % COLOURS
        radius = 6 if point.front else 4
        label = escape(point.guidance or (f"{point.steps} steps" if point.steps else "its own"))
        anchor, shift = ("end", -9) if x > WIDTH * 0.8 else ("start", 9)
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
        shapes.append(f'<circle class="c{kind}" {place}><title>{escape(point.name)}</title></circle>')
        shapes.append(f'<text x="{x + shift:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}">{label}</text>')
    keys = "".join(f'<li class="c{index % COLOURS}">{escape(name)}</li>' for index, name in enumerate(names))
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="CLIP score over {escape(comparison.distance)}">{"".join(shapes)}</svg></div>'
        f'<ul class="keys">{keys}<li class="front">Pareto front</li></ul>'
    )


def _scale(values: Sequence[float], start: float, end: float):
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room

    def place(value: float) -> float:
        return start + (value - low) / (high - low) * (end - start)

    return place


def _axes(points: Sequence[Point], across: Place, up: Place, distance: str) -> str:
    """Two lines, the extreme values on each, and what they are."""
    left, right = min(p.distance for p in points), max(p.distance for p in points)
    low, high = min(p.score for p in points), max(p.score for p in points)
    floor = HEIGHT - BOTTOM
    parts = [
        f'<path class="axis" d="M{LEFT} {MARGIN}V{floor}H{WIDTH - MARGIN}"/>',
        f'<text class="name" x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
        f"{escape(distance)} (lower is better)</text>",
        f'<text class="name" transform="translate(18 {floor / 2 + 12}) rotate(-90)" text-anchor="middle">'
        "CLIP score (higher is better)</text>",
    ]
    for value in dict.fromkeys((left, right)):
        parts.append(f'<text x="{across(value):.1f}" y="{floor + 20}" text-anchor="middle">{digits(value)}</text>')
    for value in dict.fromkeys((low, high)):
        parts.append(f'<text x="{LEFT - 8}" y="{up(value) + 4:.1f}" text-anchor="end">{digits(value)}</text>')
    return "".join(parts)
