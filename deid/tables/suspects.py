"""Which of very many identifiers could stand in a table we wrote: a sieve before the leak check.

The leak check holds every identifier in every form, which costs kilobytes a person; of ten million identifiers next to
none stands in the file at all. The sieve keeps each one whose first bytes stand somewhere: in a name, in the distinct
values of a column, or in the file's raw bytes. What it drops cannot be found by the check in a file that is UTF-8
throughout, as ours are; the other encodings of the check are for files of others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deid import native
from deid.abreast import abreast, each_thread
from deid.needles import SHORT, SHORT_DIGITS

Bytes = npt.NDArray[np.uint8]
Windows = npt.NDArray[np.uint64]
_HEXADECIMAL = re.compile(rb"[0-9a-f]{32,}")
_WORD = re.compile(rb"[0-9a-z_-]+")
_MULTIPLIER, _WIDTH, _STEP = 11400714819323198485, 8, 1 << 22


def suspects(parquet: bytes, identifiers: Sequence[Any]) -> set[str]:
    """The identifiers (Arrow arrays of text) that the leak check must look for in this Parquet file."""
    texts, raw = list(_texts(parquet)), parquet.lower()
    hashed = {word for text in texts for run in _HEXADECIMAL.findall(text) for word in _hashes(run)}
    words = {word.decode() for word in _WORD.findall(texts[0]) + _WORD.findall(texts[1])}
    found: set[str] = set()
    for column in identifiers:
        values = pc.utf8_trim_whitespace(column.combine_chunks().drop_null())
        if hashed:
            found.update(one for one in values.to_pylist() if _stands(one, hashed))
        low = pc.utf8_lower(values)
        short = _short(low)
        rest = pc.invert(short)
        found.update(values.filter(short).filter(pc.is_in(low.filter(short), pa.array(sorted(words)))).to_pylist())
        found.update(_long(low.filter(rest), values.filter(rest), texts, raw))
    return found


def _texts(parquet: bytes) -> Iterator[bytes]:
    """Names and metadata; then the values of columns of few values; then those of columns of many, block by block."""
    file = pq.ParquetFile(pa.BufferReader(parquet))
    about = [file.metadata.created_by or "", *file.schema_arrow.names, "table parquet csv"]
    about += [part.decode("utf-8", "replace") for pair in (file.metadata.metadata or {}).items() for part in pair]
    yield "\n".join(about).encode().lower()
    few: dict[str, None] = {}
    many: list[bytes] = []
    parts = [(name, group) for name in file.schema_arrow.names for group in range(file.metadata.num_row_groups)]
    opened = each_thread(lambda: pq.ParquetFile(pa.BufferReader(parquet)))
    for is_few, values in abreast(lambda part: _distinct(opened(), *part), parts, rows=file.metadata.num_rows):
        if is_few:
            few.update(dict.fromkeys(values.to_pylist()))
        else:
            many.append("\n".join(values.to_pylist()).encode().lower())
    yield "\n".join(few).encode().lower()
    yield from many


def _distinct(file: Any, name: str, group: int) -> tuple[bool, Any]:
    """The distinct values of one column in one group of rows, and whether they are few."""
    column = file.read_row_group(group, columns=[name]).column(0)
    values = column.unique().cast(pa.string()).drop_null()
    return len(values) <= len(column) // 2 or len(values) < 1000, values


def _short(low: Any) -> Any:
    """Values the check knows as whole words only."""
    digits = pc.and_(pc.match_substring_regex(low, "^[0-9]*$"), pc.less(pc.utf8_length(low), SHORT_DIGITS))
    return pc.or_(digits, pc.less(pc.binary_length(low), SHORT))


def _long(low: Any, values: Any, texts: Sequence[bytes], raw: bytes) -> Iterator[str]:
    """Values whose first eight bytes, or all of them where they are fewer, stand in a text.

    In compressed bytes the check looks for eight bytes and more, since fewer stand there by chance.
    """
    lengths = np.minimum(pc.binary_length(low).to_numpy(zero_copy_only=False), _WIDTH).astype(np.int64)
    for length in np.unique(lengths).tolist():
        at = np.flatnonzero(lengths == length)
        windows = _heads(low.take(pa.array(at)), length)
        there = _standing(np.unique(windows), length, [*texts, raw] if length == _WIDTH else texts)
        yield from values.take(pa.array(at[np.isin(windows, there)])).to_pylist()


def _heads(low: Any, length: int) -> Windows:
    """The first bytes of each value as a number."""
    if not len(low):
        return np.zeros(0, np.uint64)
    _, offsets, data = low.cast(pa.large_string()).buffers()
    starts = np.frombuffer(offsets, np.int64)[low.offset : low.offset + len(low)]
    return _at(np.frombuffer(data, np.uint8), starts, length)


def _standing(wanted: Windows, length: int, texts: Sequence[bytes]) -> Windows:
    """Those of the wanted windows that stand at any place of any text."""
    bits = min(max(len(wanted).bit_length() + 5, 12), 28)
    shift = np.uint64(64 - bits)
    table = np.zeros(1 << bits, np.bool_)
    table[(wanted * np.uint64(_MULTIPLIER)) >> shift] = True
    packed = np.packbits(table, bitorder="little")
    found = [np.zeros(0, np.uint64)]
    for text in texts:
        for first in range(0, len(text), _STEP):
            piece = text[first : first + _STEP + _WIDTH - 1] + b"\0" * 8
            if length == _WIDTH and native.has_measure:
                places = native._measure.windows(piece, 8, 1, int(shift), _MULTIPLIER, packed, wanted)
                seen = _at(np.frombuffer(piece, np.uint8), np.frombuffer(places, np.int64), 8)
            else:
                windows = _at(np.frombuffer(piece, np.uint8), np.arange(len(piece) - 8), length)
                likely = windows[table[(windows * np.uint64(_MULTIPLIER)) >> shift]]
                seen = likely[np.isin(likely, wanted)]
            found.append(np.unique(seen))
    return np.unique(np.concatenate(found))


def _at(flat: Bytes, places: npt.NDArray[np.int64], length: int) -> Windows:
    """The windows of so many bytes at these places."""
    found = np.zeros(len(places), np.uint64)
    for byte in range(length):
        found |= flat[places + byte].astype(np.uint64) << np.uint64(8 * byte)
    return found


def _hashes(run: bytes) -> set[str]:
    return {run[at : at + size].decode() for size in (32, 40, 64) for at in range(len(run) - size + 1)}


def _stands(value: str, hashed: set[str]) -> bool:
    plain = value.encode()
    return any(
        made(plain, usedforsecurity=False).hexdigest() in hashed for made in (hashlib.md5, hashlib.sha1, hashlib.sha256)
    )
