"""Propose labels from what a thing is (the label table, rule catalogue section 8); a named person confirms them.

A label says the GB/T 43697 grade, the GB/T 39725 level, the GB/T 42460 level, the HGR sub-types, the tier and whether
the information is sensitive, each with reasons. A kind or a word that is not in the tables gets the strictest. Sets
take the highest of their members (就高从严). Statistics stay HGR information whatever their grade.
How a grade is reached from harm, and when it is reached anew, is in ``policies.grading``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from policies.model import Label
from policies.protection import GRADES, TIERS

IDENTIFIABILITY = ("L4", "L3", "L2", "L1")
DOORS = (*TIERS, "internal", "never")
UNKNOWN = "unknown"


@cache
def table() -> dict[str, Any]:
    """The label table."""
    return tomllib.loads((files("policies") / "tables" / "labels.toml").read_text("utf-8"))


def propose(kind: str, *, assay: str = "WGS") -> dict[str, Any]:
    """The label of a view of a kind (vcf, reads, table ...) and assay (WGS, WES, array, panel ...), as JSON.

    A view leaves through the gateway for an approved cohort only, so the tier is the one for that. Until its risk was
    measured a view keeps the level of what was not measured.
    """
    row = table()["kinds"].get(kind, {})
    name = row.get(assay, row.get("else", UNKNOWN))
    label = replace(artefact(name, assay=assay, approved=True), **row.get("unmeasured", {}))
    return label.to_json() | {"artefact": name, "repositories": sorted({repository(code) for code in label.hgr} - {""})}


def artefact(name: str, *, assay: str = "", approved: bool = False, raw: bool = False, special: bool = False) -> Label:
    """The row of the label table of an artefact. ``approved``: for an approved cohort; ``raw``: instrument output where
    that has a sub-type of its own; ``special``: it shows a stigmatising disease."""
    rows = table()["artefacts"]
    known = name in rows
    row = rows[name] if known else table()[UNKNOWN]
    codes = row.get("hgr_raw", row.get("hgr", {})) if raw else row.get("hgr", {})
    hgr = (codes.get(assay, UNKNOWN),) if codes or not known else ()
    label = _label(row, special=special)
    reasons = label.reasons if UNKNOWN not in hgr else (*label.reasons, "its assay is not known")
    tier = row.get("approved", label.tier) if approved else label.tier
    return replace(label, tier=tier, hgr=hgr, reasons=reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Whom statistics are about. The three questions are yes, no or unknown."""

    people: int
    one_region: str = UNKNOWN
    one_family: str = UNKNOWN
    one_ethnic_group: str = UNKNOWN


def of_statistics(label: Label, about: Population) -> Label:
    """Frequencies and summary statistics rise for a small or very large cohort, one family, region or ethnic group.

    A question that is not answered counts as yes (rule catalogue, section 17: unknown is never false).
    """
    rises = table()["statistics"]
    answers = [("one region", about.one_region), ("one family", about.one_family)]
    answers.append(("one ethnic group", about.one_ethnic_group))
    why = [f"{question}: {answer}" for question, answer in answers if answer != "no"]
    if not rises["few"] <= about.people <= rises["many"]:
        why.append(f"{about.people} people")
    if not why:
        return label
    grade = _higher(GRADES, label.grade, rises["risen"])
    return replace(label, grade=grade, candidate=True, reasons=(*label.reasons, ", ".join(why)))


def of_model(source: Label) -> Label:
    """A trained model or embedding: its own row, and never more than one grade below what it was trained on."""
    row = artefact("trained-model")
    general = source.grade in GRADES[:4]
    below = GRADES[max(GRADES.index(source.grade) - 1, 0)] if general else source.grade
    grade = _higher(GRADES, row.grade, below)
    return replace(row, grade=grade, hgr=source.hgr, candidate=source.candidate)


def field(role: str, *, special: bool = False) -> Label:
    """The label of one column of a table by its role: identifier, quasi, sensitive or plain; else the strictest."""
    return _label(table()["fields"].get(role, table()[UNKNOWN]), special=special)


def of_fields(roles: Mapping[str, str], *, special: Iterable[str] = ()) -> Label:
    """A table's label from its columns' roles: the highest of each part. A table without columns gets the strictest."""
    stigmatising = frozenset(special)
    return highest([field(role, special=name in stigmatising) for name, role in roles.items()])


def highest(labels: Iterable[Label]) -> Label:
    """What a set of labelled things is: on each part the highest of its members; HGR information if one of them is."""
    parts = list(labels) or [_label(table()[UNKNOWN], special=True)]
    return Label(
        grade=_higher(GRADES, *(part.grade for part in parts)),
        level=max(part.level for part in parts),
        identifiability=_higher(IDENTIFIABILITY, *(part.identifiability for part in parts)),
        tier=_higher(DOORS, *(part.tier for part in parts)),
        sensitive=any(part.sensitive for part in parts),
        hgr=tuple(sorted({code for part in parts for code in part.hgr})),
        candidate=any(part.candidate for part in parts),
        reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
    )


def fused(views: Iterable[Label]) -> Label:
    """Two or more views in one audience's hands: the highest of each part, and no better than L2 for people.

    Joined with genotypes a k-anonymous table is k-anonymous no more: what was measured apart does not hold together.
    """
    parts = list(views)
    label = highest(parts)
    if len(parts) < 2 or not label.sensitive:
        return label
    return replace(
        label,
        identifiability=_higher(IDENTIFIABILITY, label.identifiability, "L2"),
        reasons=(*label.reasons, "fused for one audience: risk is judged on all it holds"),
    )


def identifies(labelled: str, *, linkable: bool, found: bool) -> str:
    """The level of a thing as it would leave: its label's, L2 at best beside genotypes of the same people, and L1 where
    the leak check found a direct identifier (GB/T 42460-2023 6.2)."""
    return _higher(IDENTIFIABILITY, labelled, *(["L2"] if linkable else ()), *(["L1"] if found else ()))


@cache
def _hgr() -> dict[str, Any]:
    return tomllib.loads((files("policies") / "tables" / "hgr.toml").read_text("utf-8"))


def subtypes() -> tuple[str, ...]:
    """The sub-types of HGR information, in order."""
    return tuple(_hgr()["subtypes"])


def repository(code: str, *, sequence: bool = True) -> str:
    """Where a sub-type is backed up; empty for an unknown one. Biomarkers that are no sequence go to ``other``."""
    row = _hgr()["subtypes"].get(code, {})
    return str(row.get("repository", "") if sequence else row.get("other", row.get("repository", "")))


def _label(row: Mapping[str, Any], *, special: bool) -> Label:
    return Label(
        grade=row["grade"],
        level=row.get("special", row["level"]) if special else row["level"],
        identifiability=row["identifiability"],
        tier=row["tier"],
        sensitive=row["sensitive"],
        candidate=row.get("candidate", False),
        reasons=(row["reason"],),
    )


def _higher(order: tuple[str, ...], *words: str) -> str:
    """The last of the words by an order; an unknown word comes after all known ones, so it stays and is refused."""
    return max(words, key=lambda word: order.index(word) if word in order else len(order))
