"""One writer at a time: the lease in the database, the lock on the folder, and what a dead or paused holder may do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LedgerStopped, LedgerUnavailable
from gateway.ledger import DiskLogFiles
from gateway.ledger.embedded import EmbeddedLedger
from gateway.store.outbox import SqlLease
from gateway.verifier import verify_log
from gateway.verifier.note import parse_checkpoint
from tests.world import MovableClock, World

LedgerWorld = Any  # tests/gateway/ledger/conftest.py


def lease(world: World, holder: str, clock: MovableClock) -> SqlLease:
    return SqlLease(world.env.uow, world.env.ledger.origin, holder=holder, clock=clock, seconds=3.0)  # type: ignore[arg-type]


def test_one_holds_the_lease_and_the_next_has_it_when_it_is_given_back_or_runs_out(any_world: World) -> None:
    clock = MovableClock()
    one, two = lease(any_world, "one", clock), lease(any_world, "two", clock)
    assert one.take()
    assert one.take(), "the holder renews its own"
    assert not two.take()
    two.give_back()
    assert not two.take(), "only the holder gives it back"
    one.give_back()
    assert two.take()
    clock.moved += timedelta(seconds=4)
    assert one.take(), "a dead holder's lease runs out"
    assert not two.take()


def test_a_lease_from_a_clock_that_stood_a_day_ahead_does_not_hold_the_ledger_for_a_day(any_world: World) -> None:
    ahead, clock = MovableClock(), MovableClock()
    ahead.moved = timedelta(days=1)
    assert lease(any_world, "ahead", ahead).take()
    assert lease(any_world, "now", clock).take()


def test_of_twenty_that_reach_for_the_lease_at_once_one_has_it(any_world: World) -> None:
    clock = MovableClock()
    barrier, got = threading.Barrier(20), []

    def reach(name: str) -> None:
        mine = lease(any_world, name, clock)
        barrier.wait()
        if mine.take():
            got.append(name)

    threads = [threading.Thread(target=reach, args=(str(n),)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


class Held:
    """A lease in memory, taken or refused as told."""

    def __init__(self, *answers: bool) -> None:
        self.answers, self.given_back = list(answers), 0

    def take(self) -> bool:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def give_back(self) -> None:
        self.given_back += 1


def test_nothing_is_confirmed_while_another_holds_the_lease(disk: LedgerWorld) -> None:
    disk.append(b"one")
    disk.outbox.bodies.append(b"two")
    pauses: list[float] = []
    embedded = EmbeddedLedger(disk.sequencer, disk.files, Held(False), pause=pauses.append)
    with pytest.raises(LedgerUnavailable, match="another process"):
        embedded.sync()
    assert sum(pauses) >= 2 * 2.9, "longer than a dead holder's lease runs"
    assert parse_checkpoint(disk.files.read("checkpoint")).size == 1


def test_the_key_is_not_changed_while_another_holds_the_lease(disk: LedgerWorld) -> None:
    disk.append(b"one")
    held = Held(False)
    embedded = EmbeddedLedger(disk.sequencer, disk.files, held, pause=lambda _seconds: None)
    with pytest.raises(LedgerUnavailable, match="the key was not changed"):
        embedded.rotate(type(disk.signer)(seed=bytes(32)))
    held.answers = [True]
    assert embedded.rotate(type(disk.signer)(seed=bytes(32))).size == 1
    assert held.given_back == 1


def test_a_lease_that_falls_free_is_taken_and_given_back(disk: LedgerWorld) -> None:
    disk.outbox.bodies.append(b"one")
    held = Held(False, False, True)
    assert EmbeddedLedger(disk.sequencer, disk.files, held, pause=lambda _seconds: None).sync() == 1
    assert held.given_back == 1


def test_what_the_holder_published_meanwhile_counts(disk: LedgerWorld) -> None:
    disk.outbox.bodies.append(b"one")
    other = disk.sequencer
    embedded = EmbeddedLedger(disk.sequencer, disk.files, Held(False), pause=lambda _seconds: other.run_once() and None)
    assert embedded.sync() == 1


def test_a_holder_that_was_paused_past_its_lease_signs_nothing(disk: LedgerWorld) -> None:
    disk.append(b"one")
    disk.outbox.bodies.append(b"two")
    late = disk.sequencer
    late.fence = lambda: False
    signed = len(disk.signer.signed)
    assert late.run_once() == 0
    assert len(disk.signer.signed) == signed
    assert disk.outbox.size == 1


def test_the_folder_is_held_by_one_process_and_falls_free_when_it_is_killed(tmp_path: Path) -> None:
    files = DiskLogFiles(tmp_path / "ledger")
    program = (
        "import sys, time; from pathlib import Path; from gateway.ledger import DiskLogFiles\n"
        f"with DiskLogFiles(Path({str(tmp_path / 'ledger')!r})).exclusive() as alone:\n"
        "    print(alone, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with files.exclusive() as alone:
            assert not alone
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with files.exclusive() as alone:
        assert alone


def test_after_a_failed_sync_the_process_is_told_to_end_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    files = DiskLogFiles(tmp_path / "ledger", halt=lambda: told.append("halt"))

    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(LedgerStopped):
        files.write("checkpoint", b"x")
    assert told == ["halt"]


def _commit_and_sync(home: str, url: str, name: str, count: int) -> None:
    from gateway.bootstrap import open_env
    from gateway.env import Actor
    from gateway.record import record_refused_act
    from gateway.settings import Settings

    actor = Actor(person_id="0" * 32, institution_id="", unit="", roles=frozenset(), place_of_access="mainland")
    env, engine = open_env(Settings(home=Path(home), database_url=url))
    for number in range(count):
        env.uow.run(lambda tx, n=number: record_refused_act(tx, env, actor, act=f"{name}-{n}", about="x", rules=()))  # type: ignore[misc]
        env.ledger.sync()
    engine.dispose()


def test_two_processes_that_commit_and_sequence_at_once_leave_one_dense_log(world: World) -> None:
    one_dense_log(world, processes=2, acts=3)


@pytest.mark.slow
def test_three_processes_on_either_database_leave_one_dense_log(any_world: World) -> None:
    one_dense_log(any_world, processes=3, acts=20)


def one_dense_log(any_world: World, *, processes: int, acts: int) -> None:
    """Positions are dense and in commit order, every acknowledged act stands once."""
    before = any_world.env.ledger.sync()
    home, url = str(any_world.settings.home), any_world.settings.database_url
    method = multiprocessing.get_context("spawn")
    workers = [method.Process(target=_commit_and_sync, args=(home, url, f"p{n}", acts)) for n in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
        assert worker.exitcode == 0
    rows = sorted(any_world.entries(), key=lambda row: row["position"])
    assert [row["position"] for row in rows] == list(range(before + processes * acts))
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    verdict = verify_log(any_world.settings.home / "ledger", key=None)
    assert (verdict.state, verdict.size) == ("proven", before + processes * acts)


def test_callers_that_wait_for_each_other_share_a_sync_that_began_after_all_of_them(disk: LedgerWorld) -> None:
    sequencer, runs, started, hold = disk.sequencer, list[int](), threading.Event(), threading.Event()
    once = sequencer.run_once

    class Counted:
        """The sequencer; its first run waits until it may go on."""

        signer, origin, batch = sequencer.signer, sequencer.origin, sequencer.batch
        idle, log_keys, head = (
            staticmethod(sequencer.idle),
            staticmethod(sequencer.log_keys),
            staticmethod(sequencer.head),
        )

        def run_once(self) -> int:
            runs.append(len(disk.outbox.bodies))
            gained = once()
            started.set()
            hold.wait(10)
            return gained

    disk.outbox.bodies.append(b"first")
    embedded = EmbeddedLedger(Counted(), disk.files, Held(True))  # type: ignore[arg-type]
    sizes: list[int] = []
    threads = [threading.Thread(target=lambda: sizes.append(embedded.sync())) for _ in range(9)]
    threads[0].start()
    started.wait(10)
    for number, thread in enumerate(threads[1:]):
        disk.outbox.bodies.append(b"late %d" % number)
        thread.start()
    hold.set()
    for thread in threads:
        thread.join(20)
    assert len(runs) < 9, "nine callers, fewer runs"
    assert sorted(sizes)[0] == 1
    assert embedded.sync() == 9
    assert sorted(sizes)[-1] == 9, "whoever came while one was at work waited for the next"


def test_a_sync_ends_although_others_never_stop_committing(disk: LedgerWorld) -> None:
    """Under load there is always more; what was committed before the call is enough."""
    sequencer = disk.sequencer
    assign = disk.outbox.assign_positions

    def busy(limit: int) -> int:
        given = assign(limit)
        disk.outbox.bodies.append(b"and one more")
        return given

    disk.outbox.assign_positions = busy
    disk.outbox.bodies.append(b"mine")
    rounds: list[int] = []
    embedded = EmbeddedLedger(sequencer, disk.files, Held(True), pause=lambda _seconds: rounds.append(1))
    assert embedded.sync() == 1
    assert rounds == []
