"""How a grade is reached, and when it is reached anew (GB/T 43697-2024 6.3, 6.5, App. H to J).

Each element of a dataset harms an object to a degree; the matrix gives the grade; the highest wins. Derived data may
propose a lower grade within its floor, statistics that show a trait of a large group rise. Nothing here lowers a label:
a fall needs a recipe, a measured report and a second person (GW-24); a rise is proposed at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from policies.labels import IDENTIFIABILITY, fused
from policies.model import Label
from policies.protection import GRADES

GENERAL = GRADES[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What one element (领域, 群体, 区域, 精度, 规模, 深度, 覆盖度, 重要性) could do: to whom, how badly, and why."""

    element: str
    to: str
    degree: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A proposed grade with its reasons."""

    grade: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that makes a label be looked at again. ``what`` is a trigger of the table; the rest as it applies."""

    what: str
    people_before: int = 0
    people_now: int = 0
    with_views: tuple[Label, ...] = ()
    notified: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regraded:
    """The label proposed after a change, and whether releases hold until a named person has confirmed it."""

    label: Label
    holds: bool
    reasons: tuple[str, ...]


def grade_of(harms: Iterable[Harm]) -> Graded:
    """The grade of what could be harmed.

    Raises ValueError for an element, object or degree that is not in the standard, and when an element was not
    answered: silence is no low grade.
    """
    given = list(harms)
    missing = set(_table()["elements"]) - {harm.element for harm in given}
    if missing:
        raise ValueError(f"not answered: {', '.join(sorted(missing))}")
    found = [(_cell(harm), harm) for harm in given]
    grade = max((cell for cell, _ in found), key=GRADES.index)
    reasons = tuple(f"{harm.element}: {harm.degree} to {harm.to}; {harm.why}" for cell, harm in found if cell == grade)
    return Graded(grade=grade, reasons=reasons)


def derived(source: str, how: str, *, group_trait: str = "unknown") -> Graded:
    """The lowest grade that may be proposed for data derived from a source (App. I).

    ``how``: de-identified, anonymised, tagged, statistics or model. ``group_trait``: whether statistics show a trait of
    a large group; what is not answered counts as yes. Important and core data never fall by derivation: their grade is
    the authority's. Raises ValueError for an unknown way or grade.
    """
    rules = _table()["derived"]
    if how not in rules or source not in GRADES:
        raise ValueError(f"not a way to derive data, or not a grade: {how[:40]}, {source[:40]}")
    if source not in GENERAL:
        return Graded(grade=source, reasons=("important and core data keep their grade until the authority says else",))
    if how == "statistics" and group_trait != "no":
        return Graded(grade=_up(source, 1), reasons=("statistics that show a trait of a large group rise",))
    fallen = max(GENERAL.index(source) - rules[how]["steps"], 0)
    floor = min(GENERAL.index(rules[how]["floor"]), GENERAL.index(source))
    return Graded(grade=GENERAL[max(fallen, floor)], reasons=(f"{how}: at most {rules[how]['steps']} lower",))


def regrade(label: Label, change: Change) -> Regraded:
    """The label after a change: never lower than before, and held where the change made it rise or nobody knows.

    Raises ValueError for a trigger that is not in the table.
    """
    if change.what not in _table()["triggers"]:
        raise ValueError(f"not a trigger of re-grading: {change.what[:40]}")
    risen, reasons = _risen(label, change)
    rising = (risen.grade, risen.level, risen.identifiability, risen.candidate) != (
        (label.grade, label.level, label.identifiability, label.candidate)
    )
    return Regraded(label=risen, holds=rising or change.what == "incident", reasons=reasons)


def _risen(label: Label, change: Change) -> tuple[Label, tuple[str, ...]]:
    if change.what == "fusion":
        return fused([label, *change.with_views]), ("joined with other views for one audience",)
    if change.what == "authority-notice" and change.notified in GRADES[4:]:
        grade = max(label.grade, change.notified, key=GRADES.index)
        return replace(label, grade=grade), (f"notified as {change.notified} data",)
    if change.what == "growth":
        return _grown(label, change)
    steps = _table()["triggers"][change.what]
    grade = _up(label.grade, steps)
    if change.what == "linkage":
        seen = max(label.identifiability, "L2", key=IDENTIFIABILITY.index)
        return replace(label, grade=grade, identifiability=seen), ("linked with other data: people can be found again",)
    return replace(label, grade=grade), (f"{change.what}: to be confirmed anew",)


def _grown(label: Label, change: Change) -> tuple[Label, tuple[str, ...]]:
    crossed = [line for line in _table()["growth"]["lines"] if change.people_before <= line < change.people_now]
    if not crossed or not label.hgr:
        return label, ("grown: to be confirmed anew",)
    return replace(label, candidate=True), (f"grown over {crossed[-1]} people: may be important data",)


def _up(grade: str, steps: int) -> str:
    """So many general grades higher; into important data only the authority or the matrix leads."""
    return grade if grade not in GENERAL else GENERAL[min(GENERAL.index(grade) + steps, len(GENERAL) - 1)]


def _cell(harm: Harm) -> str:
    row = _table()["matrix"].get(harm.to, {})
    if harm.element not in _table()["elements"] or harm.degree not in row:
        raise ValueError(f"not in GB/T 43697: {harm.element[:40]}, {harm.to[:40]}, {harm.degree[:40]}")
    return str(row[harm.degree])


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("policies") / "tables" / "grades.toml").read_text("utf-8"))
