"""Keyed row order: rows stand in the order of their keyed names.

GB/T 37964-2019, Annex A: randomisation, permutation (置换).

The order of the source (of admission, of the ward) tells people apart; names made with a key carry none of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc

from deid.tables.columnar import Codes


def rising(codes: Any) -> Codes:
    """The order of an Arrow array of names, as bytes; names of one length are compared as numbers, which is quicker."""
    ends = np.frombuffer(codes.buffers()[1], np.int32)[codes.offset : codes.offset + len(codes) + 1]
    size = int(ends[1] - ends[0]) if len(codes) else 0
    if codes.null_count or size == 0 or size > 32 or (np.diff(ends) != size).any():
        found: Codes = pc.array_sort_indices(codes).to_numpy().astype(np.int64)
        return found
    text = np.frombuffer(codes.buffers()[2], np.uint8)[ends[0] : ends[-1]].reshape(-1, size)
    wide = np.zeros((len(codes), -(-size // 8) * 8), np.uint8)
    wide[:, :size] = text
    words = wide.view(">u8").astype(np.uint64)
    return np.lexsort(words.T[::-1])
