"""The tasks a sandbox child runs: core, copy, assess, leakcheck. Each is (spec, inputs, outputs) to JSON.

Data comes and goes by open binary files; no task opens anything by name, holds a key, or talks to anybody. Each task
imports its kind's modules itself: a fresh child should pay a tenth of a second for variants, not a second for Arrow.
What is refused raises an error with a ``code`` and one sentence; whatever a task wrote before it raised is to be
thrown away.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, BinaryIO, cast

from deid.errors import DeidError
from deid.recipe import CODE_VERSION, Recipe, load_recipe
from deid.rereading import ReadTwice

Files = Mapping[str, BinaryIO]
Spec = Mapping[str, Any]
VCF_THREADS = 2
REFERENCE = "reference.fa"


def core(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """Source to core view; answers the report.

    spec: recipe (YAML), files (name -> base64), participants (source name -> internal code), and where dates are
    shifted, shifts (internal code -> days); where values are drawn, seeds (internal code -> hexadecimal). inputs:
    source; again (the same bytes) where it is read twice; for reads reference.fa and reference.fa.fai, files so named.
    """
    recipe, spec = _recipe(spec), _with_reference(spec, inputs)
    source, sink = inputs["source"], outputs["core"]
    if "again" in inputs:
        source = cast("BinaryIO", ReadTwice((source, inputs["again"])))
    if recipe.kind == "table":
        from deid.tables.core import core_table

        people = spec["participants"]
        seeds = {code: bytes.fromhex(seed) for code, seed in spec.get("seeds", {}).items()}
        return core_table(recipe, source, sink, participants=people, shifts=spec.get("shifts"), seeds=seeds).report
    from deid.sequencing import core_of, pair_of

    if "mate" in inputs:
        return pair_of(recipe, spec, (source, inputs["mate"]), (sink, outputs["mate"]))
    return core_of(recipe, spec, source, sink)


def copy(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """Core view to one project's copy. spec: kind, names (internal code -> pseudonym); reads and FASTQ also key.

    Reads may be asked for as CRAM (``options.form``): then inputs has the reference as for ``core``, outputs an index.
    """
    if spec["kind"] in ("reads", "fastq"):
        from deid.sequencing import copy_of

        return copy_of(_with_reference(spec, inputs), inputs["core"], outputs["copy"], outputs.get("index"))
    names = spec["names"]
    if spec["kind"] == "table":
        from deid.tables.copying import copy_table

        return copy_table(inputs["core"], outputs["copy"], names=names)
    if spec["kind"] in ("vcf", "frequencies"):
        from deid.pseudonyms import check_names
        from deid.variants import copy_view

        check_names(names)
        return asdict(copy_view(inputs["core"], outputs["copy"], names=names, threads=VCF_THREADS))
    if spec["kind"] == "matrix":
        from deid.matrices.copying import copy_matrix

        return asdict(copy_matrix(inputs["core"], outputs["copy"], names=names))
    raise _unknown(spec["kind"])


def assess(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """Risk on the very bytes of a core view. spec: recipe, files; tables: limits (tau, accept, context, by).

    For a table the answer carries ``partition`` (person to class numbers): what is needed, and all that is needed, to
    judge this table together with another one.
    """
    del outputs
    recipe, spec = _recipe(spec), _with_reference(spec, inputs)
    if recipe.kind == "vcf":
        from deid.genomic import assess_variants

        declared = [frozenset(pair) for pair in spec.get("declared_kin", ())]
        return {"genomic": assess_variants(inputs["core"], declared=declared), "linkable": True}
    if recipe.kind == "frequencies":
        from deid.matrices.frequencies import assess_frequencies

        return {**assess_frequencies(inputs["core"]), "linkable": False}
    if recipe.kind == "matrix":
        return {"linkable": True}
    if recipe.kind in ("reads", "fastq"):
        from deid.sequencing import assess_of

        return assess_of(recipe, spec, inputs["core"])
    if recipe.kind != "table":
        raise _unknown(recipe.kind)
    from deid.joint import partition_of
    from deid.risk import RiskLimits, assess_table

    quasi, sensitive = recipe.leaving("quasi"), recipe.leaving("sensitive")
    limits = RiskLimits(**spec["limits"]) if "limits" in spec else None
    released = io.BytesIO(inputs["core"].read())
    found = assess_table(released, quasi=quasi, sensitive=sensitive, limits=limits)
    released.seek(0)
    found["partition"] = partition_of(released, quasi=quasi, sensitive=sensitive)
    diversity = found.pop("l", {})
    # One number for the gate: the least diverse sensitive column; a table without one has no cell to protect.
    return {**found, "diversity": diversity, "l": min(diversity.values(), default=1)}


def leakcheck(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """spec: name, identifiers, show_values (default no). Answers {"findings": [...]}, empty when clean."""
    del outputs
    from deid.leakcheck import as_json, check

    shown = bool(spec.get("show_values", False))
    found = check(inputs["file"], name=spec["name"], source_identifiers=spec["identifiers"], show_values=shown)
    return {"findings": as_json(found)}


def beside(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """How many of the alleles that a recipe leaves out of a source other views give back.

    spec: recipe, files, participants, shows (the kind of the other views). inputs: source and again (the same bytes),
    and any number of others, the core views of one other view.
    """
    del outputs
    from deid.other_views import given_back_by_reads, given_back_by_variants, hidden_alleles
    from deid.variants import plan_from_steps

    recipe = _recipe(spec)
    source = cast("BinaryIO", ReadTwice((inputs["source"], inputs["again"])))
    plan = plan_from_steps(recipe.steps, recipe.files)
    hidden = hidden_alleles(plan, source, participants=spec["participants"])
    look = given_back_by_reads if spec["shows"] == "reads" else given_back_by_variants
    others = [other for name, other in inputs.items() if name not in ("source", "again")]
    shown = set().union(*(look(hidden, other) for other in others))
    return {"hidden": len(hidden), "given_back": len(shown)}


def index_reference(spec: Spec, inputs: Files, outputs: Files) -> dict[str, Any]:
    """The .fai of the FASTA in ``inputs["reference"]``, worked out from its bytes; answers {"fai": text}."""
    del spec, outputs
    from deid.reads.faidx import fasta_index

    return {"fai": fasta_index(inputs["reference"])}


def _with_reference(spec: Spec, inputs: Files) -> Spec:
    """The spec whose ``options.reference`` is the file of that name among the inputs, where there is one."""
    if REFERENCE not in inputs:
        return spec
    return {
        **spec,
        "options": {**spec.get("options", {}), "reference": str(inputs[REFERENCE].name), "proves_sums": True},
    }


def _unknown(kind: str) -> DeidError:
    return DeidError(f"no transform for the kind {kind}", code="kind_unknown")


def _recipe(spec: Spec) -> Recipe:
    try:
        files = {name: base64.b64decode(body, validate=True) for name, body in spec["files"].items()}
    except (binascii.Error, ValueError):
        raise DeidError("task: a file of the recipe is not base64", code="task_invalid") from None
    version = spec.get("code_version", CODE_VERSION)
    return load_recipe(spec["recipe"].encode(), files=files.__getitem__, code_version=version)
