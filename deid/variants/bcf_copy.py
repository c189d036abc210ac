"""One recipient's copy of a core view that is BCF: names in the header, each FORMAT array in the order of the names.

A FORMAT field of a BCF record is one array with a stretch of equal length for each sample (VCF specification section
6.3.3), so a copy moves stretches and decodes nothing. Every length is proven against the record before it is used.
The other columns are passed on as they are. Not here: which core views are copied, and to whom (``recipient.py``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from deid.variants.errors import VariantError

MAGIC = b"BCF\x02\x02"
MAX_HEADER, MAX_RECORD = 1 << 26, 1 << 28
FIXED = struct.Struct("<6I")
WIDTHS = {1: 1, 2: 2, 3: 4, 5: 4, 7: 1}
"""Bytes of each type of value: 8, 16 and 32 bit numbers, float, character."""
NUMBERS = {1: "<b", 2: "<h", 3: "<i"}
Order = npt.NDArray[np.intp]


def split_bcf_header(pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The header's text, without its closing zeros, and what lies behind it. Raises ``VariantError``."""
    held = b""
    for piece in pieces:
        held += piece
        size = int.from_bytes(held[5:9], "little")
        if held[:5] != MAGIC[: len(held[:5])] or size > MAX_HEADER:
            raise VariantError("bad_bcf", "the BCF header has another version or an absurd length")
        if len(held) >= 9 + size:
            return held[9 : 9 + size].rstrip(b"\0\n") + b"\n", held[9 + size :]
    raise VariantError("truncated", "the BCF ends inside its header")


def bcf_header(text: bytes) -> bytes:
    """The start of a BCF with this header text."""
    return MAGIC + struct.pack("<I", len(text) + 1) + text + b"\0"


def reordered_bcf(rest: bytes, pieces: Iterable[bytes], order: Sequence[int]) -> Iterator[tuple[bytes, int]]:
    """Whole records in pieces, each with its number of records, the samples' stretches in ``order``.

    Raises ``VariantError``: ``bad_bcf`` or ``truncated`` with the number of the record.
    """
    columns = np.array(order, np.intp)
    done = 0
    for piece in chain((b"",), pieces):
        rest += piece
        made, used = _records(rest, columns, done)
        rest = rest[used:]
        done += len(made)
        if made:
            yield b"".join(made), len(made)
    if rest:
        raise VariantError("truncated", f"the BCF ends inside record {done + 1}")


def _records(data: bytes, columns: Order, done: int) -> tuple[list[bytes], int]:
    """The whole records at the start of ``data`` rewritten, and how many bytes they were."""
    made: list[bytes] = []
    at = 0
    while at + 8 <= len(data):
        shared, individual = struct.unpack_from("<2I", data, at)
        end = at + 8 + shared + individual
        if shared < FIXED.size or end - at > MAX_RECORD:
            raise _broken(done + len(made))
        if end > len(data):
            break
        try:
            made.append(data[at : at + 8 + shared] + _individual(data, at, at + 8 + shared, end, columns))
        except (ValueError, IndexError, KeyError, struct.error):
            raise _broken(done + len(made)) from None
        at = end
    return made, at


def _broken(done: int) -> VariantError:
    return VariantError("bad_bcf", f"record {done + 1} of the BCF does not hold together")


def _individual(data: bytes, record: int, at: int, end: int, columns: Order) -> bytes:
    fields, samples = divmod(FIXED.unpack_from(data, record + 8)[5], 1 << 24)
    if samples != len(columns):
        raise ValueError
    made: list[bytes] = []
    for _ in range(fields):
        start = at
        _, at = _number(data, at)
        width, length = WIDTHS[data[at] & 15], data[at] >> 4
        at += 1
        if length == 15:
            length, at = _number(data, at)
        size = samples * length * width
        if length < 0 or at + size > end:
            raise ValueError
        made.append(data[start:at])
        made.append(np.frombuffer(data, np.uint8, size, at).reshape(samples, -1)[columns].tobytes() if size else b"")
        at += size
    if at != end:
        raise ValueError
    return b"".join(made)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """One typed number and where the next begins."""
    kind = data[at]
    if kind >> 4 != 1:
        raise ValueError
    (value,) = struct.unpack_from(NUMBERS[kind & 15], data, at + 1)
    return int(value), at + 1 + WIDTHS[kind & 15]
