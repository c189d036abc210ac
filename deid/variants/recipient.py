"""One recipient's copy of a core view: internal codes become that recipient's names, columns follow the names.

A cheap second pass: nothing is decided, counted or left out. Only what ``core_view`` writes is accepted, so that a
source file given by mistake does not pass. Not here: where names come from, sealing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeAlias

from deid.bgzf import Text
from deid.variants.engine import Reordered, reorderer
from deid.variants.errors import RECORD_ERRORS, VariantError
from deid.variants.header import FORMAT_LINES, INFO_LINES, SourceHeader, check_names, parse_header
from deid.variants.layout import Layout, layout_of
from deid.variants.plan import VariantPlan
from deid.variants.stream import Opened, Workers, Written, is_bcf, open_packed, over_lines, split_header, write_text

OUR_LINE = re.compile(
    rb"##fileformat=VCFv4\.2"
    rb"|##contig=<ID=[^,<>\s]+(,length=\d+)?>"
    rb'|##FILTER=<ID=PASS,Description="All filters passed">'
    rb'|##FILTER=<ID=[^,\s]+,Description="As named by the source">'
)
NUMBERED = re.compile(rb",IDX=\d+>(?=\n)")
OUR_FIELDS = frozenset(line.encode() for line in (*INFO_LINES.values(), *FORMAT_LINES.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyCounts:
    """What was copied; ``digest`` is ``sha256:`` of the compressed bytes as written, ``bytes`` their number."""

    records: int
    participants: int
    digest: str
    bytes: int


def copy_view(
    core: BinaryIO,
    sink: BinaryIO,
    *,
    names: Mapping[str, str],
    level: int = 6,
    threads: int = 1,
    compiled: bool | None = None,
) -> CopyCounts:
    """Write ``core`` with every internal code replaced by ``names[code]`` and the columns ordered by name.

    A VCF is copied as VCF, a BCF as BCF. ``names`` must cover exactly the participants of the core view. A sites-only
    view is copied as it is.
    Raises ``VariantError``: ``names_differ``, ``bad_name``, ``not_a_core_view``, or a container's fault.
    """
    check_names(names.values(), what="recipient names")
    workers = Workers(threads)
    written, counter = Written(sink), [0]
    try:
        opened = open_packed(core)
        if is_bcf(opened.first):
            texts, people = _copied_bcf(names, opened.texts(workers), counter)
        else:
            texts, people = _copied_text(names, opened, counter, partial(_reordered, workers, compiled))
        write_text(texts, written, workers, level)
    finally:
        workers.close()
    return CopyCounts(records=counter[0], participants=people, digest=written.digest(), bytes=written.size)


def _copied_bcf(names: Mapping[str, str], pieces: Iterator[bytes], counter: list[int]) -> tuple[Iterator[Text], int]:
    from deid.variants.bcf_copy import bcf_header, reordered_bcf, split_bcf_header  # needs numpy, VCF does not

    head, rest = split_bcf_header(pieces)
    # htslib numbers the dictionary's entries in a BCF header; the numbers stay, and are no part of what is believed.
    header = _ours(NUMBERED.sub(b">", head))
    order = _columns(header, names) if header.samples else []
    renamed = _renamed(head, sorted(names.values())) if header.samples else head

    def texts() -> Iterator[Text]:
        yield bcf_header(renamed)
        for text, records in reordered_bcf(rest, pieces, order):
            counter[0] += records
            yield text

    return texts(), len(header.samples)


Reordering: TypeAlias = Callable[[Layout | None, bytes, Opened], Iterator[Reordered]]


def _copied_text(
    names: Mapping[str, str], opened: Opened, counter: list[int], reordered: Reordering
) -> tuple[Iterator[Text], int]:
    head, rest = split_header(opened.texts())
    header = _ours(head)
    layout = layout_of(VariantPlan(), header, _columns(header, names)) if header.samples else None
    if header.samples:
        head = _renamed(head, sorted(names.values()))
    return _texts(head, header, reordered(layout, rest, opened), counter), len(header.samples)


def _reordered(
    workers: Workers, compiled: bool | None, layout: Layout | None, rest: bytes, opened: Opened
) -> Iterator[Reordered]:
    work = _unchanged if layout is None else reorderer(layout, compiled=compiled)
    return over_lines(work, rest, opened, workers)


def _unchanged(chunk: Text) -> Reordered:
    return Reordered(text=chunk, fault=0, line=bytes(chunk).count(b"\n"))


def _ours(head: bytes) -> SourceHeader:
    """Proof that each header line is one that ``core_view`` writes."""
    for number, line in enumerate(head.split(b"\n")[:-2], start=1):
        if line not in OUR_FIELDS and not OUR_LINE.fullmatch(line):
            raise VariantError("not_a_core_view", "is not a header line that a core view has", line=number)
    return parse_header(head)


def _columns(header: SourceHeader, names: Mapping[str, str]) -> list[int]:
    places = {code: index for index, code in enumerate(header.samples)}
    if places.keys() != names.keys():
        raise VariantError("names_differ", "the names given do not cover exactly the participants of the core view")
    return [places[code] for code in sorted(names, key=lambda code: names[code])]


def _renamed(head: bytes, names: Iterable[str]) -> bytes:
    lines = head.split(b"\n")[:-1]
    fixed = lines[-1].split(b"\t")[:9]
    lines[-1] = b"\t".join([*fixed, *(name.encode() for name in names)])
    return b"\n".join(lines) + b"\n"


def _texts(head: bytes, header: SourceHeader, done: Iterable[Reordered], counter: list[int]) -> Iterator[Text]:
    yield head
    for one in done:
        if one.fault:
            code, sentence = RECORD_ERRORS[one.fault]
            raise VariantError(code, sentence, line=header.lines + counter[0] + one.line + 1)
        counter[0] += one.line
        yield one.text
