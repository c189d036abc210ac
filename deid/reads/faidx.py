"""The index of a FASTA (.fai) worked out from its bytes, read once from front to back; nothing of the source's is used.

Columns as samtools faidx writes them: name, length, offset of the first base, bases and bytes per line. A FASTA whose
lines of one sequence differ in length (but the last), that is compressed or names a sequence twice is refused: an index
into it would lead to other bases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from deid.reads.errors import ReadsError

MOST_SEQUENCES = 1 << 20
LONGEST_LINE = 1 << 30


@dataclass(slots=True, kw_only=True)
class _Sequence:
    name: str
    offset: int
    length: int = 0
    bases: int = 0
    width: int = 0
    ended: bool = False

    def line(self) -> str:
        return f"{self.name}\t{self.length}\t{self.offset}\t{self.bases}\t{self.width}\n"


def fasta_index(source: BinaryIO) -> str:
    """The text of the .fai. Raises ``ReadsError`` (``bad_reference``) with the line."""
    found: dict[str, _Sequence] = {}
    for one in _sequences(source):
        if one.name in found or len(found) == MOST_SEQUENCES:
            raise ReadsError("bad_reference", f"sequence {len(found) + 1} of the reference stands there twice")
        found[one.name] = one
    if not found:
        raise ReadsError("bad_reference", "the reference holds no sequence")
    return "".join(one.line() for one in found.values())


def _sequences(source: BinaryIO) -> Iterator[_Sequence]:
    one, at, number = None, 0, 0
    while line := source.readline(LONGEST_LINE):
        at, number = at + len(line), number + 1
        if line[:1] == b">":
            if one is not None:
                yield one
            one = _Sequence(name=_name(line, number), offset=at)
        elif one is None:
            raise ReadsError("bad_reference", "the reference is no plain FASTA: it does not begin with a name")
        else:
            _add(one, line, number)
    if one is not None:
        yield one


def _name(line: bytes, number: int) -> str:
    words = line[1:].split()
    if not words or not words[0].isascii():
        raise ReadsError("bad_reference", f"line {number} of the reference names no sequence")
    return words[0].decode("ascii")


def _add(one: _Sequence, line: bytes, number: int) -> None:
    bases = len(line.rstrip(b"\r\n"))
    if not one.width:
        one.bases, one.width = bases, len(line)
    elif one.ended or bases > one.bases:
        raise ReadsError("bad_reference", f"line {number} of the reference is longer than the lines before it")
    one.length += bases
    one.ended = bases < one.bases or len(line) != one.width
