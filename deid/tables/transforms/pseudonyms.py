"""Keyed pseudonyms: a name from a key and the participant's id.

GB/T 37964-2019, Annex A: pseudonymisation (假名化技术).

The annex's second kind: names derived from identifiers by cryptography. BLAKE2b keyed (RFC 7693); who lacks the key can
neither make a name nor go back from one. Where the gateway makes the names, they come as data and are checked by
``deid.pseudonyms``; this is the same for a table on its own.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

_BASE32 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", np.uint8)


def keyed_names(secret: bytes, ids: Any) -> Any:
    """An Arrow array of names: P and sixteen characters of base32, 80 bits.

    Two of a hundred million people share one by a chance below 1e-8.
    """
    made = [np.zeros((0, 17), np.uint8)]
    for low in range(0, len(ids), 1 << 16):
        drawn = b"".join(
            hashlib.blake2b(one.encode(), digest_size=10, key=secret).digest()
            for one in ids.slice(low, 1 << 16).to_pylist()
        )
        bits = np.unpackbits(np.frombuffer(drawn, np.uint8).reshape(-1, 10), axis=1).reshape(-1, 16, 5)
        letters = _BASE32[np.packbits(bits, axis=2)[:, :, 0] >> 3]
        made.append(np.concatenate([np.full((len(letters), 1), ord("P"), np.uint8), letters], axis=1))
    whole = np.concatenate(made)
    offsets = np.arange(len(whole) + 1, dtype=np.int32) * 17
    return pa.StringArray.from_buffers(len(whole), pa.py_buffer(offsets), pa.py_buffer(whole))
