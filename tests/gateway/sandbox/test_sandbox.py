"""Invariant 19: parsers of outside files hold no keys and no network. Each test is a parser in a stranger's hands."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.crypt4gh import Crypt4GHError, generate_keypair, open_sealed, seal
from gateway.errors import Unavailable
from gateway.sandbox import runner
from gateway.sandbox.confinement import Protections, protections
from gateway.sandbox.port import Limits, SandboxError
from gateway.sandbox.runner import ProcessSandbox

HELD = protections()
needs_all = pytest.mark.skipif(
    not (HELD.landlock_abi >= 3 and HELD.seccomp), reason="this kernel has no Landlock 3 or no seccomp"
)
NAMES = [
    "attempts",
    "surroundings",
    "copy",
    "backwards",
    "allocate",
    "spin",
    "spin_deaf",
    "sleep",
    "fork_bomb",
    "threads",
    "crash",
    "abort",
    "vanish",
    "flood",
    "long_answer",
    "forge",
    "foreign_error",
    "own_error",
    "no_json",
    "half",
    "missing",
    "parsers",
]
SECRET = "NA12878"
TASKS = Path(__file__).parent / "tasks"


@pytest.fixture(scope="module")
def sandbox() -> ProcessSandbox:
    tasks = {name: f"hostile:{name}" for name in NAMES} | {"no module": "hostile.nowhere:x"}
    return ProcessSandbox(tasks=tasks, folders=[TASKS])


def run(sandbox: ProcessSandbox, task: str, spec: Mapping[str, Any] | None = None, **more: Any) -> Any:
    limits = Limits(**{"memory_bytes": 1 << 30, "cpu_seconds": 20, "wall_seconds": 30} | more.pop("limits", {}))
    return sandbox.run_bounded(
        task, spec or {}, inputs=more.get("inputs", {}), outputs=more.get("outputs", {}), limits=limits
    )


def failure(sandbox: ProcessSandbox, task: str, spec: Mapping[str, Any] | None = None, **more: Any) -> SandboxError:
    with pytest.raises(SandboxError) as caught:
        run(sandbox, task, spec, **more)
    return caught.value


ACTS = {
    "inet socket": "EPERM",
    "unix socket": "EPERM",
    "netlink socket": "EPERM",
    "socket pair": "EPERM",
    "io_uring": "EPERM",
    "read passwd": "EACCES",
    "read the secret": "EACCES",
    "list the secret's folder": "EACCES",
    "read a parent's file": "EACCES",
    "open a parent's descriptor": "EACCES",
    "write a file": "EACCES",
    "write beside the code": "EACCES",
    "make a folder": "EPERM",
    "rename": "EPERM",
    "unlink": "EPERM",
    "truncate": "EPERM",
    "chmod": "EPERM",
    "chown": "EPERM",
    "utime": "EPERM",
    "fork": "EPERM",
    "run a program": "EPERM",
    "exec": "EPERM",
    "signal the parent": "EPERM",
    "signal the parent by pidfd": "EPERM",
    "own signals to the parent": "EPERM",
    "raise the memory limit": "EPERM",
    "limit the parent": "EPERM",
    "leave the group": "EPERM",
    "mount": "EPERM",
    "trace the parent": "EPERM",
    "shared memory": "EPERM",
}


@needs_all
def test_inv19_no_network_no_keys_no_files_no_processes(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    """Every act fails, and nothing of it is left."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "kek.v1").write_text("secret")
    before = (tmp_path / "keys" / "kek.v1").stat()
    spec = {"secret": str(tmp_path / "keys" / "kek.v1"), "folder": str(tmp_path), "acts": list(ACTS), "pipe": 0}
    assert run(sandbox, "attempts", spec) == ACTS
    after = (tmp_path / "keys" / "kek.v1").stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_size) == (after.st_mode, after.st_mtime_ns, after.st_size)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kek.v1", "keys"]
    assert not (TASKS / "x").exists()


@needs_all
@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 calls exist on x86_64 only")
def test_a_foreign_system_call_table_ends_the_child(sandbox: ProcessSandbox) -> None:
    error = failure(sandbox, "attempts", {"acts": ["x32 socket"], "secret": "/", "folder": "/", "pipe": 0})
    assert (error.code, "signal 31" in str(error)) == ("task_crashed", True)


