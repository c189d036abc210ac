"""Races: what one does at every edge of another's transactions. Nothing may come through between two of them.

``at_every_edge`` runs an act once for each edge (before and after each transaction of it), and at that edge somebody
else acts, in a process's own view of the house, until they are done. So every order of the two at which either could
see the other is tried, on both databases; the quick tests try a few of them, the slow ones all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import make_url

from gateway import datasets, handover
from gateway.errors import Conflict, Gone, NotAllowed, Unavailable
from gateway.ports import Tx, UnitOfWork
from gateway.release import advance, request_release
from gateway.revocation import revoke_grant, withdraw_participant
from tests.plugins.house import copied
from tests.plugins.postgres import Server
from tests.world import ENGINES, World, make_world, reopened, write_source

T = TypeVar("T")


class Edges:
    """A unit of work that calls ``at`` before and after each transaction, with the number of the edge."""

    def __init__(self, inner: UnitOfWork, at: Callable[[int], None]) -> None:
        self.inner, self.at, self.passed = inner, at, 0

    def _edge(self) -> None:
        number, self.passed = self.passed, self.passed + 1
        self.at(number)

    def run(self, work: Callable[[Tx], T]) -> T:
        self._edge()
        done = self.inner.run(work)
        self._edge()
        return done

    def read(self, work: Callable[[Tx], T]) -> T:
        self._edge()
        done = self.inner.read(work)
        self._edge()
        return done


def watched(world: World, at: Callable[[int], None]) -> tuple[World, Edges]:
    """The same house, its transactions watched; whoever acts at an edge has a view of their own."""
    edges = Edges(world.env.uow, at)
    return replace(world, env=replace(world.env, uow=edges)), edges


def count_edges(world: World, act: Callable[[World], object]) -> int:
    seen, edges = watched(world, lambda _edge: None)
    act(seen)
    return edges.passed


def at_edge(world: World, number: int, act: Callable[[World], T], other: Callable[[World], object]) -> T:
    """Do ``act``; at its edge of that number the ``other`` acts, from beginning to end."""
    rival = reopened(world)
    acted: list[int] = []

    def reach(edge: int) -> None:
        if edge == number:
            other(rival)
            acted.append(edge)

    try:
        done = act(watched(world, reach)[0])
    finally:
        ENGINES.pop().dispose()  # or a server runs out of connections, and the other's act fails unseen
    assert acted == [number], "the other came, and was not turned away"
    return done


def releasing(item: str) -> Callable[[World], dict[str, Any]]:
    """Ask, and go on as the worker does: what was not available is tried again from where it stands."""

    def act(world: World) -> dict[str, Any]:
        row = request_release(world.env, world.people["researcher"], item_id=item, view_id=world.views["variants"])
        for _ in range(5):
            with suppress(Unavailable):
                return dict(advance(world.env, row["id"]))
        raise AssertionError("five tries, and still not available")

    return act


def position(world: World, entry_id: str) -> int:
    world.env.ledger.sync()
    return int(world.env.uow.read(lambda tx: tx.find("outbox", entry_id=entry_id))[0]["position"])


def chosen(world: World, act: Callable[[World], object], few: int | None) -> list[int]:
    """Every edge, or a few spread over the whole act."""
    count = count_edges(world, act)
    return list(range(count)) if few is None else sorted({(count - 1) * n // (few - 1) for n in range(few)})


def withdraw(world: World, source_id: str) -> None:
    withdraw_participant(world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id=source_id)


def withdrawal_against_release(world: World, few: int | None) -> None:
    item, people = world.ids["item"], 40
    for left, edge in enumerate(chosen(world, releasing(item), few)):
        released = at_edge(world, edge, releasing(item), lambda rival, left=left: withdraw(rival, f"HOSP{left:04d}"))
        people -= 1
        row = world.row("release", released["id"])
        copy = world.row("copy", row["copy_id"])
        members = world.env.uow.read(lambda tx, row=row: tx.find("core_member", core_view_id=row["core_view_id"]))
        world.env.ledger.sync()
        gone = [e for e in world.entries() if e["kind"] == "restrict"][-1]["position"]
        if position(world, row["opened_entry"]) > gone:
            assert len(members) == people, f"edge {edge}: opened after the withdrawal, so without the person"
            assert copy["state"] == "available", edge
        else:
            assert len(members) == people + 1
            assert copy["state"] == "killed", f"edge {edge}: opened before, so the copy is dead"
            with pytest.raises((Gone, Conflict)):
                handover.list_files(world.env, world.people["researcher"], row["id"])


def test_a_withdrawal_at_some_edges_of_a_release_never_leaves_the_person_in_it(world: World) -> None:
    withdrawal_against_release(world, few=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_withdrawal_at_every_edge_of_a_release_never_leaves_the_person_in_it(any_world: World) -> None:
    withdrawal_against_release(any_world, few=None)


def resumed(world: World, release_id: str, got: list[int]) -> None:
    """A client that fetches in four parts, each a request of its own, and notes what it was given."""
    me = world.people["researcher"]
    size = handover.list_files(world.env, me, release_id)[0]["size"]
    name = handover.list_files(world.env, me, release_id)[0]["name"]
    for part in range(4):
        opened = handover.open_file(world.env, me, release_id, name)
        start, end = size * part // 4, size * (part + 1) // 4
        if handover.may_go_on(world.env, me, opened):
            handover.charge(world.env, opened, start=start, end=end)
            got.append(end - start)
            handover.settle(world.env, opened, sent=(start, end))
        else:
            handover.settle(world.env, opened, sent=(start, start))


def revocation_against_resume(world: World, few: int | None) -> None:
    first = world.release(world.ids["item"])["id"]
    for edge in chosen(world, lambda seen: resumed(seen, first, []), few):
        item = world.granted()
        release_id, got, at_revocation = world.release(item)["id"], list[int](), list[int]()

        def revoke(rival: World, item: str = item, got: list[int] = got, at: list[int] = at_revocation) -> None:
            revoke_grant(rival.env, rival.people["steward"], rival.ids[f"grant:{item}"])
            at.append(len(got))

        with suppress(Gone, Conflict, NotAllowed):
            at_edge(world, edge, lambda seen, one=release_id, got=got: resumed(seen, one, got), revoke)
        assert at_revocation, edge
        assert len(got) - at_revocation[0] <= 1, f"edge {edge}: at most the part that had been allowed already"
        with pytest.raises((Gone, Conflict, NotAllowed)):
            handover.list_files(world.env, world.people["researcher"], release_id)
        assert world.row("release", release_id)["state"] == "closed"
        charged = world.env.uow.read(lambda tx, one=release_id: tx.find("handover", release_id=one))
        assert sum(row["charged"] for row in charged) >= sum(got), f"edge {edge}: every byte is charged"


def test_a_revocation_at_some_edges_of_a_resumed_download_ends_it(world: World) -> None:
    revocation_against_resume(world, few=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_revocation_at_every_edge_of_a_resumed_download_ends_it(any_world: World) -> None:
    revocation_against_resume(any_world, few=None)


def at_once(world: World, item: str, count: int) -> list[str]:
    """That many ask at the same moment; how each ended."""
    barrier, ended = threading.Barrier(count), list[str]()

    def one() -> None:
        row = request_release(world.env, world.people["researcher"], item_id=item, view_id=world.views["variants"])
        barrier.wait()
        for _ in range(200):
            with suppress(Unavailable):
                ended.append(str(advance(world.env, row["id"])["state"]))
                return

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def test_a_quota_of_two_is_taken_by_six_at_once_twice(world: World) -> None:
    world.release(world.ids["item"])  # the core view is there, so that they meet where it counts
    ended = at_once(world, world.granted(releases=2), 6)
    assert sorted(ended) == ["available"] * 2 + ["refused"] * 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quota_of_ten_is_taken_by_fifty_at_once_ten_times(any_world: World) -> None:
    any_world.release(any_world.ids["item"])
    ended = at_once(any_world, any_world.granted(releases=10), 50)
    assert sorted(ended) == ["available"] * 10 + ["refused"] * 40


def house_of_400_and_400(folder: Path, url: str) -> World:
    """Two datasets of 400 different people each, both granted to one researcher; the line is 500 (HGR-17)."""
    world = make_world(folder, url, source=write_source(folder / "one", people=400))
    world.ids["first"] = world.granted()
    second = write_source(folder / "two", people=400, seed=8)
    for file in second.iterdir():
        file.write_text(
            file.read_text("utf-8").replace("HOSP", "CLIN").replace("dataset: tiny", "dataset: other"), "utf-8"
        )
    dataset = datasets.add(world.env, world.people["custodian"], str(second))
    datasets.confirm(world.env, world.people["steward"], dataset)
    shown = datasets.show(world.env, world.people["custodian"], dataset)
    world.ids["first.view"] = world.views["variants"]
    world.ids["dataset"] = dataset
    world.views = {view["name"]: view["id"] for view in shown["views"]}
    world.ids["second"], world.ids["second.view"] = world.granted(), world.views["variants"]
    return world


def four_hundred(world: World, which: str) -> dict[str, Any]:
    row = request_release(
        world.env, world.people["researcher"], item_id=world.ids[which], view_id=world.ids[f"{which}.view"]
    )
    return dict(advance(world.env, row["id"]))


def one_of_two(world: World, edge: int) -> int:
    """The second release runs at that edge of the first: one leaves, the other is held; how many edges there were."""
    others: list[dict[str, Any]] = []
    rival = reopened(world)

    def reach(number: int) -> None:
        if number == edge:
            others.append(four_hundred(rival, "second"))

    seen, edges = watched(world, reach)
    ended = [four_hundred(seen, "first"), *others]
    assert sorted(row["state"] for row in ended) == ["available", "refused"], f"edge {edge}"
    assert {row["outcome"] for row in ended} == {"permit", "hold"}
    return edges.passed


def dispose() -> None:
    while ENGINES:
        ENGINES.pop().dispose()


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_releases_of_400_never_both_pass_the_line_of_500(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """Every edge of the first release up to its hand-over."""
    server: Server | None = request.getfixturevalue("pg_server") if kind == "postgresql" else None
    with server.database() if server else nullcontext("") as url:
        house = house_of_400_and_400(tmp_path / "house", url)
        house.env.ledger.sync()
        dispose()
        edge, count = 0, 1
        while edge < count:
            template = str(make_url(url).database) if url else ""
            with server.database(template) if server else nullcontext("") as copy:
                count = one_of_two(copied(house, tmp_path / f"edge{edge}", copy), edge)
                dispose()
            edge += 1
    assert edge == count > 10
