"""Tables from files, by one convention for CSV, TSV, JSON, JSON lines, Parquet and plain text.

Text is UTF-8, with or without a byte order mark, or UTF-16 with one. A row has as many values as there are columns, a
quote that is opened is closed, and there are no NUL bytes. Anything else is refused, and its file and line are named.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

CAPTION = "caption"  # what the only column of a text file is called

Rows = list[tuple[str, Mapping[str, Any]]]  # where each row stands, as "list.csv, line 4", and its cells

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_QUOTED = re.compile('"((?:[^"]|"")*)"')


def read_table(file: Path, columns: Callable[[list[str]], Iterable[str]] = list) -> Rows:
    """Read the rows of a .csv, .tsv, .jsonl, .json, .parquet or .txt file, in order, each with its place.

    A .json file is a list of tables or of texts. A .txt file has a text a line, blank lines left out; a text alone is
    the column `CAPTION`.

    Args:
        columns: from the names of a Parquet file's columns those that are read, for pictures may be among them.

    Raises:
        ValueError: the file is malformed.
    """
    match file.suffix.lower():
        case ".csv":
            return read_csv(file)
        case ".tsv":
            return _with_header(file, _tsv_lines(file), "a row is a line, with a tab between values")
        case ".jsonl":
            return _json_lines(file)
        case ".json":
            return _json_list(file)
        case ".txt":
            return [(where, {CAPTION: line}) for where, line in _lines(file) if line.strip()]
    return _parquet(file, columns)


def read_csv(file: Path) -> Rows:
    """Read as `read_table`, whatever the file's ending."""
    return _with_header(file, _csv_lines(file), "a value with commas stands in quotes")


def read_text(file: Path) -> str:
    """Return the text without its byte order mark, line ends kept; ValueError for another encoding and NUL bytes."""
    data = file.read_bytes()
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    try:
        text = data[len(mark) :].decode(_MARKS.get(mark, "utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, len(mark) + error.start) + 1
        raise ValueError(
            f"{file}, line {line}: the byte 0x{error.object[error.start]:02x} is not {error.encoding.upper()}: save "
            "the file as text in UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{file}, line {line} has a NUL byte: save the file as text in UTF-8.")
    return text


def read_json(file: Path) -> Any:
    """Read a JSON file; ValueError when it is not JSON."""
    if not file.is_file():
        raise ValueError(f"There is no file {file}.")
    return _parsed(read_text(file), f"{file} is not JSON, perhaps because a download broke off")


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what}: {error}.") from error


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """Lines without their ends; a mark at the beginning of one comes from files that were joined."""
    for number, line in enumerate(io.StringIO(read_text(file), newline=None), 1):
        yield f"{file}, line {number}", line.removesuffix("\n").removeprefix("\ufeff")


def _csv_lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    # newline="" because a quoted value may hold line breaks
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    while True:
        where = f"{file}, line {reader.line_num + 1}"
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{where} is not CSV ({error}): a value with commas or quotes stands in quotes, and quotes within it "
                "are doubled."
            ) from error
        if values is None:
            return
        if values:
            yield where, values


def _tsv_lines(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Values between tabs. Quotes are text, as in PartiPrompts, unless all of a value is quoted, as by spreadsheets."""
    for where, line in _lines(file):
        if line.strip():
            yield where, [_unquoted(value) for value in line.split("\t")]


def _unquoted(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return value if quoted is None else quoted[1].replace('""', '"')


def _with_header(file: Path, lines: Iterator[tuple[str, list[str]]], advice: str) -> Rows:
    _, header = next(lines, ("", []))
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise ValueError(f"{file} has two columns {twice!r}: rename one.")
    rows = []
    for where, values in lines:
        if len(values) != len(header):
            raise ValueError(f"{where} has {len(values)} values for {len(header)} columns: {advice}.")
        rows.append((where, dict(zip(header, values, strict=True))))
    return rows


def _json_lines(file: Path) -> Rows:
    rows = []
    for where, line in _lines(file):
        if not line.strip():
            continue
        row = _parsed(line, f"{where} is not JSON")
        if not isinstance(row, dict):
            raise ValueError(f"{where} is not a table of names and values.")
        rows.append((where, row))
    return rows


def _json_list(file: Path) -> Rows:
    found = read_json(file)
    if not isinstance(found, list):
        raise ValueError(
            f"{file} is not a list of tables or of texts: files of COCO and of Karpathy's split are named coco:{file} "
            f"and karpathy:{file}."
        )
    rows = []
    for number, row in enumerate(found):
        where = f"{file}, entry {number}"
        if isinstance(row, str):
            row = {CAPTION: row}
        if not isinstance(row, dict):
            raise ValueError(f"{where} is neither a table of names and values nor a text.")
        rows.append((where, row))
    return rows


def _parquet(file: Path, columns: Callable[[list[str]], Iterable[str]]) -> Rows:
    try:
        table = pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} is not a Parquet file, perhaps because a download broke off: {error}.") from error
    wanted = list(columns(table.schema_arrow.names))
    try:
        rows = [row for batch in table.iter_batches(columns=wanted) for row in batch.to_pylist()]
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read to its end: {error}.") from error
    return [(f"{file}, row {number}", row) for number, row in enumerate(rows)]