@needs_all
def test_the_same_acts_succeed_outside_so_the_test_can_fail(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("secret")
    acts = ["inet socket", "unix socket", "socket pair", "read passwd", "read the secret", "write a file", "chmod"]
    spec = {"acts": [*acts, "run a program", "signal the parent"], "secret": str(tmp_path / "s")}
    given = json.dumps(spec | {"folder": str(tmp_path), "pipe": 0})
    code = "import hostile, json, sys; print(json.dumps(hostile.attempts(json.load(sys.stdin), {}, {})))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=given.encode(), capture_output=True, cwd=TASKS, check=True
    )
    found = json.loads(done.stdout)
    assert set(found) == set(spec["acts"])
    assert all(how.startswith("done") for how in found.values()), found


def test_the_child_sees_no_environment_and_only_its_own_descriptors(
    sandbox: ProcessSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TONGGUAN_SECRET", "secret")
    kept = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept, True)
    wanted = ["RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE"]
    try:
        found = run(sandbox, "surroundings", {"limits": wanted}, inputs={"a": io.BytesIO()})
    finally:
        os.close(kept)
    assert set(found["environment"]) <= {
        "LANG", "LC_CTYPE", "TZ", "REF_PATH", "REF_CACHE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS"
    }  # fmt: skip
    assert "TONGGUAN" not in str(found["environment"])
    assert all(argument.isdecimal() for argument in found["arguments"][1:])
    # Standard streams, the input and the answer.
    assert len(found["open"]) == 5
    assert found["streams"] == [True, True, True]
    assert not [name for name in found["modules"] if "keys" in name or "cryptography" in name]
    assert found["limits"] == {
        "RLIMIT_AS": [1 << 30, 1 << 30],
        "RLIMIT_CPU": [20, 21],
        "RLIMIT_FSIZE": [0, 0],
        "RLIMIT_NOFILE": [128, 128],
        "RLIMIT_CORE": [0, 0],
    }


def test_ten_gigabytes_are_refused(sandbox: ProcessSandbox) -> None:
    error = failure(sandbox, "allocate", {"bytes": 10 << 30})
    assert error.code == "memory_exceeded"
    assert run(sandbox, "allocate", {"bytes": 1 << 20}) == 1 << 20


@pytest.mark.parametrize(
    ("task", "limits", "code"),
    [
        ("spin", {"cpu_seconds": 1}, "time_exceeded"),
        ("spin_deaf", {"cpu_seconds": 1}, "task_killed"),
        ("spin", {"wall_seconds": 1.0}, "time_exceeded"),
        ("sleep", {"wall_seconds": 1.0}, "time_exceeded"),
    ],
)
def test_work_without_end_is_ended(sandbox: ProcessSandbox, task: str, limits: dict[str, float], code: str) -> None:
    start = time.monotonic()
    assert failure(sandbox, task, limits=limits).code == code
    assert time.monotonic() - start < 10


@needs_all
def test_a_fork_bomb_makes_nothing(sandbox: ProcessSandbox) -> None:
    assert run(sandbox, "fork_bomb") == {"made": 0, "refused": 1000}


def test_threads_are_allowed(sandbox: ProcessSandbox) -> None:
    assert run(sandbox, "threads") == 4


