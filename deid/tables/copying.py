"""One recipient's copy of a core table: internal codes become that project's pseudonyms, rows are ordered by them.

The first column of a core table holds the internal codes (``core_table`` writes it so). Everything else is carried
unchanged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from deid.errors import NamesError, TableError
from deid.pseudonyms import check_names
from deid.tables.writing import parquet_bytes


def copy_table(core: BinaryIO, sink: BinaryIO, *, names: Mapping[str, str]) -> dict[str, Any]:
    """Write the copy as Parquet; return records, participants, bytes and the SHA-256 of the file.

    Raises NamesError when a code has no pseudonym or two share one, TableError when the core is not readable.
    """
    try:
        table = pq.read_table(pa.BufferReader(core.read()))
    except (pa.ArrowException, OSError):
        raise TableError("core table: not a readable Parquet file", code="table_unreadable") from None
    check_names(names)
    person = table.column_names[0]
    codes = table.column(0).to_pylist()
    if any(code not in names for code in codes):
        raise NamesError("names: a participant of the core view has no pseudonym")
    renamed = pa.array([names[code] for code in codes], pa.string())
    table = table.set_column(0, person, renamed).sort_by([(person, "ascending")])
    output = parquet_bytes(table)
    sink.write(output)
    rows = int(table.num_rows)
    return {
        "records": rows,
        "participants": rows,
        "bytes": len(output),
        "digest": hashlib.sha256(output).hexdigest(),
    }
