"""Every system call of the write path fails or is the last one: what was acknowledged stands, once, and is proven.

strace injects the fault into a real writer on a real disk (the method of Tessera's own tests, at every call). After
each case another process opens what is left, goes on, and everything is held against what the writer was told.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.ledger import verifier_key
from gateway.ledger.log import read_entries
from gateway.verifier import verify_log
from gateway.verifier.note import parse_checkpoint
from gateway.verifier.tiles import level_tiles
from tests.gateway.ledger.crash_writer import ACTS, STOPPED, Key, commit, make_house, open_ledger

CALLS = ("openat", "mkdir", "write", "pwrite64", "fsync", "fdatasync", "rename", "ftruncate", "unlink", "close")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not on this machine")


@dataclass
class Hospital:
    """The server that forks writers, and a whole house to copy for each."""

    server: subprocess.Popen[str]
    whole: Path
    room: Path
    made: int = 0

    def hurt(self, *strace: str) -> tuple[Path, int]:
        """Run one writer over a fresh copy under strace; its folder and exit code."""
        self.made += 1
        folder = self.room / str(self.made)
        shutil.copytree(self.whole, folder)
        os.mkfifo(folder / "go")
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(f"{folder}\n")
        self.server.stdin.flush()
        child = self.server.stdout.readline().strip()
        command = ["strace", "-f", "-qq", "-o", str(folder / "trace"), *strace, "-p", child]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            self._wait_until_traced(child)
            # Read and write: opening for writing alone would wait for ever for a reader that is dead by now.
            go = os.open(folder / "go", os.O_RDWR)
            code = int(self.server.stdout.readline())
            os.close(go)
            tracer.wait(20)
        return folder, code

    @staticmethod
    def _wait_until_traced(child: str) -> None:
        end = time.monotonic() + 20  # by the clock: how often we can look says nothing on a machine that is busy
        while time.monotonic() < end:
            try:
                status = Path(f"/proc/{child}/status").read_text("ascii")
            except FileNotFoundError:
                return  # The fault met the child before we looked again: it is traced, and over.
            if not re.search(r"^TracerPid:\s+0$", status, re.MULTILINE):
                return
            time.sleep(0.0002)
        raise AssertionError("strace did not attach")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    room = tmp_path_factory.mktemp("crash")
    (room / "whole").mkdir()
    make_house(room / "whole")
    command = [sys.executable, "-m", "tests.gateway.ledger.crash_writer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield Hospital(server=server, whole=room / "whole", room=room)
        assert server.stdin is not None
        server.stdin.close()
        server.wait(20)


def occurrences(hospital: Hospital) -> Counter[str]:
    """How often an unhurt writer makes each call."""
    folder, code = hospital.hurt("-e", f"trace={','.join(CALLS)}")
    assert code == 0
    assert Counter(line.split()[0] for line in said(folder)) == {"committed": ACTS, "published": ACTS}
    found = re.findall(r"^\d+ +(\w+)\(", (folder / "trace").read_text("utf-8"), re.MULTILINE)
    shutil.rmtree(folder)
    return Counter(found)


def said(folder: Path) -> list[str]:
    return (folder / "said").read_text("utf-8").splitlines() if (folder / "said").exists() else []


def judge(folder: Path, case: str) -> int:
    """Go on over what is left and compare with what the writer was told; how many acts were acknowledged."""
    told = said(folder)
    kept = (folder / "ledger" / "checkpoint").read_bytes()
    engine, uow, ledger = open_ledger(folder, holder="the next")
    commit(uow, "after")
    size = ledger.sync()
    rows = uow.read(lambda tx: tx.find("outbox"))
    engine.dispose()
    verdict = verify_log(folder / "ledger", key=str(verifier_key(Key())), since=kept)
    assert (verdict.state, verdict.size) == ("proven", size), (case, verdict)
    entries = logged(folder, size)
    assert max(Counter(entries).values()) == 1, f"{case}: an entry stands twice"
    assert sorted(row["position"] for row in rows) == list(range(size)), case
    for line in told:
        word, entry_id, *place = line.split()
        assert entry_id in entries, f"{case}: {word} {entry_id} is lost"
        assert word == "committed" or entries.index(entry_id) < int(place[0]), case
    assert entries[:3] == ["before-0", "before-1", "before-2"]
    assert entries[-1] == "after"
    return sum(line.startswith("committed") for line in told)


def logged(folder: Path, size: int) -> list[str]:
    """The ids of the entries, read from the bundles."""
    from gateway.ledger import DiskLogFiles

    files = DiskLogFiles(folder / "ledger")
    assert parse_checkpoint((folder / "ledger" / "checkpoint").read_bytes()).size == size
    bodies = [entry for bundle in level_tiles(None, size) for entry in read_entries(files, bundle)]
    return [re.match(rb'{"id":"([^"]+)"', body).group(1).decode() for body in bodies]  # type: ignore[union-attr]


def run_cases(hospital: Hospital, cases: list[tuple[str, str, int]]) -> Counter[int]:
    codes: Counter[int] = Counter()
    for call, fault, number in cases:
        case = f"{call}:{fault}:when={number}"
        folder, code = hospital.hurt("-e", f"trace={call}", "-e", f"inject={case}")
        assert code in (0, STOPPED, 70, -9), (case, code)
        if fault == "signal=SIGKILL":
            assert code == -9, f"{case}: the fault was not injected"
        if call == "fsync" and fault != "signal=SIGKILL":
            assert code == STOPPED, f"{case}: a writer went on after a failed sync"
            after = (folder / "trace").read_text("utf-8").split("INJECTED", 1)[1]
            assert "fsync(" not in after, f"{case}: a failed sync was tried again"
        judge(folder, case)
        codes[code] += 1
        shutil.rmtree(folder)
    return codes


def all_cases(hospital: Hospital) -> list[tuple[str, str, int]]:
    counted = occurrences(hospital)
    assert counted["fsync"] >= 15
    return [(call, fault, n + 1) for call in CALLS for fault in FAULTS for n in range(counted[call])]


def test_a_sample_of_faults_loses_nothing_that_was_acknowledged(hospital: Hospital) -> None:
    cases = all_cases(hospital)
    run_cases(hospital, cases[:: len(cases) // 14])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_call_with_every_fault_loses_nothing_that_was_acknowledged(hospital: Hospital) -> None:
    cases = all_cases(hospital)
    assert len(cases) >= 300
    codes = run_cases(hospital, cases)
    sys.stdout.write(
        f"{len(cases)} faults, exit codes {dict(codes)}: no acknowledged event lost, none twice, every log proven\n"
    )
