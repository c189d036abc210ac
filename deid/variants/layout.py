"""Everything a record rewriter needs to know, said once for both twins (the compiled kernel and plain Python).

Columns are numbered as in the source; output order is the order of ``columns``. Not here: how a record is rewritten.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from deid import native
from deid.nouns import TYPE_CHECKING, Noun
from deid.variants.header import SourceHeader, format_kept, info_kept
from deid.variants.plan import VariantPlan
from deid.variants.regions import Regions

if TYPE_CHECKING:
    from typing import TypeAlias

Counts: TypeAlias = "array[int]"
"""Signed 64-bit counts, one per output column (numpy would cost a short task more to load than to use)."""

REASONS = ("no_carrier", "masked", "private_allele", "minimum_allele_count", "outside_region")
"""Why a record does not leave: no permitted carrier; mask; too few carriers; too few copies; not asked for."""


class Layout(Noun):
    """The plan joined with one source's header and the permitted columns in output order."""

    plan: VariantPlan
    columns: tuple[int, ...]
    source_columns: int
    contigs: frozenset[bytes]
    contig_order: tuple[bytes, ...]
    filters: frozenset[bytes]
    region: Regions | None
    format: tuple[str, ...]
    info: tuple[str, ...]


class Rewritten(Noun):
    """What became of one chunk of whole lines.

    ``missing`` and ``singletons`` hold one count per output column: written genotypes without a called allele, and ALT
    alleles written with a single copy. ``fault`` is an index into ``RECORD_ERRORS`` and ``line`` the failing line's
    index in the chunk; 0 and the number of lines where all went well.
    """

    text: bytes
    records_in: int
    records_out: int
    removed: tuple[int, ...]
    missing: Counts
    singletons: Counts
    fault: int
    line: int


def no_counts(width: int) -> Counts:
    """Zeros."""
    return array("q", bytes(8 * width))


def add_counts(total: Counts, more: Counts) -> None:
    """Add ``more`` to ``total``, column by column."""
    if native.has_variants:
        native._variants.add(total, more)
        return
    for column, count in enumerate(more):
        total[column] += count


def layout_of(plan: VariantPlan, source: SourceHeader, columns: Sequence[int], region: Regions | None = None) -> Layout:
    """The layout for the source columns ``columns``, in output order; ``region`` None is the whole file."""
    return Layout(
        plan=plan,
        columns=tuple(columns),
        source_columns=len(source.samples),
        contigs=frozenset(name for name, _ in source.contigs),
        contig_order=tuple(name for name, _ in source.contigs),
        filters=frozenset({*source.filters, b"PASS"}),
        region=region,
        format=format_kept(plan, source),
        info=info_kept(plan, source),
    )
