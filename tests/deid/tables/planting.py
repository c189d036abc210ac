"""Plant identifiers in a naive release, each at a byte position of its own that is known without our leak check.

Values are made here by their public rules (GB 11643 check digit and so on), and files are made or patched byte by byte,
so that nothing of ``deid`` decides what should be found.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq


def resident(number: int) -> str:
    body = f"44010619{60 + number % 30}0{1 + number % 9}15{number:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


def hkid(number: int) -> str:
    body = f"{123456 + number}"
    total = 36 * 9 + 10 * 8 + sum(int(d) * w for d, w in zip(body, range(7, 1, -1), strict=True))
    return f"A{body}({'0123456789A'[-total % 11]})"


KINDS: dict[str, Callable[[int], str]] = {
    "resident identity number": resident,
    "hong kong identity card": hkid,
    "macao resident card": lambda n: f"1/{234567 + n}/{n % 10}",
    "passport": lambda n: f"E{12345678 + n}",
    "telephone": lambda n: f"138{12345678 + n}",
    "e-mail": lambda n: f"li.wei{n}@example.org",
    "hospital number": lambda n: f"ZY{n:07d}",
    "address": lambda n: f"广州市天河区体育西路{100 + n}号",
    "name": lambda n: "欧阳" + "伟芳娜敏静秀强磊"[n % 8] + "华国军洋勇艳杰涛"[n // 8 % 8],
    "birth date": lambda n: f"19{60 + n % 40}-0{1 + n % 9}-17",
    "postcode": lambda n: f"{510620 + n}",
}
FOOTER = 8  # its length and the magic, at the end


def written(table: pa.Table, **more: object) -> bytes:
    held = io.BytesIO()
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    pq.write_table(table, held, **{**plain, **more})
    return held.getvalue()


def _table(value: str) -> pa.Table:
    return pa.table({"code": ["x1", "x2"], "note": ["plain", value]})


def _statistics(value: str) -> bytes:
    """The cell is blotted out where it stands; the footer keeps it as the column's extreme."""
    data = written(_table(value), write_statistics=True)
    wanted, footer = value.encode(), len(data) - FOOTER - struct.unpack("<I", data[-8:-4])[0]
    assert data.find(wanted, footer) > 0
    return data[:footer].replace(wanted, b"x" * len(wanted)) + data[footer:]


def _removed(value: str) -> bytes:
    """Filtered away, as an Arrow dictionary that keeps it."""
    column = pa.array(["plain", "other", value]).dictionary_encode()
    return written(pa.table({"note": column.take(pa.array([0, 1]))}), use_dictionary=True)


def _metadata(key: str, value: str) -> bytes:
    body = json.dumps({"index_columns": [value], "note": value}, ensure_ascii=False)
    return written(_table("plain").replace_schema_metadata({key: body}), store_schema=True)


def _field_metadata(value: str) -> bytes:
    schema = pa.schema([pa.field("note", pa.string(), metadata={"from": value})])
    return written(pa.table({"note": ["plain"]}, schema=schema), store_schema=True)


def _gap(value: str) -> bytes:
    """Between the last page and the footer, where no reader looks: places of pages count from the start."""
    data = written(_table("plain"))
    footer = len(data) - FOOTER - struct.unpack("<I", data[-8:-4])[0]
    return data[:footer] + value.encode() + data[footer:]


PARQUET: dict[str, Callable[[str], bytes]] = {
    "a cell": lambda value: written(_table(value)),
    "inside a cell": lambda value: written(_table(f"see {value}, ward 3")),
    "a compressed page": lambda value: written(_table(value), compression="zstd"),
    "a dictionary page, removed": _removed,
    "statistics alone": _statistics,
    "pandas metadata": lambda value: _metadata("pandas", value),
    "key-value metadata": lambda value: _metadata("exported-by", value),
    "metadata of a field": _field_metadata,
    "a column's name": lambda value: written(pa.table({value: ["plain"]})),
    "between pages and footer": _gap,
}


def _csv(value: str) -> str:
    return f'code,note\nx1,"plain"\nx2,"{value}"\n'


def _member(value: str, flag: int) -> bytes:
    """A gzip member with a field of its header filled by hand (RFC 1952, 2.3)."""
    data = value.encode() + b"\0"
    field = struct.pack("<H", len(data) + 4) + b"XX" + struct.pack("<H", len(data)) + data if flag == 4 else data
    return b"\x1f\x8b\x08" + bytes([flag]) + b"\0\0\0\0\0\xff" + field + gzip.compress(b"code\nx1\n", mtime=0)[10:]


CSV: dict[str, Callable[[str], bytes]] = {
    "a cell": lambda value: _csv(value).encode(),
    "a comment after a byte-order mark": lambda value: b"\xef\xbb\xbf" + f"# for {value}\n{_csv('plain')}".encode(),
    "the header": lambda value: f"code,{value}\nx1,plain\n".encode(),
    "a cell of two lines": lambda value: _csv(f"first\n{value}").encode(),
    "a formula": lambda value: _csv(f"=HYPERLINK(\"\"https://example.org\"\",\"\"{value}\"\")").encode(),
    "bytes after the last line": lambda value: _csv("plain").encode() + b"\0\0" + value.encode(),
    "GB18030": lambda value: _csv(value).encode("gb18030"),
    "a gzip file name": lambda value: _member(value, 8),
    "a gzip comment": lambda value: _member(value, 16),
    "gzip extra bytes": lambda value: _member(value, 4),
    "inside gzip": lambda value: gzip.compress(_csv(value).encode(), mtime=0),
}  # fmt: skip
