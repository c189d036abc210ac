"""Write a table so that the file holds the released cells and nothing else.

Plain columns, no dictionary pages (they would keep removed values), no statistics (they would keep exact extremes),
no schema metadata (pandas and Arrow list original columns and row positions there), one fixed compression: equal
tables, equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deid.errors import TableError
from deid.tables.columnar import Column

TYPES = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
_ROW_GROUP = 1 << 20


def core_bytes(person: str, codes: Any, columns: Mapping[str, Column], types: Mapping[str, str]) -> bytes:
    """The whole Parquet file: the participants' codes (an Arrow array) first, then the columns in the order given.

    A column typed as a number that holds anything else is refused.
    """
    values = {name: _values(name, column, types.get(name, "text")) for name, column in columns.items()}
    schema = pa.schema([(person, codes.type), *((name, found.type) for name, found in values.items())])

    def blocks() -> Iterator[Any]:
        for low in range(0, len(codes), _ROW_GROUP):
            high = min(low + _ROW_GROUP, len(codes))
            # Cast value by value, not cell by cell, and only then written out: what leaves is a plain array.
            cells = [found.take(pa.array(columns[name].codes[low:high])) for name, found in values.items()]
            yield pa.table([codes.slice(low, high - low), *cells], schema=schema)

    return _parquet(schema, blocks())


def parquet_bytes(table: Any) -> bytes:
    """The whole Parquet file of a table held."""
    table = table.replace_schema_metadata(None)
    return _parquet(table.schema, (table.slice(low, _ROW_GROUP) for low in range(0, table.num_rows, _ROW_GROUP)))


def _parquet(schema: Any, blocks: Iterable[Any]) -> bytes:
    """Written a group of rows at a time, so that no more text is held."""
    held = io.BytesIO()
    with pq.ParquetWriter(
        held,
        schema,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        compression="zstd",
        compression_level=3,
        write_page_index=False,
    ) as writer:
        for block in blocks:
            writer.write_table(block, row_group_size=_ROW_GROUP)
    return held.getvalue()


def _values(name: str, column: Column, type_: str) -> Any:
    try:
        return pa.array(column.values, pa.string()).cast(TYPES[type_])
    except pa.ArrowInvalid:
        raise TableError(f"table, column {name!r}: some value is not of type {type_}") from None
