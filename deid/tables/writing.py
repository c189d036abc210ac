"""Write a table so that the file holds the released cells and nothing else.

Plain columns, no dictionary pages (they would keep removed values), no statistics (they would keep exact extremes),
no schema metadata (pandas and Arrow list original columns and row positions there), one fixed compression: equal
tables, equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deid.errors import TableError
from deid.tables.columnar import Column

TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
_ROW_GROUP = 1 << 20


def arrow_table(columns: Mapping[str, Column], types: Mapping[str, str]) -> Any:
    """Plain columns in the order given; a column typed as a number that holds anything else is refused."""
    arrays = []
    for name, column in columns.items():
        try:
            # Cast value by value, not cell by cell, and only then written out: what leaves is a plain array.
            values = pa.array(column.values, pa.string()).cast(TYPES[types.get(name, "text")])
            arrays.append(values.take(pa.array(column.codes)))
        except pa.ArrowInvalid:
            raise TableError(f"table, column {name!r}: some value is not of type {types[name]}") from None
    return pa.table(dict(zip(columns, arrays, strict=True)))


def parquet_bytes(table: Any) -> bytes:
    """The whole Parquet file."""
    held = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(None),
        held,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        compression="zstd",
        compression_level=3,
        row_group_size=_ROW_GROUP,
        write_page_index=False,
    )
    return held.getvalue()
