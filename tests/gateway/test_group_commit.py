"""Transactions that share a commit: each has its own result, none is answered before it is durable, none takes another."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from gateway.errors import Conflict, Unavailable
from gateway.ports import Tx
from gateway.store.tables import metadata
from gateway.store.together import GROUP, Together
from gateway.store.transactions import SqlUnitOfWork, open_engine


@pytest.fixture
def uow(tmp_path: Path) -> Iterator[SqlUnitOfWork]:
    engine = open_engine(f"sqlite:///{tmp_path / 'house.sqlite'}")
    metadata.create_all(engine)
    yield SqlUnitOfWork(engine)
    engine.dispose()


def put(name: str, value: int = 1) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        tx.insert("epoch", {"id": name, "value": value})
        return name

    return work


def all_at_once(uow: SqlUnitOfWork, works: list[Callable[[Tx], Any]]) -> list[Any]:
    """The results, or what was raised; the first holds the lock until all others wait, so that they form a group."""
    waiting = threading.Event()
    results: list[Any] = [None] * len(works)

    def hold(tx: Tx) -> None:
        del tx
        waiting.wait(20)

    def one(number: int) -> None:
        try:
            results[number] = uow.run(works[number])
        except Exception as error:  # noqa: BLE001  the test looks at it
            results[number] = error

    def first() -> None:
        with suppress(Exception):
            uow.run(hold)

    holder = threading.Thread(target=first)
    holder.start()
    time.sleep(0.1)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    together = uow._together
    assert together is not None
    until = time.monotonic() + 10
    while len(together._waiting) < len(works) and time.monotonic() < until:
        time.sleep(0.005)
    waiting.set()
    for thread in [holder, *threads]:
        thread.join(30)
    return results


def commits(uow: SqlUnitOfWork) -> list[int]:
    """Grows by one with each commit of the database."""
    seen: list[int] = []
    event.listen(uow.engine, "commit", lambda _connection: seen.append(1))
    return seen


def names(uow: SqlUnitOfWork) -> list[str]:
    return [row["id"] for row in uow.read(lambda tx: tx.find("epoch"))]


def test_those_that_wait_share_one_commit_and_each_has_its_own_result(uow: SqlUnitOfWork) -> None:
    seen = commits(uow)
    results = all_at_once(uow, [put(f"n{n:02}") for n in range(20)])
    assert sorted(results) == names(uow) == [f"n{n:02}" for n in range(20)]
    assert len(seen) == 2, "the holder's, and one for all twenty"


def test_a_group_has_an_end(uow: SqlUnitOfWork) -> None:
    seen = commits(uow)
    all_at_once(uow, [put(f"n{n:03}") for n in range(GROUP + 5)])
    assert len(names(uow)) == GROUP + 5
    assert len(seen) == 3


def test_one_that_fails_is_told_so_and_takes_no_other_with_it(uow: SqlUnitOfWork) -> None:
    def refuses(tx: Tx) -> None:
        tx.insert("epoch", {"id": "refused", "value": 1})
        raise Conflict("not this one")

    results = all_at_once(uow, [put("a"), refuses, put("b"), put("a"), put("c")])
    assert [r for r in results if isinstance(r, str)].count("a") == 1, "the second of one name conflicts"
    assert sum(isinstance(r, Conflict) for r in results) == 2
    assert names(uow) == ["a", "b", "c"], "and nothing of what was refused is there"


def test_nobody_is_answered_before_the_commit_is_on_disk(uow: SqlUnitOfWork, tmp_path: Path) -> None:
    """Another connection sees the row at the moment its writer has the answer."""
    missing: list[str] = []

    def write(number: int) -> None:
        for n in range(20):
            name = uow.run(put(f"{number}-{n}"))
            with sqlite3.connect(tmp_path / "house.sqlite") as other:
                if other.execute("select 1 from epoch where id = ?", (name,)).fetchone() is None:
                    missing.append(name)
            other.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert len(names(uow)) == 160


def test_a_commit_that_fails_answers_nobody_and_leaves_nothing(
    uow: SqlUnitOfWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_connection: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(uow.engine.dialect, "do_commit", fails)
    results = all_at_once(uow, [put("a"), put("b")])
    monkeypatch.undo()
    assert all(isinstance(result, Exception) for result in results)
    assert names(uow) == []


def test_a_transaction_inside_a_transaction_is_refused_at_once(uow: SqlUnitOfWork) -> None:
    with pytest.raises(RuntimeError, match="inside a transaction"):
        uow.run(lambda _tx: uow.run(put("inner")))
    assert uow.run(put("after")) == "after", "and the next one goes on"


def test_each_works_in_its_own_context(uow: SqlUnitOfWork) -> None:
    """Traces follow the one who asked, whoever's thread does the work."""
    import contextvars

    mine: contextvars.ContextVar[int] = contextvars.ContextVar("mine")
    found: dict[int, int] = {}

    def one(number: int) -> None:
        mine.set(number)
        uow.run(lambda _tx: found.__setitem__(number, mine.get()))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(12)}


def test_one_cut_short_by_the_end_of_its_leaders_thread_says_that_nothing_was_written() -> None:
    started, release = threading.Event(), threading.Event()

    def commit(works: list[Callable[[Any], Any]]) -> list[Any]:
        started.set()
        release.wait(10)
        if len(works) > 1:
            raise KeyboardInterrupt
        return [work(None) for work in works]

    together, told = Together(commit), list[Any]()

    def ask() -> None:
        try:
            told.append(together.run(lambda _tx: "done"))
        except BaseException as error:  # noqa: BLE001  the test looks at it
            told.append(type(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    started.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(together._waiting) < 2:
        time.sleep(0.01)
    release.set()
    for thread in threads:
        thread.join(10)
    assert told.count("done") == 1
    assert set(told) == {"done", KeyboardInterrupt, Unavailable}
    assert together.run(lambda _tx: "later") == "later"
