"""Reads of one place in the order of their new names: for a copy, whose order must be this recipient's and no other's.

Coordinates order a sorted file but for ties; left as they were, ties would show two recipients the same order. At most
``MOST`` reads of one place are held and put in order together; a longer run, and the unplaced reads at the end, are
ordered by the group of so many.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from deid import native
from deid.reads.engine import is_compiled
from deid.reads.names import LENGTH
from deid.reads.records import split

MOST = 1 << 16
PLACE = struct.Struct("<ii")
NAME = slice(32, 32 + LENGTH)


def ties_by_name(texts: Iterable[bytes], *, compiled: bool | None = None) -> Iterator[bytes]:
    """The same whole records, in the order of their places and, in one place, of their names."""
    return _compiled(texts) if is_compiled(compiled) else _plain(texts)


def _compiled(texts: Iterable[bytes]) -> Iterator[bytes]:
    held, count = [b""], 0
    for text in texts:
        more = native._reads.one_run(text)
        if count and more and count + more <= MOST and text[4:12] == held[0][4:12]:
            held.append(text)  # a place deeper than a text is not looked at again with each
            count += more
            continue
        whole = b"".join((*held, text))
        done, begin = native._reads.ties(whole, MOST)
        held = [whole[begin:]]
        count = native._reads.one_run(held[0])
        yield done
    yield b"".join(_in_order(list(split(b"".join(held)))))


def _plain(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The kernel's twin."""
    waiting: list[bytes] = []
    here = None
    for text in texts:
        done: list[bytes] = []
        for body in split(text):
            place = PLACE.unpack_from(body)
            if place != here or len(waiting) == MOST:
                done += _in_order(waiting)
                waiting, here = [], place
            waiting.append(body)
        yield b"".join(done)
    yield b"".join(_in_order(waiting))


def _in_order(bodies: list[bytes]) -> Iterator[bytes]:
    for body in sorted(bodies, key=lambda one: (one[NAME], one)):
        yield struct.pack("<I", len(body)) + body
