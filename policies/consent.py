"""Which participants permit a use: vectorised over the consent table, one reason counted per exclusion.

Cedar sees only the sizes and the digest of the permitted set. Each condition is computed over distinct cell values and
spread over the rows, so a million participants take about a second. Unknown, empty and unreadable cells exclude.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.purposes import Purpose, matches

Mask = NDArray[np.bool_]
ADULT, CHILD = 18, 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The use asked for: purpose, the recipient's place, kind and registered name, and the legal day."""

    purpose: Purpose
    place: str
    recipient_kind: str
    recipient_name: str
    on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """Ids in order, how many were asked, exclusions by reason (a participant counts once per reason), digest
    of the set."""

    ids: tuple[str, ...]
    total: int
    excluded: Mapping[str, int]
    digest: str


def permitted(ids: Sequence[str], rows: Sequence[Mapping[str, Any]], use: Use) -> Permitted:
    """``rows`` are consent terms as INTERFACES "Consent table" names them, one per id."""
    masks = {reason: _spread(rows, columns, test) for reason, columns, test in _conditions(use)}
    keep = np.ones(len(rows), dtype=np.bool_)
    for mask in masks.values():
        keep &= mask
    chosen = tuple(sorted(np.asarray(ids, dtype=object)[keep])) if len(rows) else ()
    return Permitted(
        ids=chosen,
        total=len(rows),
        excluded={reason: int((~mask).sum()) for reason, mask in masks.items() if not mask.all()},
        digest=set_digest(chosen),
    )


def set_digest(ids: Sequence[str]) -> str:
    """SHA-256, hex, over the sorted ids."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def _conditions(use: Use) -> list[tuple[str, tuple[str, ...], Callable[..., bool]]]:
    outside = use.place != "mainland"
    return [
        ("withdrawn", ("withdrawn_on",), lambda day: day == "" or _later(day, use.on)),
        ("not-signed", ("signed_on",), lambda day: _not_after(day, use.on)),
        ("purpose", ("purposes", "diseases"), lambda p, d: matches(_list(p), _list(d), use.purpose) == "match"),
        ("place", ("places",), lambda places: use.place in _list(places)),
        ("recipient-kind", ("recipient_kinds",), lambda kinds: use.recipient_kind in _list(kinds)),
        ("recipient-not-named", ("named_recipients",), lambda names: use.recipient_name in _list(names)),
        ("sensitive", ("sensitive",), _yes),
        ("provision", ("provision",), _yes),
        ("cross-border", ("cross_border",), lambda answer: not outside or _yes(answer)),
        ("guardian", ("birth_date", "age_band", "guardian"), lambda *cells: _guarded(*cells, on=use.on)),
        ("reconsent", ("reconsent_due",), lambda day: day == "" or _later(day, use.on)),
    ]


def _spread(rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...], test: Callable[..., bool]) -> Mask:
    cells = [tuple(str(row.get(column) or "").strip() for column in columns) for row in rows]
    known = {cell: test(*cell) for cell in set(cells)}
    return np.fromiter((known[cell] for cell in cells), dtype=np.bool_, count=len(cells))


def _list(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _yes(cell: str) -> bool:
    return cell.lower() == "yes"


def _day(cell: str) -> date | None:
    try:
        return date.fromisoformat(cell)
    except ValueError:
        return None


def _later(cell: str, on: date) -> bool:
    day = _day(cell)
    return day is not None and day > on


def _not_after(cell: str, on: date) -> bool:
    day = _day(cell)
    return day is not None and day <= on


def _guarded(birth: str, band: str, guardian: str, *, on: date) -> bool:
    """Minors need a guardian's signature (PI-11 under 14; research under 18). An unknown age excludes."""
    born = _day(birth)
    if born is not None:
        age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    elif band.split("-")[0].rstrip("+").isdigit():
        age = int(band.split("-")[0].rstrip("+"))
    else:
        return False
    return age >= ADULT or _yes(guardian)
