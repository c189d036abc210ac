"""Filings as checked data: what each kind must say, and from when to when it stands.

The kinds and their terms are ``tables/filings.toml``, each with its source. A number is whatever the authority gave: an
opaque string, held against a pattern only where a house sets one (catalogue BKP-05). Nothing here decides a release:
these are the questions that the facts of a decision ask of each filing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal

PLACEHOLDER = re.compile(r"(?i)^(n/?a|none|null|tbd|todo|unknown|待定|无|-+|\?+|x+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that keeps a filing from being recorded: the term, what is wrong, and the law that asks for it."""

    term: str
    says: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a filing stands on a day. ``why`` is one of stands, not-yet, ended, other-recipient, no-date."""

    stands: bool
    why: Literal["stands", "not-yet", "ended", "other-recipient", "no-date"]
    until: date | None = None


@cache
def kinds() -> Mapping[str, Mapping[str, Any]]:
    """Kind -> its row of the table."""
    return tomllib.loads((files("policies") / "tables" / "filings.toml").read_text("utf-8"))


def problems(
    kind: str, number: str, terms: Mapping[str, Any], *, recipient: str | None = None, pattern: str | None = None
) -> tuple[Problem, ...]:
    """Everything that is wrong with a filing, never only the first; empty where it can be recorded.

    ``pattern`` is the house's own for this kind's numbers, none by default. Dates are ISO 8601 calendar days.
    """
    row = kinds().get(kind)
    if row is None:
        return (Problem(term="kind", says=f"is not one of {', '.join(sorted(kinds()))}", source="BKP-02"),)
    found = [*_number(number, pattern), *_recipient(row, recipient)]
    known = {**row["needs"], **row["may"]}
    found += [(name, "is missing") for name in row["needs"] if name not in terms]
    found += [(name, "is not a term of this kind of filing") for name in terms if name not in known]
    found += [(name, f"must be {_SAYS[known[name]]}") for name, v in terms.items() if not _typed(known.get(name), v)]
    if not found:
        found += [*_words(row, terms), *_order(row, terms), *_clauses(row, terms)]
    return tuple(Problem(term=str(name)[:60], says=says, source=row["source"]) for name, says in found)


def standing(kind: str, terms: Mapping[str, Any], day: date, *, named: str | None, recipient: str) -> Standing:
    """Whether a filing stands on a legal day (Asia/Shanghai) for one recipient (FAQ-5.6, FAQ-5.8).

    ``named`` is the recipient the filing names. A kind that serves one recipient and names none serves nobody.
    """
    row = kinds().get(kind)
    if row is None:
        return Standing(stands=False, why="no-date")
    if named != recipient and (named is not None or row.get("per_recipient", False)):
        return Standing(stands=False, why="other-recipient")
    begun, until = day_of(terms.get(row["from"])), ends_on(kind, terms)
    if begun is None or until is _UNREADABLE:
        return Standing(stands=False, why="no-date")
    if begun > day:
        return Standing(stands=False, why="not-yet", until=until)
    if until is not None and until < day:
        return Standing(stands=False, why="ended", until=until)
    return Standing(stands=True, why="stands", until=until)


_UNREADABLE = date.min


def ends_on(kind: str, terms: Mapping[str, Any]) -> date | None:
    """Last day on which a filing stands, the earliest of what it says and what the law gives; None where it is open."""
    row = kinds()[kind]
    ends = [day_of(terms[row[key]]) or _UNREADABLE for key in ("until", "also_until") if row.get(key) in terms]
    begun = day_of(terms.get(row["from"]))
    if "years" in row and begun is not None:
        ends.append(_years_later(begun, row["years"]))
    return min(ends, default=None)


def keep_until(kind: str, terms: Mapping[str, Any]) -> date | None:
    """Day until which the papers of a filing are kept at least (PI-12: three years); None where no law names one."""
    row = kinds()[kind]
    begun = day_of(terms.get(row["from"]))
    return None if begun is None or "keep_years" not in row else _years_later(begun, row["keep_years"])


def day_of(value: object) -> date | None:
    """A calendar day written as ISO 8601, or None."""
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value[:10]) if value[10:11] in ("", "T") else None
    except ValueError:
        return None


def covers(terms: Mapping[str, Any], *, digest: str | None, views: frozenset[str], view: str, people: int) -> bool:
    """Whether a prior report covers a release: the frozen package it filed, a view in it, no more people (FAQ-5.7).

    A withdrawal shrinks a package without a new filing; growth needs a change of the filing.
    """
    filed = terms.get("people")
    same = digest is not None and terms.get("package_digest") == digest
    return same and view in views and type(filed) is int and 0 <= people <= filed


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, day=28)


def _number(number: str, pattern: str | None) -> list[tuple[str, str]]:
    if not number.strip() or PLACEHOLDER.match(number.strip()):
        return [("number", "is missing: the authority gives it when it accepts")]
    if pattern is not None and not re.fullmatch(pattern, number):
        return [("number", "does not have the form this house expects of this kind's numbers")]
    return []


def _recipient(row: Mapping[str, Any], recipient: str | None) -> list[tuple[str, str]]:
    return [("recipient", "is missing: it serves one recipient")] if row.get("per_recipient") and not recipient else []


def _words(row: Mapping[str, Any], terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    allowed = row.get("words", {})
    return [(t, f"must be one of {', '.join(words)}") for t, words in allowed.items() if terms.get(t) not in words]


def _order(row: Mapping[str, Any], terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Steps come in their order, and nothing ends before it begins."""
    steps = [*row.get("order", ())] or [name for name in (row["from"], row.get("until")) if name in terms]
    return [(b, f"comes before {a}") for a, b in pairwise(steps) if day_of(terms[b]) < day_of(terms[a])]  # type: ignore[operator]


def _clauses(row: Mapping[str, Any], terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    absent = [clause for clause in row.get("clauses", ()) if clause not in terms["clauses"]]
    found = [("clauses", f"lacks the clause: {clause}") for clause in absent]
    if "sealed_by" in terms and len(set(map(str, terms["sealed_by"]))) < 2:
        found.append(("sealed_by", "names fewer than two parties"))
    return found


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and not PLACEHOLDER.match(value.strip())


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "date": lambda value: day_of(value) is not None,
    "text": _text,
    "count": lambda value: type(value) is int and value >= 0,
    "yes-no": lambda value: value in ("yes", "no"),
    "list": lambda value: isinstance(value, list) and bool(value) and all(_text(each) for each in value),
    "map": lambda value: isinstance(value, dict) and bool(value),
    "digest": lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
}
_SAYS = {
    "date": "a day as YYYY-MM-DD",
    "text": "words that say something",
    "count": "a whole number from 0",
    "yes-no": "yes or no",
    "list": "a list with something in it",
    "map": "a mapping with something in it",
    "digest": "a SHA-256 in 64 hexadecimal characters",
}


def _typed(of: str | None, value: object) -> bool:
    return of is None or _TYPES[of](value)
