"""Small tables from outside as rows of text, each with its number: CSV (UTF-8 or GB18030) or Parquet, told by content.

A row is numbered as a spreadsheet shows it: the header is row 1. Rows without any cell are passed over, but counted.
Cells are text as it stands; Parquet's dates and booleans become what the CSV would say. Nothing is repaired: a table
that cannot be read without guessing is refused. Errors name file, row and column, never a value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, BinaryIO

from connectors.errors import ConnectorError
from connectors.objects import shown

DELIMITERS = (",", "\t", ";", "|")
PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class NumberedRow:
    """One row; ``cells`` maps column to text."""

    number: int
    cells: dict[str, str]


def read_rows(
    path: str, source: BinaryIO, *, required: Sequence[str], allowed: Sequence[str] | None
) -> list[NumberedRow]:
    """All rows. ``required`` columns must be there; with ``allowed`` no other may. At least one row."""
    raw = source.read()
    lines = _parquet(path, raw) if raw.startswith(PARQUET) else _csv(path, raw, required)
    number, columns = next(lines, (1, []))
    if not columns:
        raise ConnectorError("empty_file", f"{path}: the file is empty")
    _check_columns(path, number, columns, required, allowed)
    rows = [_row(path, number, columns, cells) for number, cells in lines]
    if not rows:
        raise ConnectorError("no_rows", f"{path}: there are no rows below the header")
    return rows


def decode(path: str, raw: bytes) -> tuple[str, str]:
    """Text and the name of its encoding: UTF-8 (a byte order mark is dropped), else GB18030, else refused.

    Source: GB 18030-2022 (mandatory in mainland systems); UTF-16 and damaged text are named, for they are common.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConnectorError("bad_encoding", f"{path}: the text is UTF-16; save it as UTF-8")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        for mark, what in (("\0", "a NUL character"), ("�", "replacement characters: an earlier conversion lost text")):
            if mark in text:
                line = text[: text.index(mark)].count("\n") + 1
                raise ConnectorError("damaged_text", f"{path}: line {line} holds {what}")
        return text, "utf-8" if encoding == "utf-8-sig" else encoding
    raise ConnectorError("bad_encoding", f"{path}: the text is neither UTF-8 nor GB18030")


def delimiter(line: str, required: Sequence[str] = ()) -> str:
    """The mark that parts the header line into the columns wanted, else the one that parts it most; a comma if none."""

    def fit(mark: str) -> tuple[int, int]:
        names = next(csv.reader([line], delimiter=mark), [])
        return len(set(required) & set(names)), len(names)

    return max(DELIMITERS, key=fit)


def _csv(path: str, raw: bytes, required: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    text, _ = decode(path, raw)
    # newline=None reads CR, LF and CRLF alike; a quoted cell's own line ends become LF.
    source = io.StringIO(text, newline=None)
    mark = delimiter(text.split("\n", 1)[0].rstrip("\r"), required)
    reader = csv.reader(source, strict=True, delimiter=mark)
    try:
        for number, cells in enumerate(reader, 1):
            if cells:
                yield number, cells
    except csv.Error:
        raise ConnectorError("bad_csv", f"{path}: line {reader.line_num} is not readable as CSV") from None


def _parquet(path: str, raw: bytes) -> Iterator[tuple[int, list[str]]]:
    # Loaded only here: every child of the sandbox that reads a CSV would pay for it otherwise.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(raw), use_threads=False)
    except (pa.ArrowException, OSError):
        raise ConnectorError("damaged_file", f"{path}: not readable as Parquet") from None
    columns = [str(name) for name in table.column_names]
    yield 1, columns
    number = 1
    for batch in table.to_batches(max_chunksize=4096):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            place = f"{path}: row {number}, column"
            yield number, [_cell(f"{place} {shown(c)}", value) for c, value in zip(columns, values, strict=True)]


def _cell(place: str, value: Any) -> str:
    """Text of a Parquet value; a kind whose text would be a guess (a float, a time with a zone) is refused."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)
        case datetime() if value.tzinfo is None and value == datetime(value.year, value.month, value.day):  # noqa: DTZ001
            return value.date().isoformat()
        case date() if not isinstance(value, datetime):
            return value.isoformat()
        case list() if all(isinstance(part, str) for part in value):
            return ";".join(value)
        case _:
            raise ConnectorError("bad_type", f"{place}: store text, whole numbers, dates or yes and no")


def _check_columns(
    path: str, number: int, columns: Sequence[str], required: Sequence[str], allowed: Sequence[str] | None
) -> None:
    place = f"{path}: row {number}"
    if len(set(columns)) != len(columns):
        twice = next(name for n, name in enumerate(columns) if name in columns[:n])
        raise ConnectorError("duplicate_column", f"{place}: the column {shown(twice[:40])} stands twice")
    for column in required:
        if column not in columns:
            raise ConnectorError("missing_column", f"{place}: the column {column} is missing")
    for column in columns if allowed is not None else ():
        if column not in (allowed or ()):
            raise ConnectorError("unknown_column", f"{place}: unknown column {shown(column[:40])}")


def _row(path: str, number: int, columns: Sequence[str], cells: Sequence[str]) -> NumberedRow:
    if len(cells) != len(columns):
        raise ConnectorError(
            "ragged_row", f"{path}: row {number} has {len(cells)} cells, the header has {len(columns)}"
        )
    return NumberedRow(number, dict(zip(columns, cells, strict=True)))
