"""A leaderboard as one HTML page that needs no network, or as Markdown."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from evaluation.measuring.leaderboard import Board, Cell, Column, Leaderboard, Model
from evaluation.reporting import webpage
from evaluation.reporting.report import ARROWS, digits, markdown_notes, markdown_table, write_text

SORT = Path(__file__).with_name("leaderboard.js")
WORDS = (
    "Press a column's name to sort by it; the arrow says which way is better. Intervals are 95 %. Whether two of them "
    "differ by more than chance is told by evaluation.compare, which draws both from the same prompts and seeds."
)


def write(found: Leaderboard, path: Path) -> Path:
    """Write the leaderboard in the format of the suffix; ValueError for another one."""
    formats = {".html": to_html, ".md": to_markdown}
    if path.suffix.lower() not in formats:
        raise ValueError(f"A leaderboard is written as {', '.join(formats)}: give {path.name!r} one of these endings.")
    return write_text(path, formats[path.suffix.lower()](found))


def to_html(found: Leaderboard) -> str:
    """Return the page; names are escaped."""
    boards = [
        webpage.section(board.heading, _table(board, found.licences), _how(board.columns)) for board in found.boards
    ]
    script = f"<script>\n{SORT.read_text(encoding='utf-8')}</script>"
    return webpage.page(found.title, webpage.text(WORDS), *boards, *webpage.notes(found.notes), script)


def to_markdown(found: Leaderboard) -> str:
    """Return the tables, each sorted by its first column."""
    lines = [f"# {found.title}", ""]
    for board in found.boards:
        columns = board.columns
        names = ("model", "settings", *(_label(column) for column in columns), "licence")
        rows = [
            (model.name, model.how, *(_text(cells.get(column)) for column in columns), found.licences.get(model) or "–")
            for model, cells in _sorted(board)
        ]
        lines += [f"## {board.heading}", "", *markdown_table(names, rows), ""]
        lines += [f"- {_label(column)}: {column.how}" for column in columns if column.how] + [""]
    return "\n".join([*lines, *markdown_notes(found.notes)]) + "\n"


def _sorted(board: Board) -> list[tuple[Model, dict[Column, Cell]]]:
    """Return the rows by their first column, the best first, and those without it last."""
    first = board.columns[0]
    sign = -1 if first.better == "higher" else 1

    def place(row: tuple[Model, dict[Column, Cell]]) -> tuple[bool, float, Model]:
        cell = row[1].get(first)
        return cell is None, 0.0 if cell is None else sign * cell.measure.value, row[0]

    return sorted(((model, dict(cells)) for model, cells in board.rows.items()), key=place)


def _table(board: Board, licences: Mapping[Model, str]) -> str:
    columns = board.columns
    named = [_heading(_label(column), column.better, column.how) for column in columns]
    head = "".join([_heading("model", ""), *named, _heading("licence", "")])
    rows = []
    for model, cells in _sorted(board):
        name = f"{escape(model.name)}<small>{escape(model.how)}</small>"
        licence = f"<td>{escape(licences.get(model) or '–')}</td>"
        shown = "".join(_cell(cells.get(column)) for column in columns)
        rows.append(f'<tr><th scope="row">{name}</th>{shown}{licence}</tr>')
    return (
        f'<div class="wide"><table class="sortable">\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _heading(label: str, better: str, title: str = "") -> str:
    kind = ' class="number"' if better else ""
    return (
        f'<th scope="col"{kind} data-better="{better}"><button type="button" title="{escape(title)}">'
        f"{escape(label)}</button></th>"
    )


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return '<td class="number">–</td>'
    one = cell.measure
    interval = "" if one.interval is None else f"<small>{digits(one.interval[0])} … {digits(one.interval[1])}</small>"
    tooltip = escape(f"n = {one.n:,}; {cell.file}, {cell.date[:10]}")
    return f'<td class="number" data-value="{one.value!r}" title="{tooltip}">{digits(one.value)}{interval}</td>'


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    one = cell.measure
    return digits(one.value) + ("" if one.interval is None else f" ({' … '.join(map(digits, one.interval))})")


def _label(column: Column) -> str:
    return f"{column.label} {ARROWS[column.better]}".strip()


def _how(columns: Sequence[Column]) -> str:
    return webpage.provenance([(_label(one), one.how) for one in columns if one.how], "How each column was taken")
