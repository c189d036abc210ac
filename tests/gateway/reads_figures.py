"""One task of a release of reads in a process of its own: seconds and peak memory, as JSON.

Arguments: task (core, assess, copy, leakcheck), folder with ref.fa, its index, source.bam, core.bam.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deid import run
from deid.defaults import default_text
from tests.memory import peak_mb

SPEC: dict[str, Any] = {
    "kind": "reads", "recipe": default_text("reads-registered").decode(), "files": {}, "participants": {"S1": "p" * 32},
    "key": "07" * 16, "names": {"p" * 32: "N" * 16}, "name": "x.bam", "identifiers": ["HOSP0001", "S1"],
}  # fmt: skip


def main(task: str, folder: Path) -> None:
    source = {"core": "source", "assess": "core", "copy": "core", "leakcheck": "file"}[task]
    with ExitStack() as stack:
        inputs = (
            {"reference.fa": stack.enter_context((folder / "ref.fa").open("rb"))} if task in ("core", "assess") else {}
        )
        inputs[source] = stack.enter_context((folder / ("source.bam" if task == "core" else "core.bam")).open("rb"))
        outputs = {task: stack.enter_context((folder / f"{task}.bam").open("wb"))} if task in ("core", "copy") else {}
        start = time.process_time(), time.monotonic()
        getattr(run, task)(SPEC, inputs, outputs)
        spent = time.process_time() - start[0], time.monotonic() - start[1]
    found = {"task": task, "cpu_s": round(spent[0], 2), "wall_s": round(spent[1], 2), "peak_mb": peak_mb()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
