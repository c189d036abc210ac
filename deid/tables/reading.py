"""Open a CSV or Parquet table from outside and keep only the listed columns.

Order: sniff by content, decode (UTF-8, else GB18030, else refuse; a file that mixes them is refused), check the
header, read block by block: text is never held for more than a block of rows, only its codes. Everything is read as
text, so that no tool guesses that an identifier is a number. Messages give a row and a column, never a value: the
errors of the parser underneath quote the row and are not passed on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from deid.errors import TableError
from deid.recipe import InputForm
from deid.tables.columnar import Codes, Column, Table, Value, recode

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"})
_PARQUET = b"PAR1"
_BLOCK = 1 << 18  # rows


def read_table(source: BinaryIO, *, columns: Sequence[str], form: InputForm, person: str = "") -> tuple[Table, Any]:
    """The listed columns as codes, and the ``person`` column as an Arrow array of text. Raises TableError."""
    return read_content(source.read(), columns=columns, form=form, person=person)


def read_content(content: bytes, *, columns: Sequence[str], form: InputForm, person: str = "") -> tuple[Table, Any]:
    """``read_table`` of bytes that are held already."""
    blocks = _blocks(content, columns, form)
    coders = {name: Coder() for name in columns if name != person}
    people: list[Any] = []
    for block in blocks:
        for name, coder in coders.items():
            coder.add(block.column(name))
        if person:  # the names of people are as many as the rows: they are never made codes of distinct values
            people.append(block.column(person))
    read = {name: coder.column() for name, coder in coders.items()}
    ids = pa.chunked_array(people, pa.string()).combine_chunks() if person else None
    rows = len(ids) if ids is not None else len(next(iter(read.values())).codes)
    return Table(columns=read, rows=np.arange(1, rows + 1, dtype=np.int64)), ids


def read_texts(content: bytes, *, columns: Sequence[str], form: InputForm) -> list[Any]:
    """The listed columns as Arrow arrays of text, in the order listed. Raises TableError."""
    blocks = [[block.column(name) for name in columns] for block in _blocks(content, columns, form)]
    return [pa.chunked_array([block[at] for block in blocks], pa.string()) for at in range(len(columns))]


def _blocks(content: bytes, columns: Sequence[str], form: InputForm) -> Iterator[Any]:
    _refuse_empty(content)
    return _parquet_blocks(content, columns) if content[:4] == _PARQUET else _csv_blocks(content, columns, form)


class Coder:
    """One column, block by block, as codes into its distinct values."""

    def __init__(self) -> None:
        self.place: dict[Value, int] = {}
        self.blocks: list[Codes] = []

    def add(self, cells: Any) -> None:
        """The next cells, an Arrow array; text once a distinct value, not once a cell."""
        encoded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode(null_encoding="encode")
        values = encoded.dictionary.cast(pa.string()).to_pylist()
        known = self.place
        moved = np.array([known.setdefault(value, len(known)) for value in values], np.int32)
        self.blocks.append(moved[encoded.indices.to_numpy(zero_copy_only=False)])

    def column(self, missing: frozenset[str] = MISSING) -> Column:
        """All of it; what stands for a missing value is one."""
        values = [None if value is None or value in missing else value for value in self.place]
        codes = np.concatenate(self.blocks) if self.blocks else np.zeros(0, np.int32)
        self.blocks = []
        return recode(codes, values)


def column_names(content: bytes, form: InputForm) -> list[str]:
    """The columns a table has. Raises TableError where its header cannot be read."""
    _refuse_empty(content)
    if content[:4] != _PARQUET:
        return _header(decode(content, form.encoding), form)
    try:
        return list(pq.ParquetFile(pa.BufferReader(content)).schema_arrow.names)
    except (pa.ArrowException, OSError):
        raise TableError("table: not a readable Parquet file; it may be cut short", code="table_unreadable") from None


def _refuse_empty(content: bytes) -> None:
    if not content:
        raise TableError("table: the file is empty; check that it was written to its end", code="table_empty")


def _parquet_blocks(content: bytes, columns: Sequence[str]) -> Iterator[Any]:
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _check_header(file.schema_arrow.names, columns)
        for name in columns:
            _refuse_nested(file.schema_arrow.field(name).type, name)
        empty = pa.RecordBatch.from_pylist([], pa.schema([(name, pa.string()) for name in columns]))
        yield empty
        for batch in file.iter_batches(batch_size=_BLOCK, columns=list(columns)):
            yield pa.table({name: _plain(batch.column(name)) for name in columns}).combine_chunks().to_batches()[0]
    except (pa.ArrowException, OSError):
        raise TableError("table: not a readable Parquet file; it may be cut short", code="table_unreadable") from None


def _plain(cells: Any) -> Any:
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    # Text of each distinct number, not of each cell.
    if pa.types.is_string(cells.type):
        return cells
    encoded = cells.dictionary_encode(null_encoding="encode")
    return encoded.dictionary.cast(pa.string()).take(encoded.indices)


def _refuse_nested(kind: Any, name: str) -> None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise TableError(f"table, column {name!r}: lists, structs and bytes are not columns of a table of people")


def _csv_blocks(content: bytes, columns: Sequence[str], form: InputForm) -> Iterator[Any]:
    text = decode(content, form.encoding)
    names = _header(text, form)
    _check_header(names, columns)
    quote = b'"'
    if text.count(quote) % 2:  # the parser would take every row after an open quote for one cell
        raise TableError(
            f"table, line {_line(text, text.rindex(quote))} or before: a quote is opened and not closed; close it, "
            "and double a quote that stands inside a cell",
            code="table_ragged",
        )
    bad: list[int] = []

    def refuse(row: Any) -> str:
        bad.append(int(row.number))
        return "error"

    schema = pa.schema([(name, pa.string()) for name in columns])
    yield pa.RecordBatch.from_pylist([], schema)
    try:
        # One thread: only then does the parser know the number of a ragged row.
        yield from pa.csv.open_csv(
            pa.BufferReader(text),
            read_options=pa.csv.ReadOptions(use_threads=False, encoding="utf8", block_size=1 << 24),
            parse_options=pa.csv.ParseOptions(
                delimiter=form.delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=list(columns),
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowException:
        # The parser counts the header as row 1.
        place = f"data row {bad[0] - 1}" if bad else "some row"
        raise TableError(
            f"table, {place}: the number of fields differs from the header, or a quote is not closed",
            code="table_ragged",
        ) from None


def decode(content: bytes, encoding: str = "auto") -> bytes:
    """The same text in UTF-8 without a byte-order mark. Raises TableError naming the line that does not decode."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TableError("table: UTF-16 text; save it as UTF-8", code="table_encoding")
    if b"\0" in content:
        raise TableError(f"table, line {_line(content, content.index(0))}: a zero byte; this is not text")
    try:
        if encoding in ("auto", "utf-8"):
            check_utf8(content)
            return content.removeprefix(b"\xef\xbb\xbf")
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            place = _line(content, error.start)
            raise TableError(f"table, line {place}: not UTF-8", code="table_encoding") from None
    if encoding == "auto":
        _refuse_mixture(content)
    try:
        return content.decode("gb18030").encode()
    except UnicodeDecodeError as error:
        raise TableError(
            f"table, line {_line(content, error.start)}: neither UTF-8 nor GB18030; save the file as UTF-8",
            code="table_encoding",
        ) from None


