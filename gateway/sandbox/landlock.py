"""Landlock for this process: read the interpreter, the packages and the inputs; write nothing; reach nobody.

The kernel's rule book is ``Documentation/userspace-api/landlock.rst``; what a kernel is too old for is left out and
``abi`` says which it has (0: none).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP = 0b11
_SCOPES = 0b11


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    return result


def abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if platform.system() != "Linux":
        return 0
    return max(0, _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)))


def ruleset_attributes(version: int) -> bytes:
    """All rights this version can handle, so that all are refused unless a rule gives them back."""
    rights = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    fields = [rights, *([_TCP] if version >= 4 else []), *([_SCOPES] if version >= 6 else [])]
    return struct.pack(f"={len(fields)}Q", *fields)


def confine(readable: Iterable[Path], files: Iterable[int]) -> None:
    """From now on only ``readable`` folders and files, and the already open ``files``, can be opened, for reading.

    ``no_new_privs`` must be set. Raises OSError.
    """
    attributes = ruleset_attributes(abi())
    ruleset = _checked(_call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)))
    try:
        for path in readable:
            _allow_path(ruleset, path)
        for file in files:
            _allow_file(ruleset, file)
        _checked(_call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)


def _allow_file(ruleset: int, file: int) -> None:
    try:
        _allow(ruleset, file, _READ_FILE)
    except OSError as error:
        # A file that is in memory only lies in no folder, so no rule can name it and none forbids it.
        if error.errno != errno.EBADFD:
            raise


def _allow_path(ruleset: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, so nothing to allow
    try:
        folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        _allow(ruleset, opened, _READ_FILE | _READ_FOLDER if folder else _READ_FILE)
    finally:
        os.close(opened)


def _allow(ruleset: int, opened: int, rights: int) -> None:
    rule = struct.pack("=Qi", rights, opened)
    _checked(_call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "Landlock refused a rule")
    return result
