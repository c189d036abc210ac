"""The parent's side: start a fresh child with file descriptors only, wait, and judge how it ended.

The child gets no environment but the few words below, no standard streams, no keys, no names of files. Its standard
error is discarded and never logged: it may quote the data. It lives in a group of its own and is killed with it.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.crypt4gh.streams import Sink, Source
from gateway.sandbox.confinement import Bounds, protections
from gateway.sandbox.names import Names
from gateway.sandbox.port import JSON, Limits, SandboxError
from gateway.sandbox.pumps import Pumps

MAX_RESULT = 16 << 20
MAX_SENTENCE = 2000
_CODE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSandbox:
    """``port.Sandbox`` with one process per run.

    ``tasks`` is the closed table, name -> "module:function"; a task is called with (spec, inputs, outputs), a dict
    and two dicts of binary files, and returns JSON. ``folders`` are further folders with task modules, beside the
    installed packages: a site's own tasks, and the tests'.
    """

    tasks: Mapping[str, str]
    folders: Sequence[Path] = field(default=())

    def run_bounded(
        self,
        task: str,
        spec: Mapping[str, JSON],
        *,
        inputs: Mapping[str, Source | int],
        outputs: Mapping[str, Sink],
        limits: Limits,
    ) -> JSON:
        """See ``port.Sandbox``."""
        target = self.tasks.get(task)
        if target is None:
            raise SandboxError("unknown_task", f"there is no task {task}")
        pumps, names = Pumps(), Names()
        order: dict[str, Any] = {
            "target": target,
            "spec": dict(spec),
            "packages": sorted({"gateway", *(re.split("[.:]", name)[0] for name in self.tasks.values())}),
            "folders": [str(folder) for folder in self.folders],
            "bounds": asdict(_bounds(limits)),
        }
        try:
            with ExitStack() as ends:
                ports = _Ports(pumps=pumps, ends=ends, limits=limits)
                order["inputs"] = {name: ports.input(source) for name, source in inputs.items()}
                order["outputs"] = {name: ports.output(sink) for name, sink in outputs.items()}
                order["named"] = names.links(order["inputs"])
                answer = ports.answer()
                running = _start(ports, order)
        except BaseException:
            pumps.abandon()
            names.close()
            raise
        try:
            ended = _wait(running, pumps, limits)
        finally:
            names.close()
        return _judge(ended, answer.getvalue())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    code: int
    timed_out: bool


def _bounds(limits: Limits) -> Bounds:
    held = protections()
    return Bounds(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        open_files=limits.open_files,
        landlock=held.landlock_abi > 0,
        seccomp=held.seccomp,
        parent=os.getpid(),
    )


@dataclass(slots=True, kw_only=True)
class _Ports:
    """The child's ends of all pipes and files; ours to close once it has been started."""

    pumps: Pumps
    ends: ExitStack
    limits: Limits
    opened: list[int] = field(default_factory=list)
    reply: int = -1

    def input(self, source: Source | int) -> tuple[int, str]:
        """Descriptor and kind of an input."""
        fd = _plain_file(source)
        if fd is not None:
            return self._own(_reopened(fd)), "file"
        if not isinstance(source, int):
            return self._own(self.pumps.feed(source)), "stream"
        raise ValueError("an input given as a number must be an open, plain file")

    def output(self, sink: Sink) -> int:
        """Descriptor of an output."""
        return self._own(self.pumps.drain(sink, limit=self.limits.output_bytes, code="output_exceeded"))

    def answer(self) -> io.BytesIO:
        """Where the child's answer will stand."""
        kept = io.BytesIO()
        self.reply = self._own(self.pumps.drain(kept, limit=MAX_RESULT, code="result_too_large"))
        return kept

    def order(self, order: Mapping[str, Any]) -> int:
        """Descriptor from which the child reads what to do."""
        return self._own(self.pumps.feed(io.BytesIO(json.dumps(order, allow_nan=False).encode())))

    def _own(self, fd: int) -> int:
        self.ends.callback(os.close, fd)
        self.opened.append(fd)
        return fd


def _plain_file(source: Source | int) -> int | None:
    """The descriptor behind a plain file. A wrapper's is not enough: gzip's ``fileno`` is the compressed file's."""
    if isinstance(source, io.BufferedReader) and isinstance(source.raw, io.FileIO):
        source = source.raw
    if isinstance(source, io.FileIO):
        source = source.fileno()
    if isinstance(source, int) and stat.S_ISREG(os.fstat(source).st_mode):
        return source
    return None


def _reopened(fd: int) -> int:
    """The same file opened anew, for reading: a shared position would let two children disturb each other."""
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)


class _Running:
    """A started child. Its number is not given up before its group is killed, so that no stranger is ever hit."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._watch = os.pidfd_open(process.pid)

    def kill(self) -> None:
        """Safe at any time, from any thread."""
        with self._lock:
            if self._process.returncode is None:
                # The group, because a kernel without seccomp lets a parser start more.
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, seconds: float) -> _Ended:
        """Wait at most so long, then see to it that nothing of the child is left."""
        ended = False
        try:
            ended = bool(select.select([self._watch], [], [], seconds)[0])
        finally:
            self.kill()
            with self._lock:
                code = self._process.wait()
            os.close(self._watch)
        return _Ended(code=code, timed_out=not ended)


def _start(ports: _Ports, order: Mapping[str, Any]) -> _Running:
    arguments = [str(ports.order(order)), str(ports.reply)]
    return _Running(
        subprocess.Popen(
            [sys.executable, "-I", "-m", "gateway.sandbox.child", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(ports.limits),
            pass_fds=ports.opened,
            start_new_session=True,
            cwd="/",
        )
    )


def _environment(limits: Limits) -> dict[str, str]:
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS")
    return {
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        # htslib would look for reference sequences in the world and in the home folder.
        "REF_PATH": "/nonexistent/%s",
        "REF_CACHE": "",
        **dict.fromkeys(threads, str(limits.threads)),
    }


def _wait(running: _Running, pumps: Pumps, limits: Limits) -> _Ended:
    pumps.start(running.kill)
    ended = running.end(limits.wall_seconds)
    pumps.finish()
    return ended


def _judge(ended: _Ended, answer: bytes) -> JSON:
    if ended.timed_out or ended.code == -signal.SIGXCPU:
        raise SandboxError("time_exceeded", "the work took longer than it may, and was stopped")
    if ended.code == -signal.SIGKILL:
        raise SandboxError("task_killed", "the system ended the work, for want of memory or for its time")
    if ended.code < 0:
        raise SandboxError("task_crashed", f"the work was ended by signal {-ended.code}: the data broke its reader")
    try:
        told: Any = json.loads(answer)
    except ValueError:
        raise SandboxError("task_failed", "the work ended without an answer") from None
    if isinstance(told, dict) and told.get("ok") is True:
        result: JSON = told.get("result")
        return result
    raise _told_error(told)


def _told_error(told: Any) -> SandboxError:
    """The child may be in a stranger's hands: its error has the form of one, or is replaced."""
    match told:
        case {"code": str(code), "message": str(message), "from_task": bool(from_task)}:
            if _CODE.fullmatch(code) and message.isprintable() and len(message) <= MAX_SENTENCE:
                return SandboxError(code, message, from_task=from_task)
    return SandboxError("task_failed", "the work's answer is not one")
