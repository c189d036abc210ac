"""Columns of a large table read two at a time: what libraries do outside the interpreter's lock then takes two cores.

Results come in the order asked for and depend on nothing else; no more than three are held at once. A small table is
read one column after the other, for a thread costs more than it saves there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

WORTH = 200_000
"""Rows from which on two threads are quicker than one."""
Item = TypeVar("Item")
Made = TypeVar("Made")


def abreast(work: Callable[[Item], Made], items: Iterable[Item], *, rows: int) -> Iterator[Made]:
    """``work`` of each item in order. What a piece of work raises is raised where its result would have come."""
    if rows < WORTH:
        yield from map(work, items)
        return
    from deid.variants.stream import Workers  # only where it pays

    workers = Workers(2, ahead=3)
    try:
        yield from workers.over(work, items)
    finally:
        workers.close()


def each_thread(make: Callable[[], Made]) -> Callable[[], Made]:
    """Gives every thread a thing of its own, made once: an open file is not for two threads at once."""
    held = threading.local()

    def mine() -> Made:
        if not hasattr(held, "thing"):
            held.thing = make()
        thing: Made = held.thing
        return thing

    return mine
