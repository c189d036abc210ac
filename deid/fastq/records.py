"""FASTQ records rewritten in plain Python: the twin of ``native/fastq.c``, byte for byte.

A record is four lines (Cock et al. 2010, Sanger variant: quality plus 33). Of its name line only the name is read, and
that is replaced; comment, index sequences and the repeated name on the ``+`` line are not written.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from deid.fastq.errors import FAULT
from deid.reads.names import new_name, siphash128
from deid.reads.plan import quality_table

NAME = re.compile(rb"@([!-~]+)(?:[ \t]|\Z)")
MATE = (b"/1", b"/2")
BASES = bytes(code if chr(code) in "ACGTNRYSWKMBDHVUacgtnryswkmbdhvu.*-" else 0 for code in range(256))
FIRST, MOST, DROPPED = 33, 93, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """One chunk: the text, 8 bytes per name (the first hash word), how many records, and a fault or 0."""

    text: bytes
    names: bytes = field(repr=False)
    records: int
    fault: int


def quality_line_table(name: str) -> bytes:
    """256 bytes from quality character to quality character, 0 for what is none; ``drop`` writes one constant."""
    table = quality_table("keep" if name == "drop" else name)
    kept = [FIRST + (DROPPED if name == "drop" else table[value]) for value in range(MOST + 1)]
    return bytes(FIRST) + bytes(kept) + bytes(256 - FIRST - MOST - 1)


def rewrite(key: bytes, quality: bytes, chunk: bytes) -> Rewritten:
    """Rewrite whole records; stops at the first that cannot be read."""
    lines = chunk.split(b"\n")[:-1]
    out: list[bytes] = []
    words: list[int] = []
    fault = 0
    for at in range(0, len(lines), 4):
        made = _one(key, quality, lines[at : at + 4])
        if isinstance(made, str):
            fault = FAULT[made]
            break
        out.append(made[0])
        words.append(made[1])
    return Rewritten(text=b"".join(out), names=struct.pack(f"<{len(words)}Q", *words), records=len(out), fault=fault)


def _one(key: bytes, quality: bytes, lines: list[bytes]) -> tuple[bytes, int] | str:
    """The record to write and its name's hash word; or the code of a fault."""
    if any(line.endswith(b"\r") for line in lines):
        return "crlf"
    if len(lines) < 4:
        return "ragged"
    head, bases, plus, qualities = lines
    found = NAME.match(head)
    if found is None:
        return "bad_name"
    if not plus.startswith(b"+"):
        return "bad_plus"
    if len(bases) != len(qualities):
        return "ragged"
    name = found[1]
    if len(name) > 2 and name.endswith(MATE):
        name = name[:-2]
    words = siphash128(key, name)
    written = bases.translate(BASES)
    if 0 in written:
        return "bad_base"
    shown = qualities.translate(quality)
    if 0 in shown:
        return "bad_quality"
    return b"@%b\n%b\n+\n%b\n" % (new_name(words), written, shown), words[0]
