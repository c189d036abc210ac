"""Records rewritten in plain Python: the twin that defines what the compiled kernel must do, byte for byte.

The order for one record: read the fixed columns, count alleles over the permitted columns, drop what nobody carries,
drop what the mask touches, drop or mask rare alleles until none is left, then write alleles, counts and cells.
Only permitted columns and listed fields are read; the others are counted (so that a ragged line is found) and no more.
Not here: the genotype columns (``genotypes.py``), compression, the header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from deid.variants.alleles import BASES, MAX_ALT, Kind, cut_of, kind_of
from deid.variants.errors import FAULT
from deid.variants.genotypes import Cells, allele_frequency, read_cells, write_cells
from deid.variants.layout import REASONS, Counts, Layout, Rewritten, no_counts
from deid.variants.plan import VariantPlan

NUMBER = re.compile(rb"0|[1-9]\d{0,9}")
QUALITY = re.compile(rb"[0-9.eE+-]{1,32}")
PRINTABLE = re.compile(rb"[!-~]+")
END = re.compile(rb"(?:^|;)END=([^;]*)")
MAX_POSITION = (1 << 31) - 1


class Fault(Exception):
    """One record cannot be read; ``code`` is a key of ``RECORD_ERRORS``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True, kw_only=True)
class Record:
    """The fixed columns of one line; ``alive`` are the ALT numbers (from 1) that somebody permitted carries."""

    fields: list[bytes]
    position: int
    alts: list[bytes]
    kinds: list[Kind]
    alive: list[int] = field(default_factory=list)
    block: bool = False


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one chunk, one per output column."""

    missing: Counts
    singletons: Counts


def rewrite(layout: Layout, chunk: bytes) -> Rewritten:
    """Rewrite whole lines (each ends in a line feed); stops at the first line that cannot be read."""
    width = len(layout.columns)
    tally = Tally(missing=no_counts(width), singletons=no_counts(width))
    removed = dict.fromkeys(REASONS, 0)
    written: list[bytes] = []
    read = number = 0
    for line in chunk.split(b"\n")[:-1]:
        try:
            outcome = _record(layout, line, tally)
        except Fault as fault:
            number = FAULT[fault.code]
            break
        read += 1
        if isinstance(outcome, str):
            removed[outcome] += 1
        else:
            written.append(outcome)
    return Rewritten(
        text=b"".join(written),
        records_in=read,
        records_out=len(written),
        removed=tuple(removed[reason] for reason in REASONS),
        missing=tally.missing,
        singletons=tally.singletons,
        fault=number,
        line=read,
    )


def _record(layout: Layout, line: bytes, tally: Tally) -> bytes | str:
    """The line to write, or the reason why there is none."""
    record = _read_fixed(layout, line)
    keys = record.fields[8].split(b":")
    slots = _slots(layout, keys)
    if slots[0] < 0 or not record.alts:
        return "no_carrier"
    cells = read_cells(record.fields, layout.columns, len(record.alts))
    if cells is None:
        raise Fault("bad_genotype")
    reason = _carried(record, cells, blocks=layout.plan.keep_blocks) or _outside(layout, record)
    reason = reason or _masked(layout.plan, record) or _rare(layout.plan, record, cells)
    if reason:
        return reason
    return _write(layout, record, cells, slots, len(keys), tally)


def _read_fixed(layout: Layout, line: bytes) -> Record:
    plan = layout.plan
    if line.endswith(b"\r"):
        raise Fault("crlf")
    fields = line.split(b"\t")
    if len(fields) != 9 + layout.source_columns:
        raise Fault("ragged_line")
    if fields[0] not in layout.contigs:
        raise Fault("unknown_contig")
    if not NUMBER.fullmatch(fields[1]) or int(fields[1]) > MAX_POSITION:
        raise Fault("bad_position")
    if plan.keep_id and not PRINTABLE.fullmatch(fields[2]):
        raise Fault("bad_identifier")
    alts, kinds = _read_alleles(fields[3], fields[4])
    if plan.keep_quality and not QUALITY.fullmatch(fields[5]):
        raise Fault("bad_quality")
    if plan.keep_filter and fields[6] != b"." and not layout.filters.issuperset(fields[6].split(b";")):
        raise Fault("unknown_filter")
    return Record(fields=fields, position=int(fields[1]), alts=alts, kinds=kinds)


def _read_alleles(ref: bytes, alt: bytes) -> tuple[list[bytes], list[Kind]]:
    if not BASES.fullmatch(ref):
        raise Fault("bad_allele")
    if alt == b".":
        return [], []
    alts = alt.split(b",")
    if len(alts) > MAX_ALT:
        raise Fault("too_many_alleles")
    kinds = [kind for allele in alts if (kind := kind_of(allele)) is not None]
    if len(kinds) != len(alts):
        raise Fault("bad_allele")
    return alts, kinds


def _slots(layout: Layout, keys: list[bytes]) -> list[int]:
    """For each FORMAT key written, its place in this record's cells, -1 where it is absent."""
    wanted = [key.encode() for key in layout.format]
    if len(keys) > 256 or any(keys.count(key) > 1 for key in wanted) or b"GT" in keys[1:]:
        raise Fault("bad_format")
    return [keys.index(key) if key in keys else -1 for key in wanted]


