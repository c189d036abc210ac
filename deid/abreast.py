"""Columns of a large table read two at a time: what libraries do outside the interpreter's lock then takes two cores.

Results come in the order asked for and depend on nothing else; no more than three are held at once. A small table is
read one column after the other, for a thread costs more than it saves there.
"""

from __future__ import annotations

import threading
from collections import deque
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
    from concurrent.futures import Future, ThreadPoolExecutor  # only where it pays

    with ThreadPoolExecutor(2) as pool:
        ahead: deque[Future[Made]] = deque()
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > 2:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def each_thread(make: Callable[[], Made]) -> Callable[[], Made]:
    """Gives every thread a thing of its own, made once: an open file is not for two threads at once."""
    held = threading.local()

    def mine() -> Made:
        if not hasattr(held, "thing"):
            held.thing = make()
        thing: Made = held.thing
        return thing

    return mine
