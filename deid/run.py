"""The tasks a sandbox child runs: core, copy, assess, leakcheck. Each is (spec, inputs, outputs) to JSON.

Data comes and goes by open binary files; no task opens anything by name, holds a key, or talks to anybody. Each task
imports its kind's modules itself: a fresh child should pay a tenth of a second for variants, not a second for Arrow.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, BinaryIO

from deid.errors import DeidError
from deid.recipe import Recipe, load_recipe

Files = Mapping[str, BinaryIO]
Spec = Mapping[str, Any]


def core(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """Source to core view. spec: recipe (YAML), files (name -> base64), participants (source name -> internal code)."""
    recipe = _recipe(spec)
    source, sink = inputs["source"], outputs["core"]
    if recipe.kind == "table":
        from deid.tables.core import core_table

        return core_table(recipe, source, sink, participants=spec["participants"]).report
    if recipe.kind == "vcf":
        from deid.variants import core_view, plan_from_steps

        plan = plan_from_steps(recipe.steps, recipe.files)
        counts = core_view(plan, source, sink, participants=spec["participants"], threads=2)
        return variant_report(recipe, asdict(counts))
    raise DeidError(f"no transform for the kind {recipe.kind}", code="kind_unknown")


def copy(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """Core view to one project's copy. spec: kind, names (internal code -> pseudonym)."""
    if spec["kind"] == "table":
        from deid.tables.copying import copy_table

        return copy_table(inputs["core"], outputs["copy"], names=spec["names"])
    from deid.variants import copy_view

    counts = copy_view(inputs["core"], outputs["copy"], names=spec["names"])
    return {"records": counts.records, "participants": counts.participants, "bytes": counts.bytes}


def assess(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """Risk on the very bytes of a core view."""
    del outputs
    recipe = _recipe(spec)
    if recipe.kind == "table":
        from deid.risk import assess_table

        found = assess_table(inputs["core"], quasi=recipe.leaving("quasi"), sensitive=recipe.leaving("sensitive"))
        least = min(found.get("l", {"": 1}).values(), default=1)
        return {**found, "diversity": found.get("l", {}), "l": least}
    return assess_variants(inputs["core"])


def leakcheck(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """spec: name, identifiers. Answers {"findings": [...]}, empty when clean."""
    del outputs
    from deid.leakcheck import as_json, check

    try:
        found = check(inputs["file"].read(), name=spec["name"], identifiers=spec["identifiers"])
    except (ValueError, OSError, EOFError):
        raise DeidError("the output could not be opened to look for identifiers", code="leakcheck_unreadable") from None
    return {"findings": as_json(found)}


def assess_variants(released: BinaryIO) -> dict[str, Any]:
    """Singletons per participant, on the genotypes as written. Genotypes are always linkable (GB/T 42460, level 2)."""
    singles: list[int] = []
    records = 0
    with gzip.GzipFile(fileobj=released) as lines:
        for line in lines:
            if line.startswith(b"#"):
                continue
            cells = line.rstrip(b"\n").split(b"\t")[9:]
            singles = singles or [0] * len(cells)
            records += 1
            _single(cells, singles)
    most = max(singles, default=0)
    return {"genomic": {"singletons_per_participant_max": most, "records": records}, "linkable": True}


def _single(cells: list[bytes], singles: list[int]) -> None:
    """Count an allele that one participant alone carries, once."""
    carriers: dict[bytes, list[int]] = {}
    for n, cell in enumerate(cells):
        call = cell.split(b":", 1)[0]
        if call in (b"0/0", b"0|0", b"0", b"./.", b"."):
            continue
        for allele in set(call.replace(b"|", b"/").split(b"/")) - {b"0", b"."}:
            carriers.setdefault(allele, []).append(n)
    for holders in carriers.values():
        if len(holders) == 1:
            singles[holders[0]] += 1


def variant_report(recipe: Recipe, counts: dict[str, Any]) -> dict[str, Any]:
    """The report of INTERFACES for a VCF view."""
    return {
        "recipe": recipe.summary,
        "input": {"records": counts["records_in"]},
        "output": {
            "records": counts["records_out"],
            "participants": counts["participants"],
            "digest": counts["digest"],
            "bytes": counts["bytes"],
        },
        "removed": dict(counts["removed"]),
        "genomic": {"singletons_per_participant_max": counts["singletons_per_participant_max"]},
    }


def _recipe(spec: Spec) -> Recipe:
    files = {name: base64.b64decode(body) for name, body in spec["files"].items()}
    return load_recipe(spec["recipe"].encode(), files=lambda name: files[name])
