"""``tongguan deid``: one file of this machine through one recipe, for custodians who try a recipe before they use it.

The source is parsed in a sandboxed child without keys or network (invariant 19). The output appears under its name only
when it is whole, the two of a pair when both are; its index is made anew from its own bytes. Nothing is recorded, so
nothing made here is a release.
"""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeAlias, cast

import typer

from deid.errors import DeidError, RecipeError
from deid.recipe import Recipe, load_recipe
from gateway.cli.sealing import _Finished
from gateway.cli.show import read_yaml
from gateway.errors import BadInput
from gateway.machine import TASKS, SystemRandomness
from gateway.sandbox.port import Limits
from gateway.sandbox.runner import ProcessSandbox

RecipeFile = Annotated[Path, typer.Option("--recipe", help="The recipe; files it names stand beside it.")]
ReportFile = Annotated[Path, typer.Option("--report", help="Where the report (JSON) goes.")]
People = Annotated[Path, typer.Option("--participants", help="YAML or JSON: source name to internal code.")]
Threads = Annotated[int, typer.Option(min=1, max=64)]
Region = Annotated[str | None, typer.Option(help="CONTIG, CONTIG:BASE or CONTIG:FIRST-LAST; several by spaces.")]
MEMORY = 2 << 30
Files: TypeAlias = tuple[tuple[Path, Path], ...]
"""Each source with its output; the second, where there is one, is the mate of the first."""
NAMES = (("source", "core"), ("mate", "mate"))
"""What the child calls each source and its output, in the order of ``Files``."""


def vcf(
    source: Path, out: Path, recipe: RecipeFile, report: ReportFile, participants: People,
    threads: Threads = 1, region: Region = None,
) -> None:  # fmt: skip
    """A cohort VCF or BCF; OUT ending in .bcf is BCF. An index is written beside it."""
    options = {"threads": threads, "region": region, "measure_masks": source.is_file()}
    spec = {"participants": read_yaml(participants), "options": options}
    from deid.indexes import index_variants
    from deid.variants.bcf import convert_vcf

    _run("vcf", ((source, out),), recipe, report, spec=spec, convert=convert_vcf if out.suffix == ".bcf" else None)
    try:
        print(index_variants(out))
    except DeidError as error:
        # Half a result is none: what cannot be indexed does not stay.
        out.unlink()
        report.unlink()
        raise BadInput(f"{source}: {error}") from None


def reads(
    source: Path, out: Path, recipe: RecipeFile, report: ReportFile, participants: People,
    threads: Threads = 1, region: Region = None,
    reference: Annotated[Path | None, typer.Option(help="FASTA with .fai beside it; never fetched.")] = None,
) -> None:  # fmt: skip
    """A BAM or CRAM; OUT ending in .cram is CRAM. Coordinate-sorted output gets an index."""
    spec: dict[str, Any] = {"participants": read_yaml(participants), "key": SystemRandomness().token(16).hex()}
    whole = None if reference is None else reference.resolve()
    spec["options"] = {"threads": threads, "region": region, "reference": None if whole is None else str(whole)}
    from deid.indexes import index_reads
    from deid.reads import Reference
    from deid.reads.cram import convert_bam

    convert = None
    if out.suffix == ".cram":
        if whole is None:
            raise BadInput("a CRAM is written against a reference: name it with --reference")
        convert = partial(convert_bam, reference=Reference(whole))
    folders = () if whole is None else (whole.parent,)
    _run("reads", ((source, out),), recipe, report, spec=spec, folders=folders, convert=convert)
    print(index_reads(out))


def fastq(
    source: Path, out: Path, recipe: RecipeFile, report: ReportFile, threads: Threads = 1,
    pair: Annotated[
        tuple[Path, Path] | None, typer.Option(help="The second file of the pair, and where it goes.")
    ] = None,
) -> None:  # fmt: skip
    """One FASTQ of one participant, or with --pair the two files of a pair."""
    key, options = SystemRandomness().token(16).hex(), {"threads": threads}
    spec = {"participants": {"source": "participant"}, "key": key, "options": options}
    files: Files = ((source, out),) if pair is None else ((source, out), pair)
    _run("fastq", files, recipe, report, spec=spec)


def matrix(source: Path, out: Path, recipe: RecipeFile, report: ReportFile, participants: People) -> None:
    """An expression or methylation matrix, features in rows."""
    _run("matrix", ((source, out),), recipe, report, spec={"participants": read_yaml(participants)})


def frequencies(
    source: Path, out: Path, recipe: RecipeFile, report: ReportFile, participants: People,
    earlier: Annotated[Path | None, typer.Option(help="Participants of the last snapshot, in the same form.")] = None,
) -> None:  # fmt: skip
    """Allele frequencies of a cohort VCF, sites only."""
    spec: dict[str, Any] = {"participants": read_yaml(participants)}
    if earlier is not None:
        spec["earlier"] = sorted(read_yaml(earlier))
    _run("frequencies", ((source, out),), recipe, report, spec=spec)


def _run(
    kind: str,
    files: Files,
    recipe: Path,
    report: Path,
    *,
    spec: dict[str, Any],
    folders: tuple[Path, ...] = (),
    convert: Callable[[BinaryIO, BinaryIO], tuple[str, int]] | None = None,
) -> None:
    """``convert`` makes another format of what the child wrote of one file: our own bytes, which need no child."""
    text, beside = _recipe(kind, recipe)
    sandbox = ProcessSandbox(tasks={"deid.core": TASKS["deid.core"]}, folders=folders)
    began = time.monotonic()
    _check(files)
    inputs: dict[str, Any] = {}
    sinks: dict[str, Any] = {}
    with ExitStack() as held:
        for (source, out), (given, written) in zip(files, NAMES, strict=False):
            inputs[given] = held.enter_context(source.open("rb"))
            sinks[written] = held.enter_context(_Finished(out))
        own = held.enter_context(tempfile.TemporaryFile(dir=files[0][1].parent))
        made = sandbox.run_bounded(
            "deid.core",
            {**spec, "recipe": text, "files": beside},
            inputs=inputs,
            outputs=sinks if convert is None else {"core": own},
            limits=Limits(memory_bytes=MEMORY, threads=64),
        )
        body = {**cast("dict[str, Any]", made), "seconds": round(time.monotonic() - began, 3)}
        if convert is not None:
            own.seek(0)
            body["output"]["digest"], body["output"]["bytes"] = convert(own, sinks["core"])
    report.write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(*(out for _, out in files), report, sep="\n")


def _check(files: Files) -> None:
    for source, _ in files:
        if "://" in str(source) or not source.is_file():
            raise BadInput(f"{source}: not a file of this machine")
    paths = [path.resolve() for both in files for path in both]
    if len(files) > 1 and len(set(paths)) < len(paths):
        raise BadInput("the two files of a pair and their outputs are four different files")


def _recipe(kind: str, path: Path) -> tuple[str, dict[str, str]]:
    """The recipe's text and the files it names, read from beside it."""
    try:
        text = path.read_bytes()
        loaded: Recipe = load_recipe(text, files=_beside(path.parent))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except RecipeError as error:
        raise BadInput(f"{path}: {error}") from None
    if loaded.kind != kind:
        raise BadInput(f"{path}: a recipe for the kind {loaded.kind}, not {kind}")
    return text.decode("utf-8"), {name: base64.b64encode(body).decode() for name, body in loaded.files.items()}


def _beside(folder: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        path = folder / name
        # An approved panel belongs to a purpose; where none is given nothing is exempt.
        return b"" if name == "approved-panel" and not path.is_file() else path.read_bytes()

    return read
