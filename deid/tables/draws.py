"""Random numbers of a person: from that person's own seed, so that they never change and never depend on others.

A keyed hash (BLAKE2b, RFC 7693) of the column's name under the person's seed gives a number in [0, 1). The same person
gets the same noise in every release, so releases cannot be averaged; a person added or withdrawn changes nobody else's
number. The seeds are data like the days of a date shift; where they come from is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from deid.errors import TableError
from deid.tables.measures import Floats


def draw(seeds: Mapping[str, bytes], codes: Any, label: str) -> Floats:
    """A number in [0, 1) for each internal code. Raises TableError when somebody has no seed."""
    people = codes.to_pylist()
    if any(code not in seeds for code in people):
        raise TableError("participants: a value is to be drawn but someone has no seed", code="names_invalid")
    name = label.encode()
    drawn = b"".join(hashlib.blake2b(name, digest_size=8, key=seeds[code][:64]).digest() for code in people)
    found: Floats = (np.frombuffer(drawn, np.uint64) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return found
