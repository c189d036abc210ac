"""REF and ALT: which alleles there are, and how they are written when some of them stay behind.

An allele nobody permitted carries must leave no trace, so the alleles that remain lose the bases they share at the end
(REF and ALT were only that long because of the allele that left) and stand in byte order (the caller's order ranks the
whole cohort). The start is not trimmed: that would move POS. VCF 4.3 section 1.6.1 (REF, ALT).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

MAX_ALT = 1000
BASES = re.compile(rb"[ACGTNRYSWKMBDHVacgtnryswkmbdhv]+")
PRINTABLE = re.compile(rb"[!-+\--~]+")  # printable ASCII but the comma
UNSPECIFIED = frozenset({b"*", b"<*>", b"<NON_REF>"})


class Kind(IntEnum):
    """How an ALT says what it is."""

    SEQUENCE = 0
    UNSPECIFIED = 1  # says "something else, described elsewhere": never a reason for a record to exist
    SYMBOLIC = 2
    BREAKEND = 3


def kind_of(allele: bytes) -> Kind | None:
    """The kind of one ALT, None where it is no allele."""
    if BASES.fullmatch(allele):
        return Kind.SEQUENCE
    if allele in UNSPECIFIED:
        return Kind.UNSPECIFIED
    if not PRINTABLE.fullmatch(allele) or len(allele) < 2:
        return None
    if allele[:1] == b"<" and allele[-1:] == b">":
        return Kind.SYMBOLIC if len(allele) > 2 else None
    is_breakend = b"[" in allele or b"]" in allele or allele[:1] == b"." or allele[-1:] == b"."
    return Kind.BREAKEND if is_breakend else None


def cut_of(ref: bytes, alts: Sequence[bytes], kinds: Sequence[Kind]) -> int:
    """How many bases the end of REF loses, and with it every sequence ALT; at least one base always stays."""
    sequences = [ref, *(alt for alt, kind in zip(alts, kinds, strict=True) if kind == Kind.SEQUENCE)]
    if len(sequences) == 1:
        # Nothing spells bases: REF is the one padding base of a symbolic allele (VCF 4.3 section 1.6.1, ALT).
        return len(ref) - 1
    most = min(map(len, sequences)) - 1
    cut = 0
    while cut < most and len({sequence[-1 - cut] for sequence in sequences}) == 1:
        cut += 1
    return cut