def _carried(record: Record, cells: Cells, *, blocks: bool = False) -> str | None:
    """Find the ALTs somebody permitted carries; a record that none of them justifies stays only as a kept block."""
    numbers = range(1, len(record.alts) + 1)
    record.alive = [number for number in numbers if cells.copies[number]]
    if any(record.kinds[number - 1] != Kind.UNSPECIFIED for number in record.alive):
        return None
    anything = [n for n in numbers if record.kinds[n - 1] == Kind.UNSPECIFIED and record.alts[n - 1] != b"*"]
    record.alive, record.block = (anything, bool(anything)) if blocks else ([], False)
    return None if record.block else "no_carrier"


def _outside(layout: Layout, record: Record) -> str | None:
    within = layout.region is None or layout.region.overlaps(record.fields[0], *_span(record))
    return None if within else "outside_region"


def _span(record: Record) -> tuple[int, int]:
    """The bases the carried alleles touch, as BED counts them; a symbolic allele reaches to INFO END."""
    start = max(record.position - 1, 0)
    end = start + len(record.fields[3]) - _cut(record)
    if _reaches(record):
        end = max(end, _info_end(record) or 0)
    return start, end


def _reaches(record: Record) -> bool:
    """Whether INFO END says how far the record goes."""
    return record.block or any(record.kinds[number - 1] == Kind.SYMBOLIC for number in record.alive)


def _info_end(record: Record) -> int | None:
    found = END.search(record.fields[7])
    if found is None:
        return None
    if not NUMBER.fullmatch(found[1]) or int(found[1]) > MAX_POSITION:
        raise Fault("bad_info")
    return int(found[1])


def _cut(record: Record) -> int:
    alts = [record.alts[number - 1] for number in record.alive]
    return cut_of(record.fields[3], alts, [record.kinds[number - 1] for number in record.alive])


def _masked(plan: VariantPlan, record: Record) -> str | None:
    contig, (start, end) = record.fields[0], _span(record)
    if not plan.mask.overlaps(contig, start, end):
        return None
    return None if plan.mask_except and plan.panel.contains(contig, start, end) else "masked"


def _rare(plan: VariantPlan, record: Record, cells: Cells) -> str | None:
    """Drop the record or mask the carriers of rare alleles, counting anew after each round, until no ALT is rare."""
    if record.block:
        return None
    exempt = plan.panel.contains(record.fields[0], *_span(record))
    private = "keep" if exempt and plan.private_except else plan.private
    rare = "keep" if exempt and plan.rare_except else plan.rare
    while True:
        alone = {n for n in record.alive if private != "keep" and cells.carriers[n] < plan.carriers}
        few = {n for n in record.alive if rare != "keep" and cells.copies[n] < plan.minimum}
        if not alone and not few:
            return None
        reason = "private_allele" if alone else "minimum_allele_count"
        if (alone and private == "drop") or (few and rare == "drop"):
            return reason
        cells.mask_carriers(alone | few)
        if _carried(record, cells):
            return reason


def _write(layout: Layout, record: Record, cells: Cells, slots: list[int], keys: int, tally: Tally) -> bytes:
    plan, fields = layout.plan, record.fields
    cut = _cut(record)
    ref = fields[3][: len(fields[3]) - cut]
    named = sorted((_trimmed(record, number, cut), number) for number in record.alive)
    if any(one[0] == other[0] for one, other in pairwise(named)):
        raise Fault("bad_allele")
    order = [number for _, number in named]
    body, depth = b"", None
    if not plan.sites_only:
        written = write_cells(layout, cells, order, slots, keys)
        if isinstance(written, str):
            raise Fault(written)
        body, depth = written
    out = [
        fields[0],
        fields[1],
        fields[2] if plan.keep_id else b".",
        ref,
        b",".join(alt for alt, _ in named),
        fields[5] if plan.keep_quality else b".",
        fields[6] if plan.keep_filter else b".",
        _info(layout, record, cells, order, depth),
    ]
    if not plan.sites_only:
        out += [":".join(layout.format).encode(), body]
    _tally(cells, order, tally)
    return b"\t".join(out) + b"\n"


def _trimmed(record: Record, number: int, cut: int) -> bytes:
    alt = record.alts[number - 1]
    return alt[: len(alt) - cut] if record.kinds[number - 1] == Kind.SEQUENCE else alt


def _info(layout: Layout, record: Record, cells: Cells, order: list[int], depth: int | None) -> bytes:
    copies = [cells.copies[number] for number in order]
    values: dict[str, str | None] = {
        "AC": ",".join(map(str, copies)),
        "AN": str(cells.called),
        "AF": ",".join(allele_frequency(count, cells.called) for count in copies),
        "NS": str(cells.samples_called()),
        "DP": None if depth is None else str(depth),
    }
    if "END" in layout.info:
        end = _info_end(record) if _reaches(record) else None
        values["END"] = None if end is None else str(end)
    return ";".join(f"{key}={values[key]}" for key in layout.info if values[key] is not None).encode() or b"."


def _tally(cells: Cells, order: list[int], tally: Tally) -> None:
    for column in cells.uncalled():
        tally.missing[column] += 1
    for number in order:
        if cells.copies[number] == 1:
            tally.singletons[cells.carrier(number)] += 1
