"""Whether the bases of records are the reference's, by the compiled kernel or its plain twin.

Not here: every other thing that makes a substituted read (``survey.py``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from deid import native
from deid.reads.engine import is_compiled, prepared
from deid.reads.layout import Chunk, Layout
from deid.reads.places import stretch_of
from deid.reads.records import Fault, parse, split
from deid.reads.reference import Reference
from deid.reads.substitute import packed

HEAD = struct.Struct("<4xii8xi")


def bases_judge(layout: Layout, reference: Reference, *, compiled: bool | None = None) -> Callable[[Chunk], bool]:
    """What says of a chunk of whole sound records whether every base is that of the reference at its place."""
    if not is_compiled(compiled):
        return lambda chunk: are_reference(layout, reference, chunk)
    ready = prepared(layout)
    judge = partial(_are_reference, layout, reference, ready)
    return lambda chunk: judge(chunk.head, 0, len(chunk.head)) and judge(chunk.text, chunk.start, chunk.end)


def _are_reference(layout: Layout, reference: Reference, ready: object, text: bytes, at: int, end: int) -> bool:
    while at < end:
        contig, position, length = HEAD.unpack_from(text, at)
        if not _lies_in(layout, contig, position, length):
            return False
        bases = stretch_of(layout, reference, contig, position, length)
        stop = native._reads.compare(ready, text, at, end, contig, bases, position)
        if stop == at:  # a record that lies in the stretch is passed only where it is the same
            return False
        at = stop
    return True


def _lies_in(layout: Layout, contig: int, position: int, length: int) -> bool:
    return 0 <= contig < len(layout.lengths) and position >= 0 <= length and position + length <= layout.lengths[contig]


def are_reference(layout: Layout, reference: Reference, chunk: Chunk) -> bool:
    """The kernel's twin."""
    try:
        for body in split(chunk.records):
            record = parse(layout, body, tagged=False)
            contig, position, length = record.fixed[0], record.fixed[1], record.fixed[7]
            if not _lies_in(layout, contig, position, length):
                return False
            if record.sequence != packed(reference.bases(layout.contigs[contig], position, position + length)):
                return False
    except Fault:
        return False
    return True
