"""One recipient's copy of a core view of reads: internal codes and read names become that recipient's.

A second pass of the same kernel with every tag, flag and quality kept: @RG SM and ID are renamed, names are hashed once
more under the recipient's key, and nothing is decided or left out. Two recipients share no read name, and reads of one
place stand in the order of those names, so that they share no order either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from deid.reads.core import STANDARD, ReadCounts, ReadsOptions, core_view
from deid.reads.plan import TAGS, ReadsPlan


def copy_view(
    core: BinaryIO, sink: BinaryIO, *, names: Mapping[str, str], key: bytes, options: ReadsOptions = STANDARD
) -> ReadCounts:
    """Write ``core`` with each internal code replaced by ``names[code]``; ``key``: 16 bytes of this recipient's.

    Raises ``ReadsError`` as ``core_view`` does; nobody's reads are left out, since a core view holds no others.
    """
    plan = ReadsPlan(tags=TAGS, quality="keep", drop_flags=0, ties_by_name=True)
    return core_view(plan, core, sink, participants=names, key=key, options=options)
