"""The risk of a core view, measured on its very bytes in children without keys, and one answer over all its files.

Not here: the judgement (the gate table), and what the audience holds besides (``gateway.measured``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from gateway.env import Env
from gateway.measured import pack_partition

SHOWN = ("is_substituted", "bases_are_reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """What a core view is measured with: recipe and kind as its task takes them, what must not be found in it, and the
    reference of its reads."""

    core_id: str
    spec: Mapping[str, Any]
    identifiers: Sequence[str]
    reference: Mapping[str, BinaryIO]


def assess(env: Env, asked: Measuring, parts: Sequence[Mapping[str, Any]]) -> Assessed:
    """Measure and leak-check every file of the view as it lies in staging."""
    measured, findings, partitions = [], 0, []
    for part in parts:
        with env.staging.open(asked.core_id, part["name"]) as core:
            found = env.sandbox("deid.assess", asked.spec, inputs={"core": core, **asked.reference}, outputs={})
        if (partition := found.pop("partition", None)) is not None:
            partitions.append(partition)
        measured.append(found)
        findings += leaks_of(env, asked.core_id, part["name"], asked.identifiers)
    risk = {**worst_of(measured), "clean": not findings, "findings": findings}
    return Assessed(risk=risk, partition=pack_partition(partitions))


def leaks_of(env: Env, owner: str, name: str, identifiers: Sequence[str]) -> int:
    """How many places of a staged file hold one of the identifiers."""
    with env.staging.open(owner, name) as file:
        looking = {"name": name, "identifiers": list(identifiers)}
        return len(env.sandbox("deid.leakcheck", looking, inputs={"file": file}, outputs={})["findings"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """The risk of a core view over all its files, and its people's classes where it is a table."""

    risk: Mapping[str, Any]
    partition: bytes | None


def worst_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One risk for a view of several files: of each number the one that protects least.

    Counts of what gives a person away (``_max``) and everything not named below grow with risk; k, l and the fewest
    people behind a count fall with it.
    Singletons of the same person in two files add up, so ``_max`` of genotypes is summed: an upper bound.
    """
    whole: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            known = whole.get(name)
            if known is None:
                whole[name] = value
            elif isinstance(value, Mapping):
                whole[name] = WORST.get(name, _joined)(known, value)
            elif isinstance(value, (int, float)):
                whole[name] = (min if name in {"k", "l", "min_count"} else max)(known, value)
    return whole


def _worst_genomic(known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    added = {name for name in other if name == "records" or name.endswith("_per_participant_max")}
    numbers = {name: known.get(name, 0) + other[name] for name in added}
    largest = {
        name: max(known.get(name, value), value)
        for name, value in other.items()
        if name not in added and isinstance(value, (int, float))
    }
    rest = {name: value for name, value in other.items() if name not in known}
    return {**known, **rest, **largest, **numbers}


def _worst_reads(known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Reads of two files: substituted only where both are shown to be, every tag, flag and operation of either."""
    shown = {name: known.get(name) is True and other.get(name) is True for name in SHOWN}
    bits = {name: known[name] | other[name] for name in ("flags", "operations")}
    added = {name: known[name] + other[name] for name in ("records", "participants", "unplaced", "with_mates")}
    tags = sorted({*known["tags"], *other["tags"]})
    return {
        **added,
        **bits,
        **shown,
        "tags": tags,
        "quality_levels": max(known["quality_levels"], other["quality_levels"]),
    }


def _joined(known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**known, **other}


WORST = {"genomic": _worst_genomic, "reads": _worst_reads}