def check_utf8(content: bytes, step: int = 1 << 24) -> None:
    """Raise UnicodeDecodeError with the place in ``content`` where it is not UTF-8; no whole copy is made."""
    at = 0
    while at < len(content):
        end = min(at + step, len(content))
        while end < len(content) and end > at and content[end] & 0xC0 == 0x80:  # not inside a character
            end -= 1
        end = end if end > at else min(at + step, len(content))
        try:
            content[at:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnicodeDecodeError("utf-8", content, at + error.start, at + error.end, error.reason) from None
        at = end


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _refuse_mixture(content: bytes) -> None:
    """Refuse a file with lines in both encodings: GB18030 would read UTF-8 lines as other characters, unseen."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.isascii() or not _surely_utf8(line):
            continue
        raise TableError(
            f"table, line {number}: UTF-8 in a file that is otherwise GB18030; save the whole file as UTF-8",
            code="table_encoding",
        )


def _surely_utf8(line: bytes) -> bool:
    """Valid UTF-8 made of CJK characters only: GB18030 text that looks so by chance is all but impossible."""
    try:
        beyond = [character for character in line.decode("utf-8") if ord(character) > 127]
    except UnicodeDecodeError:
        return False
    return all(0x2E80 <= ord(character) <= 0xFFEF or ord(character) >= 0x20000 for character in beyond)


def _header(text: bytes, form: InputForm) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")
    try:
        return next(csv.reader(stream, delimiter=form.delimiter), [])
    except csv.Error:
        raise TableError("table, header: not a line of column names") from None


def _check_header(names: Sequence[str], columns: Sequence[str]) -> None:
    for number, name in enumerate(names, start=1):
        if name in names[: number - 1]:
            raise TableError(f"table, header: column {number} repeats the name of another column", code="table_header")
    for name in columns:
        if name not in names:
            raise TableError(
                f"table: the recipe names column {name!r}, which the table does not have; "
                "check the spelling, the delimiter and the header line",
                code="table_column_missing",
            )
