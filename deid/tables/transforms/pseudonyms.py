"""Keyed pseudonyms: a name from a key and the participant's id.

GB/T 37964-2019, Annex A: pseudonymisation (假名化技术).

The annex's second kind: names derived from identifiers by cryptography. BLAKE2b keyed (RFC 7693); who lacks the key can
neither make a name nor go back from one. Where the gateway makes the names, they come as data and are checked by
``deid.pseudonyms``; this is the same for a table on its own.
"""

from __future__ import annotations

import hashlib
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BASE32 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", np.uint8)


def keyed_names(secret: bytes, ids: Any) -> Any:
    """An Arrow array of names: P and sixteen characters of base32, 80 bits.

    Two of a hundred million people share one by a chance below 1e-8.
    """
    keyed, digest = partial(hashlib.blake2b, digest_size=10, key=secret), methodcaller("digest")
    made = [np.zeros((0, 17), np.uint8)]
    for low in range(0, len(ids), 1 << 16):
        block = ids.slice(low, 1 << 16).to_pylist()
        made.append(_spelt(b"".join(map(digest, map(keyed, map(str.encode, block))))))
    whole = np.concatenate(made)
    offsets = np.arange(len(whole) + 1, dtype=np.int32) * 17
    return pa.StringArray.from_buffers(len(whole), pa.py_buffer(offsets), pa.py_buffer(whole))


def _spelt(drawn: bytes) -> npt.NDArray[np.uint8]:
    """P and sixteen letters for each ten bytes: eight letters for five bytes, five bits each (RFC 4648 section 6)."""
    fives = np.frombuffer(drawn, np.uint8).reshape(-1, 5).astype(np.uint64)
    number = np.zeros(len(fives), np.uint64)
    for byte in range(5):
        number = number << np.uint64(8) | fives[:, byte]
    letters = np.empty((len(fives), 8), np.uint8)
    for place in range(8):
        letters[:, place] = _BASE32[(number >> np.uint64(35 - 5 * place) & np.uint64(31)).astype(np.intp)]
    spelt = np.full((len(fives) // 2, 17), ord("P"), np.uint8)
    spelt[:, 1:] = letters.reshape(-1, 16)
    return spelt
