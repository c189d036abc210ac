"""Search a Parquet file: names, metadata, statistics, dictionary pages with their unused values, and every value.

A dictionary page keeps values of rows that were filtered away (measured with pandas and pyarrow), and statistics
keep exact extremes. Numbers are searched as text too: a telephone number is often stored as an integer.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deid.errors import LeakCheckError
from deid.leakcheck import Search


def search_parquet(search: Search, content: bytes) -> None:
    """Search one Parquet file held in memory. Raises LeakCheckError when it cannot be read."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _metadata(search, file)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        _dictionaries(search, pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts))
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        for name in table.column_names:
            _values(search, name, table.column(name))
    except (pa.ArrowException, OSError):
        raise LeakCheckError(f"{search.name}: not a readable Parquet file, so it is not called clean") from None


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _metadata(search: Search, file: Any) -> None:
    search.text("parquet:created_by", (file.metadata.created_by or "").encode())
    for key, value in (file.metadata.metadata or {}).items():
        where = f"parquet:metadata:{key.decode(errors='replace')[:32]}"
        search.add(where, "schema-metadata", "medium", "write without schema metadata")
        search.text(where, value, names=True)
    for column in file.schema_arrow.names:
        search.text("parquet:column-name", column.encode(), names=True)
    for group in range(file.metadata.num_row_groups):
        for place in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(place)
            if chunk.is_stats_set and chunk.statistics is not None and chunk.statistics.has_min_max:
                where = f"parquet:statistics:{chunk.path_in_schema}"
                search.add(where, "statistics", "medium", "write without statistics")
                search.text(where, f"{chunk.statistics.min}\n{chunk.statistics.max}".encode())


def _dictionaries(search: Search, file: Any) -> None:
    """Dictionary pages as stored: values that no row uses are found here and nowhere else."""
    for group in range(file.metadata.num_row_groups):
        table = file.read_row_group(group)
        for name in table.column_names:
            for chunk in table.column(name).chunks:
                if not pa.types.is_dictionary(chunk.type):
                    continue
                used = set(chunk.indices.unique().to_pylist())
                if len(used - {None}) < len(chunk.dictionary):
                    where = f"parquet:dictionary:{name}"
                    search.add(where, "unused-dictionary-values", "medium", "write plain columns, no dictionary")
                    _texts(search, where, chunk.dictionary.to_pylist())


def _values(search: Search, name: str, column: Any) -> None:
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        _texts(search, f"parquet:values:{name}", [str(value) for value in column.to_pylist()])
        return
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    _texts(search, f"parquet:values:{name}", plain.cast(pa.string()).unique().to_pylist())


def _texts(search: Search, where: str, values: list[str | None]) -> None:
    search.text(where, "\n".join(value for value in values if value is not None).encode())
