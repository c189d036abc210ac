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

import pyarrow as pa
import pyarrow.parquet as pq

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")


def csv_bytes(parquet: bytes) -> bytes:
    """The whole CSV file of a Parquet file, block by block; a missing value is an empty cell."""
    file, held = pq.ParquetFile(pa.BufferReader(parquet)), io.BytesIO()
    text = io.TextIOWrapper(held, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_tame(name) for name in file.schema_arrow.names])
    for batch in file.iter_batches():
        writer.writerows(zip(*(_cells(column) for column in batch.columns), strict=True))
    text.flush()
    return held.getvalue()


def _cells(column: Any) -> list[str]:
    encoded = column.dictionary_encode(null_encoding="encode")
    values = ["" if value is None else _tame(str(value)) for value in encoded.dictionary.to_pylist()]
    return [values[code] for code in encoded.indices.to_pylist()]


def _tame(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text
