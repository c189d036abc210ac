"""The two files of a pair, written side by side and compared name by name: pairs stay pairs, or nothing leaves.

Both are rewritten under one key, so mates keep a name in common because they had one. The files are read in step, and
no more of either is held than lies between them. Not here: what becomes of a record (``core.py``).
"""

from __future__ import annotations

from typing import BinaryIO

from deid.fastq.core import STANDARD, FastqCounts, FastqOptions, FastqPlan, Writing
from deid.fastq.errors import FastqError

WORD = 8
Two = tuple[BinaryIO, BinaryIO]


def core_pair(
    plan: FastqPlan, sources: Two, sinks: Two, *, key: bytes, options: FastqOptions = STANDARD
) -> tuple[FastqCounts, FastqCounts]:
    """Both files of a pair under one ``key``.

    Raises ``FastqError`` as ``core_view`` does, and ``pairs_differ`` with the line at which the first read begins that
    has not the same name in both files, or has no mate.
    """
    first = Writing(plan, sources[0], sinks[0], key=key, options=options)
    try:
        second = Writing(plan, sources[1], sinks[1], key=key, options=options)
        try:
            _in_step(first, second)
        finally:
            second.close()
    finally:
        first.close()
    return first.counts(), second.counts()


def copy_pair(
    cores: Two, sinks: Two, *, key: bytes, options: FastqOptions = STANDARD
) -> tuple[FastqCounts, FastqCounts]:
    """One recipient's copy of both core views of a pair."""
    return core_pair(FastqPlan(quality="keep"), cores, sinks, key=key, options=options)


def _in_step(first: Writing, second: Writing) -> None:
    compared = 0
    going = {first: True, second: True}
    while any(going.values()):
        # The one that is behind, unless it has ended.
        one = min((side for side in going if going[side]), key=lambda side: len(side.words))
        going[one] = _step(one, 1 if one is first else 2)
        compared += _compare(first, second, compared)
        ended = [side for side in going if not going[side] and not side.words]
        if ended and any(side.words for side in going):
            raise _differ(compared)


def _step(one: Writing, number: int) -> bool:
    try:
        return one.step()
    except FastqError as error:
        named = FastqError(error.code, f"file {number} of the pair: {error}")
        named.line = error.line
        raise named from None


def _compare(first: Writing, second: Writing, before: int) -> int:
    """How many more reads have the same name; they are forgotten."""
    common = min(len(first.words), len(second.words))
    if first.words[:common] != second.words[:common]:
        at = next(n for n in range(0, common, WORD) if first.words[n : n + WORD] != second.words[n : n + WORD])
        raise _differ(before + at // WORD)
    del first.words[:common], second.words[:common]
    return common // WORD


def _differ(reads: int) -> FastqError:
    return FastqError("pairs_differ", "the two files do not hold the same reads in the same order", line=4 * reads + 1)
