"""``tongguan deid fastq --pair``: the two files of a pair through one recipe, in one sandboxed child.

Both outputs appear under their names only when both are whole and every read has its mate.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

from gateway.cli.deid import MEMORY, _recipe
from gateway.cli.sealing import _Finished
from gateway.errors import BadInput
from gateway.machine import TASKS
from gateway.sandbox.port import Limits
from gateway.sandbox.runner import ProcessSandbox

Two = tuple[Path, Path]


def run_pair(sources: Two, outs: Two, recipe: Path, report: Path, *, spec: dict[str, Any]) -> None:
    """Write both files and the report. Raises BadInput for a path that is no file here or stands twice."""
    text, files = _recipe("fastq", recipe)
    for source in sources:
        if "://" in str(source) or not source.is_file():
            raise BadInput(f"{source}: not a file of this machine")
    if len({path.resolve() for path in (*sources, *outs)}) < len((*sources, *outs)):
        raise BadInput("the two files of a pair and their outputs are four different files")
    began = time.monotonic()
    sandbox = ProcessSandbox(tasks={"deid.core": TASKS["deid.core"]})
    with (
        sources[0].open("rb") as first, sources[1].open("rb") as second,
        _Finished(outs[0]) as one, _Finished(outs[1]) as other,
    ):  # fmt: skip
        made = sandbox.run_bounded(
            "deid.core",
            {**spec, "recipe": text, "files": files},
            inputs={"source": first, "mate": second},
            outputs={"core": cast("Any", one), "mate": cast("Any", other)},
            limits=Limits(memory_bytes=MEMORY, threads=64),
        )
    body = {**cast("dict[str, Any]", made), "seconds": round(time.monotonic() - began, 3)}
    report.write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(f"{outs[0]}\n{outs[1]}\n{report}")
