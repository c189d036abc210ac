"""The genotype columns of one record, in plain Python: read, counted, masked, written.

A GT is alleles joined by ``/`` or ``|``, any ploidy, ``.`` for an allele not called (VCF 4.3 section 1.6.2). A masked
genotype keeps its ploidy and nothing else: ``./.`` and ``.`` for every other key. A value that is absent is written
``.``, so that the set of keys is the same in every record. Not here: which alleles are rare.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deid.variants.layout import Layout

GT = re.compile(rb"(?:\.|0|[1-9]\d{0,3})(?:[|/](?:\.|0|[1-9]\d{0,3}))*")
PIECE = re.compile(rb"[|/]|[^|/]+")
VALUE = re.compile(rb"\d{1,9}")
Genotype = tuple[int, ...]  # allele numbers, -1 not called
MISSING = -1


@dataclass(slots=True, kw_only=True)
class Cells:
    """The permitted cells of one record in output order, with the counts over those that are not masked.

    ``copies[n]`` and ``carriers[n]`` are of allele n (0 is REF); ``called`` is the number of called alleles.
    """

    raw: list[bytes]
    genotypes: list[Genotype]
    masked: list[bool]
    copies: list[int] = field(default_factory=list)
    carriers: list[int] = field(default_factory=list)
    called: int = 0

    def count(self) -> None:
        """Count anew over the genotypes that are not masked."""
        self.copies = [0] * len(self.copies)
        self.carriers = [0] * len(self.carriers)
        pairs = zip(self.genotypes, self.masked, strict=True)
        # Few different genotypes stand in many cells, so each is counted once and multiplied.
        for genotype, cells in Counter(genotype for genotype, masked in pairs if not masked).items():
            for allele in genotype:
                if allele != MISSING:
                    self.copies[allele] += cells
            for allele in set(genotype) - {MISSING}:
                self.carriers[allele] += cells
        self.called = sum(self.copies)

    def mask_carriers(self, alleles: Iterable[int]) -> None:
        """Mask every genotype that has one of these alleles, and count anew."""
        hidden = set(alleles)
        for index, genotype in enumerate(self.genotypes):
            if not hidden.isdisjoint(genotype):
                self.masked[index] = True
        self.count()

    def uncalled(self) -> list[int]:
        """Output columns without a called allele."""
        empty = {genotype for genotype in set(self.genotypes) if max(genotype) == MISSING}
        pairs = zip(self.genotypes, self.masked, strict=True)
        return [index for index, (genotype, masked) in enumerate(pairs) if masked or genotype in empty]

    def samples_called(self) -> int:
        """Samples with a called allele: INFO NS."""
        return len(self.genotypes) - len(self.uncalled())

    def carrier(self, allele: int) -> int:
        """The first output column that carries the allele."""
        pairs = zip(self.genotypes, self.masked, strict=True)
        return next(index for index, (genotype, masked) in enumerate(pairs) if allele in genotype and not masked)


def read_cells(fields: Sequence[bytes], columns: Sequence[int], alts: int) -> Cells | None:
    """The cells of the permitted columns; None where one is no genotype over REF and ``alts`` alleles."""
    raw = [fields[9 + column] for column in columns]
    known: dict[bytes, Genotype | None] = {}
    genotypes: list[Genotype] = []
    for cell in raw:
        text = cell.partition(b":")[0]
        if text not in known:
            known[text] = _parse(text, alts)
        genotype = known[text]
        if genotype is None:
            return None
        genotypes.append(genotype)
    cells = Cells(raw=raw, genotypes=genotypes, masked=[False] * len(raw))
    cells.copies, cells.carriers = [0] * (alts + 1), [0] * (alts + 1)
    cells.count()
    return cells


def _parse(text: bytes, alts: int) -> Genotype | None:
    if not GT.fullmatch(text):
        return None
    genotype = tuple(MISSING if piece == b"." else int(piece) for piece in re.split(rb"[|/]", text))
    return genotype if max(genotype) <= alts else None


def allele_frequency(copies: int, called: int) -> str:
    """AC / AN as a VCF Float, which has 32 bits (VCF 4.3 section 1.3), in six significant digits; ``.`` of nothing."""
    if called == 0:
        return "."
    (value,) = struct.unpack("<f", struct.pack("<f", copies / called))
    return f"{value:.6g}"


def write_cells(
    layout: Layout, cells: Cells, order: Sequence[int], slots: Sequence[int], keys: int
) -> tuple[bytes, int | None] | str:
    """The cells as written and the sum of the depths written (None where none is); or the code of a fault."""
    renumbered = {b".": b".", b"0": b"0"}
    renumbered.update({str(old).encode(): str(new).encode() for new, old in enumerate(order, start=1)})
    row = _Row(
        layout=layout, slots=slots, keys=keys, renumbered=renumbered, kept=[0, *order], alleles=len(cells.copies)
    )
    known: dict[tuple[bytes, bool], tuple[bytes, int | None]] = {}
    written: list[bytes] = []
    depths: list[int] = []
    for cell in zip(cells.raw, cells.masked, strict=True):
        if cell not in known:
            made = row.cell(*cell)
            if isinstance(made, str):
                return made
            known[cell] = made
        text, depth = known[cell]
        written.append(text)
        if depth is not None:
            depths.append(depth)
    return b"\t".join(written), sum(depths) if depths else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What all cells of one record share; ``kept`` are the alleles written, by their source numbers."""

    layout: Layout
    slots: Sequence[int]
    keys: int
    renumbered: Mapping[bytes, bytes]
    kept: Sequence[int]
    alleles: int

    def cell(self, cell: bytes, masked: bool) -> tuple[bytes, int | None] | str:
        """One cell as written and its depth; or the code of a fault."""
        values = cell.split(b":")
        if len(values) > self.keys:
            return "ragged_cell"
        pieces = PIECE.findall(values[0])
        if masked:
            ploidy = (len(pieces) + 1) // 2
            return b":".join([b"/".join([b"."] * ploidy), *[b"."] * (len(self.slots) - 1)]), None
        out = [b"".join(self.renumbered.get(piece, piece) for piece in pieces)]
        depth = None
        for key, slot in zip(self.layout.format[1:], self.slots[1:], strict=True):
            source = values[slot] if 0 <= slot < len(values) else b"."
            value = _depths(source, self.kept, self.alleles) if key == "AD" else _number(source, self.layout, key)
            if value is None:
                return "bad_value"
            if key == "DP" and value != b".":
                depth = int(value)
            out.append(value)
        return b":".join(out), depth


def _number(value: bytes, layout: Layout, key: str) -> bytes | None:
    if value == b".":
        return value
    if not VALUE.fullmatch(value):
        return None
    number = int(value)
    return str(number - number % layout.plan.bins.get(key, 1)).encode()


def _depths(value: bytes, kept: Sequence[int], alleles: int) -> bytes | None:
    if value == b".":
        return value
    entries = value.split(b",")
    if len(entries) != alleles or not all(entry == b"." or VALUE.fullmatch(entry) for entry in entries):
        return None
    return b",".join(b"." if entries[n] == b"." else str(int(entries[n])).encode() for n in kept)
