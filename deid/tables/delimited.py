"""A released table as CSV that a spreadsheet cannot be made to run.

Text that begins like a formula (``=``, ``+``, ``-``, ``@``, tab, carriage return) gets an apostrophe before it, column
names too; numbers stay numbers (OWASP, CSV injection). UTF-8 without a byte-order mark, commas, ``\\n`` line ends,
quotes only where they are needed: equal tables, equal bytes.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")


def csv_bytes(table: Any) -> bytes:
    """The whole CSV file of an Arrow table; a missing value is an empty cell."""
    held = io.StringIO(newline="")
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow([_tame(name) for name in table.column_names])
    columns = [_cells(table.column(name)) for name in table.column_names]
    writer.writerows(zip(*columns, strict=True))
    return held.getvalue().encode()


def _cells(column: Any) -> list[str]:
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    values = ["" if value is None else _tame(str(value)) for value in encoded.dictionary.to_pylist()]
    return [values[code] for code in encoded.indices.to_pylist()]


def _tame(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text
