"""Random numbers of a person: half from that person's seed for good, half from the seed and the set of participants.

A keyed hash (BLAKE2b, RFC 7693) under the person's seed gives a number in [0, 1). What is drawn from the seed alone is
the same in every release, so that releases cannot be averaged; what is drawn with the digest of the participant set is
the same for the same set and another for another, so that two releases cannot be subtracted. Noise, PRAM and swapping
use both (decision 62; permanent and instantaneous response of Erlingsson, Pihur and Korolova 2014). The seeds are data
like the days of a date shift; where they come from is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deid.errors import TableError
from deid.tables.measures import Floats

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Numbers in [0, 1) for one column, one for each row: the people's own, and the set's."""

    own: Floats
    of_set: Floats


def participant_set(codes: Any) -> str:
    """The digest (SHA-256, hexadecimal) of a set of internal codes, an Arrow array in rising order."""
    digest = hashlib.sha256()
    for low in range(0, len(codes), _BLOCK):  # each with its length, so that no two sets are written alike
        block = codes.slice(low, _BLOCK).to_pylist()
        digest.update("".join(f"{len(code)}:{code}" for code in block).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dice:
    """Who is drawn for: the seed of each code, the codes row by row, the digest of the set they are permitted in."""

    seeds: Mapping[str, bytes] = field(repr=False)
    codes: Any = field(repr=False)
    set_digest: str

    def throw(self, what: str) -> Drawn:
        """The numbers for one thing drawn. Raises TableError when somebody has no seed."""
        own = draw(self.seeds, self.codes, f"own {what}")
        return Drawn(own=own, of_set=draw(self.seeds, self.codes, f"set {self.set_digest} {what}"))


def draw(seeds: Mapping[str, bytes], codes: Any, label: str) -> Floats:
    """A number in [0, 1) for each internal code. Raises TableError when somebody has no seed."""
    people = codes.to_pylist()
    if any(code not in seeds for code in people):
        raise TableError("participants: a value is to be drawn but someone has no seed", code="names_invalid")
    name = label.encode()
    drawn = b"".join(hashlib.blake2b(name, digest_size=8, key=seeds[code][:64]).digest() for code in people)
    found: Floats = (np.frombuffer(drawn, np.uint64) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return found
