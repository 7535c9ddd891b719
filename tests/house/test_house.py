"""The house keeps its own measures (CONTRIBUTING): short functions, files that fit on a few screens."""

import ast
import io
import tokenize
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("dalle2", "dalle2_runner", "demo", "evaluation", "benchmarks")
LONGEST_FILE, LONGEST_FUNCTION, USUAL_FUNCTION = 350, 50, 25
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


class Function(NamedTuple):
    """A function or method, and how many lines of it hold code: neither blank, nor a comment, nor its docstring."""

    place: str
    name: str
    lines: int


def functions(source: str, place: str) -> Iterator[Function]:
    tree, code = ast.parse(source), set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            code.update(range(token.start[0], token.end[0] + 1))
    defined = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in defined:
        first = node.body[0]
        said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        silent = set(range(first.lineno, (first.end_lineno or 0) + 1)) if said else set()
        lines = code.intersection(range(node.lineno, (node.end_lineno or 0) + 1)) - silent
        yield Function(f"{place}:{node.lineno}", node.name, len(lines))


def files(room: str) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted((ROOT / room).rglob("*.py"))}


def test_only_lines_of_code_are_counted() -> None:
    source = 'def f(x):\n    """Say.\n\n    More.\n    """\n    # why\n\n    return g(\n        x,\n    )\n'
    assert list(functions(source, "here.py")) == [Function("here.py:1", "f", 4)]


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_is_long(room: str) -> None:
    assert {place: text.count("\n") for place, text in files(room).items() if text.count("\n") > LONGEST_FILE} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_functions_are_short_but_for_those_that_lay_out_a_tab(room: str) -> None:
    found = list(chain.from_iterable(functions(text, place) for place, text in files(room).items()))
    long = [one for one in found if one.lines > LONGEST_FUNCTION]
    assert [one for one in long if not (one.place.startswith("demo/tabs/") and one.name == "build")] == []
    lengths = sorted(one.lines for one in found)
    assert lengths[9 * len(lengths) // 10] <= USUAL_FUNCTION


def test_tests_lie_in_rooms() -> None:
    assert [path.name for path in (ROOT / "tests").glob("test_*.py")] == []
