"""Two engines for one job: the compiled kernel and plain Python. The bytes are the same; only the time differs.

An engine is prepared once for a layout and then called from any thread. Not here: where chunks come from.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from deid import native
from deid.bgzf import Text
from deid.nouns import Noun
from deid.variants.errors import FAULT, VariantError
from deid.variants.layout import Layout, Rewritten, no_counts
from deid.variants.plan import FORMAT_KEYS, INFO_KEYS
from deid.variants.regions import Regions

RARITY = {"keep": 0, "drop": 1, "mask": 2}

Rewrite = Callable[[Text], Rewritten]


class Reordered(Noun):
    """The lines of a core view with their cells in another order; ``fault`` and ``line`` as in ``Rewritten``."""

    text: Text
    fault: int
    line: int


Reorder = Callable[[Text], Reordered]


def compiled_or_python(compiled: bool | None) -> bool:
    """Whether to use the kernel: as asked, or where it is there. Asked for and absent: ``VariantError``."""
    if compiled and not native.has_variants:
        raise VariantError("no_kernel", "the compiled kernel was asked for and is not installed")
    return native.has_variants if compiled is None else compiled


def rewriter(layout: Layout, *, compiled: bool | None = None) -> Rewrite:
    """What turns whole source lines into lines of the core view."""
    if not compiled_or_python(compiled):
        from deid.variants import records  # a tenth of a short task's time, and only where there is no kernel

        return lambda chunk: records.rewrite(layout, bytes(chunk))
    prepared = native._variants.prepare(_packed(layout))
    width = len(layout.columns)

    def rewrite(chunk: Text) -> Rewritten:
        missing, singletons = no_counts(width), no_counts(width)
        text, read, written, removed, fault, line = native._variants.rewrite(prepared, chunk, missing, singletons)
        return Rewritten(
            text=text,
            records_in=read,
            records_out=written,
            removed=removed,
            missing=missing,
            singletons=singletons,
            fault=fault,
            line=line,
        )

    return rewrite


def reorderer(layout: Layout, *, compiled: bool | None = None) -> Reorder:
    """What puts the cells of a core view's lines into the order of ``layout.columns``."""
    if not compiled_or_python(compiled):
        return lambda chunk: _reorder(layout, bytes(chunk))
    prepared = native._variants.prepare(_packed(layout))

    def reorder(chunk: Text) -> Reordered:
        text, _, _, _, fault, line = native._variants.reorder(prepared, chunk)
        return Reordered(text=text, fault=fault, line=line)

    return reorder


def _reorder(layout: Layout, chunk: bytes) -> Reordered:
    written: list[bytes] = []
    for number, line in enumerate(chunk.split(b"\n")[:-1]):
        fields = line.split(b"\t")
        if len(fields) != 9 + layout.source_columns:
            return Reordered(text=b"".join(written), fault=FAULT["ragged_line"], line=number)
        cells = [fields[9 + column] for column in layout.columns]
        written.append(b"\t".join([*fields[:9], *cells]) + b"\n")
    return Reordered(text=b"".join(written), fault=0, line=len(written))


def _packed(layout: Layout) -> tuple[bytes, ...]:
    """The layout as the kernel reads it: native 64-bit numbers, names joined with their offsets."""
    plan = layout.plan
    options = (
        layout.source_columns,
        plan.keep_id,
        plan.keep_quality,
        plan.keep_filter,
        plan.sites_only,
        plan.mask_except,
        plan.minimum,
        RARITY[plan.rare],
        plan.rare_except,
        RARITY[plan.private],
        plan.private_except,
        plan.carriers,
        plan.keep_blocks,
        layout.region is not None,
    )
    return (
        _numbers(options),
        _numbers(layout.columns),
        *_names(layout.contig_order),
        *_names(sorted(layout.filters)),
        *_names([key.encode() for key in layout.format]),
        *_spans(plan.mask, layout.contig_order),
        *_spans(plan.panel, layout.contig_order),
        *_spans(layout.region or Regions(), layout.contig_order),
        _numbers([FORMAT_KEYS.index(key) for key in layout.format]),
        _numbers([plan.bins.get(key, 1) for key in layout.format]),
        _numbers([INFO_KEYS.index(key) for key in layout.info]),
        ":".join(layout.format).encode(),
    )


def _numbers(values: Iterable[int]) -> bytes:
    return array("q", values).tobytes()


def _names(names: Sequence[bytes]) -> tuple[bytes, bytes]:
    return b"".join(names), _numbers(accumulate(map(len, names), initial=0))


def _spans(regions: Regions, contigs: Sequence[bytes]) -> tuple[bytes, bytes, bytes]:
    starts = [start for contig in contigs for start in regions.starts.get(contig, ())]
    ends = [end for contig in contigs for end in regions.ends.get(contig, ())]
    sizes = (len(regions.starts.get(contig, ())) for contig in contigs)
    return _numbers(accumulate(sizes, initial=0)), _numbers(starts), _numbers(ends)
