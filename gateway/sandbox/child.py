"""The child's main: read the order, bind itself, only then load the task and run it, answer, end.

Started by ``gateway.sandbox.runner`` as ``python -I -m gateway.sandbox.child ORDER-FD ANSWER-FD``. Nothing of the
order stands on the command line, where other users could read it. The task's module is loaded after the binding: the
parsers' libraries never run unbound.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gateway.sandbox.confinement import Bounds, code_folders, confine

_MAX_SENTENCE = 2000

Order = Mapping[str, Any]


def main(arguments: Sequence[str]) -> None:
    """Both arguments are file descriptor numbers."""
    order_fd, answer_fd = map(int, arguments)
    with os.fdopen(order_fd, "rb") as source:
        order: Order = json.loads(source.read())
    with os.fdopen(answer_fd, "wb") as answer:
        answer.write(json.dumps(_answer(order), ensure_ascii=False, allow_nan=False).encode())


def _answer(order: Order) -> Mapping[str, Any]:
    try:
        _bind(order)
    except (OSError, ValueError):
        return _failure("sandbox_not_in_force", "the sandbox could not be put in force, so nothing was read")
    try:
        return {"ok": True, "result": _run(order)}
    except MemoryError:
        return _failure("memory_exceeded", "the work needed more memory than it may use")
    except Exception as error:  # noqa: BLE001 - the boundary: what we do not know must not pass with its text
        return _refusal(error, order["packages"])


def _bind(order: Order) -> None:
    bounds = Bounds(**order["bounds"])
    sys.path.extend(order["folders"])
    packages = [*map(_package_folder, order["packages"]), *map(Path, order["folders"])]
    files = [fd for fd, kind in order["inputs"].values() if kind == "file"]
    confine(bounds, readable=code_folders(packages), files=files)


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(name)
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def _run(order: Order) -> Any:
    module, _, function = order["target"].partition(":")
    task: Callable[..., Any] = getattr(importlib.import_module(module), function)
    inputs = {name: _input(order, name) for name in order["inputs"]}
    outputs: dict[str, BinaryIO] = {name: os.fdopen(fd, "wb") for name, fd in order["outputs"].items()}
    result = task(order["spec"], inputs, outputs)
    for sink in outputs.values():
        sink.close()
    return result


def _input(order: Order, name: str) -> BinaryIO:
    fd, kind = order["inputs"][name]
    if name in order["named"]:
        # Opened by its name, which a library can open again; the descriptor stays for the name leads to it.
        return Path(order["named"][name]).open("rb")
    source = os.fdopen(fd, "rb")
    if kind == "file":
        source.seek(0)
    return source


def _refusal(error: Exception, packages: Sequence[str]) -> Mapping[str, Any]:
    code = getattr(error, "code", None)
    if isinstance(code, str) and type(error).__module__.partition(".")[0] in packages:
        return {**_failure(code, " ".join(str(error).split())[:_MAX_SENTENCE]), "from_task": True}
    # The name of a built-in class is ours to show; a foreign class, or any text, may quote the data.
    kind = type(error).__name__ if getattr(builtins, type(error).__name__, None) is type(error) else "foreign error"
    return _failure(
        "task_failed", f"the work on the data failed ({kind}); its own words are not shown, they may quote it"
    )


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "message": message, "from_task": False}


if __name__ == "__main__":
    main(sys.argv[1:])
    # No atexit, no finalisers of foreign libraries: the answer is written, the rest is not waited for.
    os._exit(0)
