"""What a child does to itself before it touches outside data, in an order that leaves no gap.

    no core dump, dies with its parent -> resource limits -> no capabilities -> no new privileges -> Landlock -> seccomp

A step the kernel does not have is left out and shows in ``protections()``; a step the parent counted on and that
fails stops the child before the task is loaded.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_SYSTEM_CODE = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
# DuckDB 2.0 aborts where it can see these and not read them: how much memory and how many cores there are.
_SYSTEM_FACTS = ("/proc/self/cgroup", "/sys/fs/cgroup", "/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protections:
    """What holds a child on this machine; ``missing`` has a sentence for the operator for each thing that does not."""

    landlock_abi: int
    seccomp: bool
    limits: bool
    missing: tuple[str, ...]


def protections() -> Protections:
    """Asked of the kernel each time; changes nothing."""
    version, filtered = landlock.abi(), seccomp.available()
    missing = []
    if not version:
        missing.append("no Landlock: a parser could read what the gateway's user can read")
    elif version < 3:
        missing.append("Landlock is older than version 3: files could be truncated")
    if not filtered:
        missing.append("no seccomp filter: a parser could open sockets and start processes")
    return Protections(landlock_abi=version, seccomp=filtered, limits=True, missing=tuple(missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the child is told: its limits, what must be in force, its parent, the open inputs, further code folders."""

    memory_bytes: int
    cpu_seconds: int
    open_files: int
    landlock: bool
    seccomp: bool
    parent: int


def confine(bounds: Bounds, *, readable: Sequence[Path], files: Iterable[int]) -> None:
    """Apply everything. Raises OSError where something the parent counted on is refused."""
    if platform.system() == "Linux":
        _leave_with_parent(bounds.parent)
    _limit(bounds)
    if platform.system() == "Linux":
        _drop_privileges()
    if bounds.landlock:
        landlock.confine(readable, files)
    if bounds.seccomp:
        seccomp.confine()


def code_folders(packages: Iterable[Path]) -> list[Path]:
    """Where this interpreter, its libraries and ``packages`` are read from; nothing else may be."""
    own = {Path(sys.prefix), Path(sys.base_prefix)}
    paths = {Path(path) for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")) if path}
    # An entry outside the interpreter's own folders may be a source tree with anything beside the code.
    # A folder of installed packages may lie outside both prefixes (a path file points to it); it holds packages all the
    # same. The folder of the project itself is not one: its packages are named one by one.
    paths |= {
        Path(entry)
        for entry in sys.path
        if Path(entry).name in {"site-packages", "dist-packages"} or any(Path(entry).is_relative_to(r) for r in own)
    }
    paths |= {root / name for root in own for name in ("lib", "lib64")}
    return sorted(paths | {Path(path) for path in _SYSTEM_CODE + _SYSTEM_FACTS} | set(packages))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} refused")


def _leave_with_parent(parent: int) -> None:
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the parent is gone")


def _limit(bounds: Bounds) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        # No file may grow at all: outputs are pipes.
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, bounds.open_files),
        (resource.RLIMIT_AS, bounds.memory_bytes),
    ):
        resource.setrlimit(kind, (value, value))
    # One second between the signal and the end, so that the parent sees which limit it was.
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.cpu_seconds, bounds.cpu_seconds + 1))


def _drop_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if libc.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be dropped")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
