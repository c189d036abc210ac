"""The core view of a cohort VCF: the permitted participants under internal codes, and nothing of anyone else.

The promise: the bytes written are a function of the plan, the permitted participants' values in the listed fields, and
the source's contig, FILTER and FORMAT declarations. Who else is in the file, in which order, and what any other column,
key or header line says changes no byte. For that, sites nobody permitted carries are dropped, ALT alleles nobody
permitted carries are cut away and the rest put in byte order, ID and QUAL are emptied and counts made anew.
What remains cohort-derived because a recipe may ask for it: FILTER and QUAL are judgements over the whole cohort; and
which base a record starts at was chosen by a caller that saw everyone (POS is not moved).
The order: read the header, find the columns, rewrite chunk after chunk, compress, write. Nothing is sought, nothing is
held but a few chunks; a sink that has received bytes before an error must be thrown away by its owner.
Not here: recipients' names (``recipient.py``), risk, leak check.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deid.bgzf import Text
from deid.nouns import TYPE_CHECKING, Noun
from deid.variants.engine import rewriter
from deid.variants.errors import RECORD_ERRORS, VariantError
from deid.variants.header import SourceHeader, check_names, parse_header, write_header
from deid.variants.layout import REASONS, Layout, Rewritten, add_counts, layout_of, no_counts
from deid.variants.plan import VariantPlan
from deid.variants.regions import parse_regions
from deid.variants.stream import Workers, Written, in_form, open_text, over_lines, split_header, write_text

if TYPE_CHECKING:
    from typing import BinaryIO, Literal

__all__ = ["OpenedView", "VariantCounts", "core_view", "open_view"]


class VariantCounts(Noun):
    """What was done. ``records_in`` and ``removed["no_carrier"]`` depend on the whole cohort: not for recipients.

    ``digest`` is ``sha256:`` of the compressed bytes as written, ``bytes`` their number. ``called`` has, for each
    participant in output order (by code), the records written with at least one allele called;
    ``singletons_per_participant_max`` is the most single-copy ALT alleles that one participant has in the output.
    """

    records_in: int
    records_out: int
    removed: Mapping[str, int]
    participants: int
    digest: str
    bytes: int
    singletons_per_participant_max: int
    called: tuple[int, ...]


class _Tally:
    def __init__(self, width: int) -> None:
        self.records_in = 0
        self.records_out = 0
        self.removed = dict.fromkeys(REASONS, 0)
        self.missing = no_counts(width)
        self.singletons = no_counts(width)

    def add(self, done: Rewritten) -> None:
        self.records_in += done.records_in
        self.records_out += done.records_out
        add_counts(self.missing, done.missing)
        add_counts(self.singletons, done.singletons)
        for reason, count in zip(REASONS, done.removed, strict=True):
            self.removed[reason] += count


def core_view(
    plan: VariantPlan,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    participants: Mapping[str, str],
    level: int = 6,
    threads: int = 1,
    compiled: bool | None = None,
    region: str | None = None,
    form: Literal["vcf", "bcf"] = "vcf",
) -> VariantCounts:
    """Write the core view of ``source`` (VCF or BCF; a pipe will do) to ``sink`` as bgzip VCF or BCF.

    ``participants`` maps each permitted source column to its internal code; no other column leaves. Columns are ordered
    by code. ``region`` (``1:1,000-2,000``, several by spaces) writes only records that touch it, rewritten as ever.
    ``level`` is libdeflate's. ``compiled`` None uses the kernel where it is installed; the bytes are the same.
    Raises ``VariantError`` with a stable code and, where it has one, the line or the byte offset.
    """
    if not 1 <= level <= 12 or threads < 1:
        raise VariantError("bad_argument", "level must be 1 to 12 and threads at least 1")
    workers = Workers(threads)
    try:
        view = open_view(plan, source, workers, participants=participants, compiled=compiled, region=region)
        written = Written(sink)
        write_text(in_form(view.texts, form), written, workers, level)
    finally:
        workers.close()
    return view.counts(written)


class OpenedView(Noun):
    """A core view about to be made: ``texts`` is its header, then whole lines; counts are whole once they are read."""

    header: SourceHeader
    layout: Layout
    texts: Iterator[Text]
    tally: _Tally

    def counts(self, written: Written) -> VariantCounts:
        """What was done, once ``texts`` has been read and ``written``."""
        return _counts(self.layout, self.tally, written)


def open_view(
    plan: VariantPlan,
    source: BinaryIO,
    workers: Workers,
    *,
    participants: Mapping[str, str],
    compiled: bool | None = None,
    region: str | None = None,
) -> OpenedView:
    """Read the header of ``source`` and hold the rest ready; arguments and errors as for ``core_view``."""
    check_names(participants.values(), what="internal codes")
    opened = open_text(source, workers)
    header_text, rest = split_header(opened.texts())
    header = parse_header(header_text)
    layout = _layout(plan, header, participants, region)
    tally = _Tally(len(layout.columns))
    done = over_lines(rewriter(layout, compiled=compiled), rest, opened, workers)
    head = write_header(plan, header, sorted(participants.values()))
    return OpenedView(header=header, layout=layout, texts=_texts(head, header, done, tally), tally=tally)


def _layout(plan: VariantPlan, header: SourceHeader, participants: Mapping[str, str], region: str | None) -> Layout:
    columns = _columns(header, participants)
    if plan.keep_blocks and len(columns) != len(header.samples):
        # Where a block begins and ends was chosen by looking at everyone in the file.
        raise VariantError("blocks_of_others", "reference blocks are kept only where all in the file are permitted")
    wanted = None if region is None else parse_regions(region, {name for name, _ in header.contigs})
    return layout_of(plan, header, columns, wanted)


def _columns(header: SourceHeader, participants: Mapping[str, str]) -> list[int]:
    """The source column of each permitted participant, ordered by code."""
    if not participants:
        raise VariantError("no_participants", "nobody is permitted, so there is nothing to write")
    places = {name: index for index, name in enumerate(header.samples)}
    absent = sum(name not in places for name in participants)
    if absent:
        what = f"{absent} of the {len(participants)} participants listed have no column in the file"
        raise VariantError("participant_missing", what, line=header.lines)
    by_code = sorted(participants, key=lambda name: participants[name])
    return [places[name] for name in by_code]


def _texts(head: bytes, header: SourceHeader, done: Iterable[Rewritten], tally: _Tally) -> Iterator[Text]:
    yield head
    for one in done:
        if one.fault:
            code, sentence = RECORD_ERRORS[one.fault]
            raise VariantError(code, sentence, line=header.lines + tally.records_in + one.line + 1)
        tally.add(one)
        yield one.text


def _counts(layout: Layout, tally: _Tally, written: Written) -> VariantCounts:
    return VariantCounts(
        records_in=tally.records_in,
        records_out=tally.records_out,
        removed={reason: count for reason, count in tally.removed.items() if count},
        participants=len(layout.columns),
        digest=written.digest(),
        bytes=written.size,
        singletons_per_participant_max=max(tally.singletons),
        called=tuple(tally.records_out - missing for missing in tally.missing),
    )
