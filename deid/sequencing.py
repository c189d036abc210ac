"""The task behind every sequencing kind: recipe and source in, core view and its report out.

spec, beside what ``deid.run`` says: ``key`` (32 hexadecimal digits; read names), ``options`` (threads, region, form,
reference; for variants ``measure_masks``: read the source again and say how well masked genotypes are guessed). Each
kind imports its own modules, since a fresh child pays for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from deid.errors import DeidError
from deid.recipe import Recipe

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
    made = asdict(core_view(plan, source, sink, participants=people, threads=threads, region=region, form=form))
    if asked.get("measure_masks") and plan.mask.starts:
        from deid.imputability import masked_imputability

        source.seek(0)
        made["masked"] = masked_imputability(plan, source, participants=people).summary()
    return made


def _reads(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.reads import ReadsOptions, Reference, core_view, plan_from_steps

    asked = spec.get("options", {})
    plan = plan_from_steps(recipe.steps, recipe.files)
    if recipe.tier == "registered" and not plan.substituted:
        raise DeidError("reads of the registered tier must be reference-substituted", code="tier_needs_substitution")
    options = ReadsOptions(
        threads=asked.get("threads", 2),
        region=asked.get("region"),
        form=asked.get("form", "bam"),
        reference=Reference(Path(asked["reference"])) if asked.get("reference") else None,
    )
    return asdict(core_view(plan, source, sink, participants=spec["participants"], key=_key(spec), options=options))


def _fastq(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.fastq import FastqOptions, core_view, plan_from_steps

    options = FastqOptions(threads=spec.get("options", {}).get("threads", 2))
    made = core_view(plan_from_steps(recipe.steps), source, sink, key=_key(spec), options=options)
    return {**asdict(made), "records_in": made.records, "records_out": made.records, "removed": {}, "participants": 1}


def _matrix(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.matrices import core_matrix, plan_from_steps

    return asdict(core_matrix(plan_from_steps(recipe.steps), source, sink, participants=spec["participants"]))


def _frequencies(recipe: Recipe, spec: Mapping[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    from deid.matrices import core_frequencies, frequency_plan

    plan = frequency_plan(recipe.steps, recipe.tier)
    made = asdict(core_frequencies(plan, source, sink, participants=spec["participants"], earlier=spec.get("earlier")))
    # Singletons per person are a fact about people; a table of frequencies has none.
    del made["singletons_per_participant_max"]
    return made


def _key(spec: Mapping[str, Any]) -> bytes:
    try:
        return bytes.fromhex(spec["key"])
    except (KeyError, ValueError, TypeError):
        raise DeidError("task: reads and FASTQ need a key of 32 hexadecimal digits", code="task_invalid") from None