@pytest.mark.parametrize(("task", "code"), [("crash", "task_crashed"), ("abort", "task_crashed")])
def test_a_crash_is_one_sentence_and_nothing_of_what_was_printed(
    sandbox: ProcessSandbox, task: str, code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Invariant 18: genotypes never reach a log or an error text."""
    error = failure(sandbox, task)
    assert error.code == code
    assert not error.from_task
    assert SECRET not in str(error) + "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", ["value", "json", "chance"])
def test_a_foreign_errors_words_do_not_pass(sandbox: ProcessSandbox, kind: str) -> None:
    """Invariant 18."""
    error = failure(sandbox, "foreign_error", {"kind": kind})
    assert error.code == "task_failed"
    assert not error.from_task
    assert SECRET not in str(error)
    assert ("ValueError" in str(error)) == (kind == "value")
    assert error.__cause__ is None


def test_our_own_errors_pass_with_code_and_sentence(sandbox: ProcessSandbox) -> None:
    error = failure(sandbox, "own_error")
    assert (error.code, str(error), error.from_task) == (
        "broken_header",
        "the header of 'a' is broken at line 3",
        True,
    )


@pytest.mark.parametrize("task", ["vanish", "no_json", "missing", "no module"])
def test_no_answer_is_a_failure(sandbox: ProcessSandbox, task: str) -> None:
    error = failure(sandbox, task)
    assert error.code == "task_failed"
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        "x",
        [1],
        {"ok": 1, "result": 2},
        {"ok": False},
        {"ok": False, "code": "a b", "message": "m", "from_task": True},
        {"ok": False, "code": "a", "message": "m\x1b[31m", "from_task": True},
        {"ok": False, "code": "a", "message": "m" * 3000, "from_task": True},
        {"ok": False, "code": "a", "message": "m", "from_task": "yes"},
    ],
)
def test_a_forged_answer_without_the_form_of_one_is_a_failure(sandbox: ProcessSandbox, answer: Any) -> None:
    error = failure(sandbox, "forge", {"answer": answer})
    assert (error.code, error.from_task) == ("task_failed", False)


def test_an_unknown_task_is_not_started(sandbox: ProcessSandbox) -> None:
    assert failure(sandbox, "os:system").code == "unknown_task"


def test_too_long_an_answer_or_output_is_stopped(sandbox: ProcessSandbox) -> None:
    assert failure(sandbox, "long_answer", {"bytes": 17 << 20}).code == "result_too_large"
    assert len(run(sandbox, "long_answer", {"bytes": 15 << 20})) == 15 << 20
    sink = io.BytesIO()
    assert failure(sandbox, "flood", outputs={"a": sink}, limits={"output_bytes": 5 << 20}).code == "output_exceeded"
    assert len(sink.getvalue()) <= 5 << 20


DATA = os.urandom(5_000_000)


def test_streams_go_in_and_come_out_whole(sandbox: ProcessSandbox) -> None:
    sinks = {"a": io.BytesIO(), "b": io.BytesIO(), "empty": io.BytesIO()}
    inputs = {"a": io.BytesIO(DATA), "b": io.BytesIO(DATA[::-1]), "empty": io.BytesIO()}
    told = run(sandbox, "copy", inputs=inputs, outputs=sinks)
    assert told["sizes"] == {"a": len(DATA), "b": len(DATA), "empty": 0}
    assert (sinks["a"].getvalue(), sinks["b"].getvalue(), sinks["empty"].getvalue()) == (DATA, DATA[::-1], b"")


@pytest.mark.parametrize("as_number", [False, True])
def test_a_plain_file_is_seekable_read_only_and_its_position_is_not_shared(
    sandbox: ProcessSandbox, tmp_path: Path, as_number: bool
) -> None:
    (tmp_path / "f").write_bytes(b"head" + bytes(100_000) + b"tail")
    with (tmp_path / "f").open("r+b") as source:
        source.seek(7)
        given = source.fileno() if as_number else (tmp_path / "f").open("rb")
        found = run(sandbox, "backwards", inputs={"a": given})
        assert found == ["head", "tail", "head", "EBADF"]
        assert os.lseek(source.fileno(), 0, os.SEEK_CUR) == source.tell() or as_number
        if not isinstance(given, int):
            given.close()


def test_a_wrapper_around_a_file_is_read_through_the_wrapper(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "f.gz", "wb") as sink:
        sink.write(DATA)
    copied = io.BytesIO()
    with gzip.open(tmp_path / "f.gz", "rb") as source:
        told = run(sandbox, "copy", inputs={"a": source}, outputs={"a": copied})
    assert copied.getvalue() == DATA
    assert told["seekable"] == {"a": False}


def test_a_number_that_is_no_plain_file_is_a_mistake(sandbox: ProcessSandbox) -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(ValueError, match="plain file"):
            run(sandbox, "copy", inputs={"a": reading})
    finally:
        os.close(reading)
        os.close(writing)


def test_a_child_that_reads_only_the_beginning_is_no_failure(sandbox: ProcessSandbox) -> None:
    assert run(sandbox, "half", inputs={"a": io.BytesIO(b"0123456789" + DATA)}) == "0123456789"


class Randomness:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


def test_a_damaged_input_stream_is_never_taken_for_a_whole_one(sandbox: ProcessSandbox) -> None:
    """The child would see an early end of file; the run fails with the stream's own error instead."""
    private, public = generate_keypair(Randomness())
    sealed = io.BytesIO()
    seal(io.BytesIO(DATA), sealed, readers=[public], session_key=os.urandom(32), random=Randomness())
    whole = bytearray(sealed.getvalue())
    copied = io.BytesIO()
    run(sandbox, "copy", inputs={"a": open_sealed(io.BytesIO(whole), private)}, outputs={"a": copied})
    assert copied.getvalue() == DATA
    whole[3_000_000] ^= 1
    with pytest.raises(Crypt4GHError, match="does not open"):
        run(sandbox, "copy", inputs={"a": open_sealed(io.BytesIO(whole), private)}, outputs={"a": io.BytesIO()})


def test_a_sink_that_fails_ends_the_child_and_says_why(sandbox: ProcessSandbox) -> None:
    class Full:
        def write(self, data: Any) -> int:
            raise Unavailable("staging is full")

    start = time.monotonic()
    with pytest.raises(Unavailable, match="staging is full"):
        run(sandbox, "flood", outputs={"a": Full()})
    assert time.monotonic() - start < 10


VCF = b"""##fileformat=VCFv4.3
##contig=<ID=1>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
1\t100\t.\tA\tG\t.\tPASS\t.
1\t200\t.\tC\tT\t.\tPASS\t.
"""


def test_the_libraries_of_real_tasks_work_inside(sandbox: ProcessSandbox, tmp_path: Path) -> None:
    """DuckDB 2.0 ends the process where it may not read the machine's memory limit: seen, hence this test."""
    (tmp_path / "t.csv").write_text("a,b\n" + "1,x\n" * 1000)
    (tmp_path / "v.vcf").write_bytes(VCF)
    parquet = io.BytesIO()
    with (tmp_path / "t.csv").open("rb") as table, (tmp_path / "v.vcf").open("rb") as vcf:
        told = run(
            sandbox,
            "parsers",
            inputs={"table": table, "vcf": vcf},
            outputs={"parquet": parquet},
            limits={"memory_bytes": 4 << 30},
        )
    assert told == {"duckdb": [1000, 1000], "arrow": 1000, "pysam": [100, 200]}
    assert parquet.getvalue()[:4] == b"PAR1"


def test_a_kernel_without_protections_still_has_limits(
    sandbox: ProcessSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Protections(landlock_abi=0, seccomp=False, limits=True, missing=("none",))
    monkeypatch.setattr("gateway.sandbox.runner.protections", lambda: bare)
    sink = io.BytesIO()
    assert run(sandbox, "copy", inputs={"a": io.BytesIO(DATA)}, outputs={"a": sink})["sizes"] == {"a": len(DATA)}
    assert failure(sandbox, "allocate", {"bytes": 10 << 30}).code == "memory_exceeded"
    spec = {"acts": ["read passwd", "inet socket", "raise the memory limit"], "secret": "/", "folder": "/", "pipe": 0}
    assert run(sandbox, "attempts", spec) == {
        "read passwd": "done: str",
        "inet socket": "done: socket",
        "raise the memory limit": "EPERM",
    }


def test_a_protection_that_was_counted_on_and_fails_stops_the_work(
    sandbox: ProcessSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runner._bounds
    monkeypatch.setattr(runner, "_bounds", lambda limits: replace(real(limits), parent=1))
    assert failure(sandbox, "copy", inputs={"a": io.BytesIO(DATA)}).code == "sandbox_not_in_force"


def test_runs_leave_no_descriptor_and_no_thread_behind(sandbox: ProcessSandbox) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    run(sandbox, "half", inputs={"a": io.BytesIO(b"x")})
    before, threads = held(), threading.active_count()
    for _ in range(3):
        run(sandbox, "copy", inputs={"a": io.BytesIO(DATA)}, outputs={"a": io.BytesIO()})
        failure(sandbox, "vanish", outputs={"a": io.BytesIO()})
        failure(sandbox, "sleep", inputs={"a": io.BytesIO(DATA)}, limits={"wall_seconds": 0.3})
    with pytest.raises(ValueError, match="plain file"):
        run(sandbox, "copy", inputs={"b": io.BytesIO(DATA), "a": 0}, outputs={"a": io.BytesIO()})
    time.sleep(0.2)
    assert (held(), threading.active_count()) == (before, threads)


def test_four_runs_at_once_do_not_mix(sandbox: ProcessSandbox) -> None:
    def one(number: int) -> bool:
        data = bytes([number]) * 1_000_000
        sink = io.BytesIO()
        run(sandbox, "copy", inputs={"a": io.BytesIO(data)}, outputs={"a": sink})
        return sink.getvalue() == data

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(4)))


def test_protections_are_told_to_the_operator() -> None:
    assert HELD.limits
    assert bool(HELD.missing) == (HELD.landlock_abi < 3 or not HELD.seccomp)
