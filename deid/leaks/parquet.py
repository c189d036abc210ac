"""Search a Parquet file: names, metadata, statistics, dictionary pages with their unused values, and every value.

A dictionary page keeps values of rows that were filtered away (measured with pandas and pyarrow), and statistics
keep exact extremes. Numbers are searched as text too: a telephone number is often stored as an integer.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deid.abreast import abreast, each_thread
from deid.errors import LeakCheckError
from deid.leakcheck import Search
from deid.patterns import find_patterns

# Every form of deid/patterns.py holds six digits, at most one sign between two, or an @; full width is beyond ASCII.
_LIKELY = r"(?:[0-9][-/ (]?){5}[0-9]|@|[^\x00-\x7f]"


def search_parquet(search: Search, content: bytes) -> None:
    """Search one Parquet file held in memory. Raises LeakCheckError when it cannot be read."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _metadata(search, file)
        _outside(search, file, content)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        _dictionaries(search, pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts))
        _values(search, file, content)
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
    for column in file.schema_arrow:
        search.text("parquet:column-name", column.name.encode(), names=True)
        for key, value in (column.metadata or {}).items():
            # Arrow keeps them inside one block of base64, where a search of the block would not see them.
            search.text(f"parquet:field-metadata:{key.decode(errors='replace')[:32]}", value, names=True)
    for group in range(file.metadata.num_row_groups):
        for place in range(file.metadata.num_columns):
            chunk = file.metadata.row_group(group).column(place)
            if chunk.is_stats_set and chunk.statistics is not None and chunk.statistics.has_min_max:
                where = f"parquet:statistics:{chunk.path_in_schema}"
                search.add(where, "statistics", "medium", "write without statistics")
                search.text(where, f"{chunk.statistics.min}\n{chunk.statistics.max}".encode())


def _outside(search: Search, file: Any, content: bytes) -> None:
    """Bytes of no column and not of the footer, which no reader shows: page indexes, filters, anything."""
    at = 4  # the magic
    ends = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    for start, size in [*sorted((_start(one), one.total_compressed_size) for one in chunks), (ends, 0)]:
        if start > at:
            where = f"parquet:bytes {at}-{start}"
            search.add(where, "bytes-outside-columns", "medium", "write without page index, filters or other bytes")
            search.text(where, content[at:start], names=True)
        at = max(at, start + size)


def _start(chunk: Any) -> int:
    first = int(chunk.data_page_offset)
    return min(first, int(chunk.dictionary_page_offset)) if chunk.has_dictionary_page else first


def _dictionaries(search: Search, file: Any) -> None:
    """Dictionary pages as stored: values that no row uses are found here and nowhere else."""
    paged = [
        name
        for place, name in enumerate(file.schema_arrow.names)
        if file.metadata.num_columns != len(file.schema_arrow.names) or _has_page(file.metadata, place)
    ]
    for group in range(file.metadata.num_row_groups if paged else 0):
        table = file.read_row_group(group, columns=paged)
        for name in table.column_names:
            for chunk in table.column(name).chunks:
                if not pa.types.is_dictionary(chunk.type):
                    continue
                used = set(chunk.indices.unique().to_pylist())
                if len(used - {None}) < len(chunk.dictionary):
                    where = f"parquet:dictionary:{name}"
                    search.add(where, "unused-dictionary-values", "medium", "write plain columns, no dictionary")
                    _texts(search, where, chunk.dictionary)


def _has_page(metadata: Any, place: int) -> bool:
    """Whether any group of rows keeps this column behind a dictionary page."""
    groups = (metadata.row_group(group).column(place) for group in range(metadata.num_row_groups))
    return any(one.has_dictionary_page or any("DICTIONARY" in word for word in one.encodings) for one in groups)


def _values(search: Search, file: Any, content: bytes) -> None:
    """The distinct values of each column in each group of rows, as text."""
    parts = [(name, group) for name in file.schema_arrow.names for group in range(file.metadata.num_row_groups)]
    opened = each_thread(lambda: pq.ParquetFile(pa.BufferReader(content)))
    read = abreast(lambda part: _distinct(opened(), *part), parts, rows=file.metadata.num_rows)
    for (name, _), values in zip(parts, read, strict=True):
        _texts(search, f"parquet:values:{name}", values)


def _distinct(file: Any, name: str, group: int) -> Any:
    column = file.read_row_group(group, columns=[name]).column(0)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        return pa.array([str(value) for value in column.to_pylist()], pa.string())
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return plain.unique().cast(pa.string())


def _texts(search: Search, where: str, values: Any) -> None:
    """Search values as lines of one text; the forms of personal numbers only where one could be."""
    values = values.drop_null()
    data = "\n".join(values.to_pylist()).encode()
    for found in search.needles.find(data, naming=True):
        search.hit(where, found)
    numbers = values.filter(pc.match_substring_regex(values, _LIKELY))
    for match in find_patterns("\n".join(numbers.to_pylist())):
        search.add(where, match.kind, match.severity, "a personal number by its form", match.text)
