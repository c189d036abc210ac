"""Genotypes as numbers: copies of each ALT allele in each person, from lines this room wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from deid.bgzf import Text
from deid.errors import DeidError

Dosage: TypeAlias = npt.NDArray[np.int8]
MAX_CELLS = 1 << 28
"""People times alleles held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allele:
    """One ALT allele at its place (POS counts from 1)."""

    contig: bytes
    position: int
    ref: bytes
    alt: bytes


def dosage_of(cells: bytes, allele: int, people: int) -> Dosage:
    """Copies of one allele in each diploid genotype of GT cells; -1 where it is not diploid or not wholly called."""
    if len(cells) == 4 * people - 1 and allele <= 9:
        table = np.frombuffer(cells + b"\t", np.uint8).reshape(people, 4)
        if (table[:, 3] == ord("\t")).all() and np.isin(table[:, 1], (ord("|"), ord("/"))).all():
            sides = table[:, 0::2]
            copies: Dosage = (sides == ord("0") + allele).sum(axis=1).astype(np.int8)
            copies[(sides == ord(".")).any(axis=1)] = -1
            return copies
    wanted = str(allele).encode()
    called = [cell.replace(b"|", b"/").split(b"/") for cell in cells.split(b"\t")]
    made = [one.count(wanted) if len(one) == 2 and b"." not in one else -1 for one in called]
    return np.array(made, np.int8)


def read_dosages(texts: Iterable[Text], people: int) -> tuple[list[Allele], Dosage]:
    """The alleles of whole record lines whose FORMAT begins with GT, and alleles x people of copies.

    Raises DeidError (``too_much_to_measure``) above ``MAX_CELLS`` rather than filling the memory.
    """
    alleles: list[Allele] = []
    rows: list[Dosage] = []
    for text in texts:
        for line in bytes(text).splitlines():
            fields = line.split(b"\t", 9)
            cells = b"\t".join(cell.partition(b":")[0] for cell in fields[9].split(b"\t"))
            for number, alt in enumerate(fields[4].split(b","), start=1):
                alleles.append(Allele(contig=fields[0], position=int(fields[1]), ref=fields[3], alt=alt))
                rows.append(dosage_of(cells, number, people))
            if len(rows) * people > MAX_CELLS:
                raise DeidError("more genotypes than are measured at once", code="too_much_to_measure")
    return alleles, np.array(rows, np.int8).reshape(len(rows), people)
