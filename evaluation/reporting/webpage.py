"""Reports as one self-contained HTML page: light and dark, nothing fetched, every text escaped."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

STYLE = Path(__file__).with_suffix(".css")


def page(title: str, *sections: str) -> str:
    """Return the whole document around sections of HTML."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a part of the page under its own heading."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def text(words: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(words)}</p>"


def table(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[int] = (),
    best: Iterable[tuple[int, int]] = (),
) -> str:
    """Return a table; the columns `numbers` stand to the right, the cells (row, column) in `best` are marked."""
    marked = set(best)

    def attribute(column: int, row: int | None = None) -> str:
        names = ["number"] * (column in numbers) + ["best"] * ((row, column) in marked)
        return f' class="{" ".join(names)}"' if names else ""

    head = "".join(f'<th scope="col"{attribute(column)}>{escape(name)}</th>' for column, name in enumerate(names))
    body = "\n".join(
        "<tr>" + "".join(f"<td{attribute(column, i)}>{escape(cell)}</td>" for column, cell in enumerate(row)) + "</tr>"
        for i, row in enumerate(rows)
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def notes(warnings: Iterable[str]) -> list[str]:
    """Return the warnings, one box each."""
    return [f'<p class="note">{escape(warning)}</p>' for warning in warnings]


def command(line: str) -> str:
    """Return the command that a reader can type."""
    return f"<pre><code>{escape(line)}</code></pre>"


def gallery(pictures: Iterable[tuple[Image.Image, str]], side: int) -> str:
    """Lay out pictures of at most `side` pixels, each with its caption."""
    figures = (
        f"<figure>{picture(image, caption, side)}<figcaption>{escape(caption)}</figcaption></figure>"
        for image, caption in pictures
    )
    return f'<div class="gallery" style="--side: {side}px">{"".join(figures)}</div>'


def provenance(facts: Iterable[tuple[str, str]], summary: str = "Provenance") -> str:
    """Return names and values, folded away until they are asked for."""
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<details><summary>{escape(summary)}</summary>\n<dl>\n{rows}\n</dl>\n</details>"


def zoomed(image: Image.Image, alt: str, side: int) -> str:
    """Return the picture as one that fills the window while it is pressed, without a script."""
    label = escape(f"Show large: {alt}")
    return f'<label class="zoom"><input type="checkbox" aria-label="{label}">{picture(image, alt, side)}</label>'


def picture(image: Image.Image, alt: str, side: int) -> str:
    """Return the picture inside the page, its longer side at most `side` pixels."""
    image = image.convert("RGB")
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, format="WEBP", quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    width, height = image.size
    return f'<img src="data:image/webp;base64,{data}" alt="{escape(alt)}" width="{width}" height="{height}">'
