"""The task behind every sequencing kind: recipe and source in, core view and its report out.

spec, beside what ``deid.run`` says: ``key`` (32 hexadecimal digits; read names), ``options`` (threads, region, form,
reference; for variants ``measure_masks``: read the source again and say how well masked genotypes are guessed). Each
kind imports its own modules, since a fresh child pays for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from deid.errors import DeidError
from deid.recipe import Recipe

if TYPE_CHECKING:
    from deid.reads import ReadsOptions

KINDS = ("vcf", "reads", "fastq", "matrix", "frequencies")


def core_of(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    """The report of INTERFACES for one source file. Raises what the kind's room raises, each with a ``code``."""
    makers = {"vcf": _vcf, "reads": _reads, "fastq": _fastq, "matrix": _matrix, "frequencies": _frequencies}
    return report(recipe, makers[recipe.kind](recipe, spec, source, sink))


def report(recipe: Recipe, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Counts as INTERFACES writes them; what a kind does not count is absent."""
    made = {
        "recipe": recipe.summary,
        "input": {"records": counts["records_in"]},
        "output": {
            "records": counts["records_out"],
            "participants": counts["participants"],
            "digest": counts["digest"],
            "bytes": counts["bytes"],
        },
        "removed": dict(counts["removed"]),
    }
    if "form" in counts:
        made["input"]["form"] = counts["form"]
    if "membership" in counts:
        made["genomic"] = dict(counts["membership"])
    if "singletons_per_participant_max" in counts:
        single = {"singletons_per_participant_max": counts["singletons_per_participant_max"]}
        made["genomic"] = {**single, **counts.get("masked", {})}
    return made


def _vcf(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.variants import core_view, plan_from_steps

    asked = spec.get("options", {})
    people, region = spec["participants"], asked.get("region")
    plan = plan_from_steps(recipe.steps, recipe.files)
    threads, form = asked.get("threads", 2), asked.get("form", "vcf")
    made = core_view(plan, source, sink, participants=people, threads=threads, region=region, form=form).as_dict()
    if asked.get("measure_masks") and plan.mask.starts:
        from deid.imputability import masked_imputability

        source.seek(0)
        made["masked"] = masked_imputability(plan, source, participants=people).summary()
    return made


def _reads(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.reads import core_view, plan_from_steps

    plan = plan_from_steps(recipe.steps, recipe.files)
    if recipe.tier == "registered" and not plan.substituted:
        raise DeidError("reads of the registered tier must be reference-substituted", code="tier_needs_substitution")
    options = _reads_options(spec.get("options", {}))
    return asdict(core_view(plan, source, sink, participants=spec["participants"], key=_key(spec), options=options))


def _fastq(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.fastq import FastqOptions, core_view, plan_from_steps

    _one_person(spec)
    options = FastqOptions(threads=spec.get("options", {}).get("threads", 2))
    return _of_fastq(core_view(plan_from_steps(recipe.steps), source, sink, key=_key(spec), options=options))


def pair_of(
    recipe: Recipe, spec: Mapping[str, Any], sources: tuple[BinaryIO, BinaryIO], sinks: tuple[BinaryIO, BinaryIO]
) -> dict[str, Any]:
    """The report of the first of two FASTQ files of a pair, with that of the second under ``mate``."""
    from deid.fastq import FastqOptions, core_pair, plan_from_steps

    if recipe.kind != "fastq":
        raise DeidError("only FASTQ comes in pairs of files", code="task_invalid")
    _one_person(spec)
    options = FastqOptions(threads=spec.get("options", {}).get("threads", 2))
    made = core_pair(plan_from_steps(recipe.steps), sources, sinks, key=_key(spec), options=options)
    first, second = (report(recipe, _of_fastq(counts)) for counts in made)
    return {**first, "mate": second}


def _one_person(spec: Mapping[str, Any]) -> None:
    """A FASTQ names nobody: it leaves only where the one person it is of is permitted."""
    if len(spec["participants"]) != 1:
        raise DeidError("a FASTQ file is one person's, and exactly one must be permitted", code="one_participant")


def _of_fastq(made: Any) -> dict[str, Any]:
    counts = {"records_in": made.records, "records_out": made.records, "removed": {}, "participants": 1}
    return {**counts, "digest": made.digest, "bytes": made.bytes}


def _matrix(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.matrices import core_matrix, plan_from_steps

    return asdict(core_matrix(plan_from_steps(recipe.steps), source, sink, participants=spec["participants"]))


def _frequencies(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.matrices import core_frequencies, frequency_plan

    plan = frequency_plan(recipe.steps, recipe.tier)
    people = spec["participants"]
    made = core_frequencies(plan, source, sink, participants=people, earlier=spec.get("earlier")).as_dict()
    # Singletons per person are a fact about people; a table of frequencies has none.
    del made["singletons_per_participant_max"]
    return made


def copy_of(spec: Mapping[str, Any], core: BinaryIO, sink: BinaryIO, index: BinaryIO | None = None) -> dict[str, Any]:
    """One recipient's copy of a core view of reads or FASTQ: counts with the digest of the bytes written.

    spec: kind, ``key`` (32 hexadecimal digits, this recipient's and no other's), ``options`` as for ``core_of``, and
    for reads ``names`` (internal code -> pseudonym). ``index`` is where that of a copy written as CRAM goes.
    """
    asked = spec.get("options", {})
    if spec["kind"] == "fastq":
        from deid.fastq import FastqOptions
        from deid.fastq import copy_view as copy_fastq

        options = FastqOptions(threads=asked.get("threads", 2))
        return _of_fastq(copy_fastq(core, sink, key=_key(spec), options=options))
    from deid.pseudonyms import check_names
    from deid.reads import copy_view

    check_names(spec["names"])
    how = replace(_reads_options(asked), crai=index)
    return asdict(copy_view(core, sink, names=spec["names"], key=_key(spec), options=how))


def assess_of(recipe: Recipe, spec: Mapping[str, Any], core: BinaryIO) -> dict[str, Any]:
    """What a core view of reads or FASTQ holds, by its own bytes; ``options.reference`` as for ``core_of``.

    Raises ``not_substituted`` where the registered tier asks for substituted reads and these are none, or cannot be
    shown to be: without the reference their bases are not known to be the reference's.
    """
    if recipe.kind == "fastq":
        from deid.fastq import assess_view as assess_fastq

        return {"fastq": asdict(assess_fastq(core)), "linkable": True}
    from deid.reads import assess_view

    options = _reads_options(spec.get("options", {}))
    found = assess_view(core, reference=options.reference, threads=options.threads)
    if recipe.tier == "registered" and not (found.is_substituted and found.bases_are_reference):
        raise DeidError("reads of the registered tier are not shown to be the reference's", code="not_substituted")
    return {"reads": {name: value for name, value in asdict(found).items() if value is not None}, "linkable": True}


def _reads_options(asked: Mapping[str, Any]) -> ReadsOptions:
    from deid.reads import ReadsOptions, Reference

    return ReadsOptions(
        threads=asked.get("threads", 2),
        region=asked.get("region"),
        form=asked.get("form", "bam"),
        reference=Reference(Path(asked["reference"]), proves_sums=asked.get("proves_sums", False))
        if asked.get("reference")
        else None,
    )


def _key(spec: Mapping[str, Any]) -> bytes:
    try:
        return bytes.fromhex(spec["key"])
    except (KeyError, ValueError, TypeError):
        raise DeidError("task: reads and FASTQ need a key of 32 hexadecimal digits", code="task_invalid") from None
