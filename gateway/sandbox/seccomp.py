"""A seccomp filter for this process: no sockets, no new processes, no signals to others, no change of files.

A list of what is refused, not of what is allowed: the parsers' libraries use more calls than can be promised from one
version to the next. A refused call fails with "operation not permitted" and the library says so; a foreign system
call table (32-bit, x32) ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator

from gateway.sandbox.syscalls import CHECKED, REFUSED

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_PR_SET_SECCOMP, _PR_GET_SECCOMP, _FILTER_MODE = 22, 21, 2

_LOAD, _EQUAL, _AT_LEAST, _BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32 = 0x40000000
_CLONE_THREAD = 0x00010000
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15

Instruction = tuple[int, int, int, int]


def available() -> bool:
    """Whether the kernel and this machine have the filter."""
    if platform.machine() not in _MACHINES or platform.system() != "Linux":
        return False
    # Asking for the mode never changes it; it fails where the kernel has no seccomp.
    mode: int = ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)
    return mode >= 0


def confine() -> None:
    """Put the filter on this process for good; ``no_new_privs`` must be set. Raises OSError."""
    program = b"".join(struct.pack("<HBBI", *step) for step in filter_program(platform.machine(), os.getpid()))
    code = ctypes.create_string_buffer(program, len(program))

    class Fprog(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    description = Fprog(len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(description), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp filter refused")


def filter_program(machine: str, pid: int) -> list[Instruction]:
    """The filter as (code, jump if true, jump if false, value), for a process ``pid`` on ``machine``."""
    column, architecture = _MACHINES[machine]
    steps: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in sorted({numbers[column] for numbers in REFUSED.values()} - {None}, key=lambda n: n or 0):
        steps += [(_EQUAL, 0, 1, number or 0), _refuse(errno.EPERM)]
    for name, numbers in CHECKED.items():
        block = list(_checked(name, pid))
        steps += [(_EQUAL, 0, len(block), numbers[column] or 0), *block]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _checked(name: str, pid: int) -> Iterator[Instruction]:
    """The rest of the way for a call whose number matched: look at one argument, allow or refuse."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), _refuse(errno.EPERM)
    if name == "clone3":
        # Its flags lie in memory, where a filter cannot look. "No such call" makes libraries use clone.
        yield _refuse(errno.ENOSYS)
        return
    yield (_LOAD, 0, 0, 24 if name == "fcntl" else 16)
    if name == "clone":
        yield from [(_BITS, 1, 0, _CLONE_THREAD), refuse, allow]
    elif name == "fcntl":
        # Ownership of a pipe's signals would let us signal the gateway.
        yield from [(_EQUAL, 3, 0, _F_SETOWN), (_EQUAL, 2, 0, _F_SETSIG), (_EQUAL, 1, 0, _F_SETOWN_EX), allow, refuse]
    elif name == "prlimit64":
        yield from [(_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, pid), allow, refuse]
    else:  # kill, tkill, tgkill: only ourselves (abort)
        yield from [(_EQUAL, 0, 1, pid), allow, refuse]
