"""Which participants permit a use: vectorised over the consent table, one reason counted per exclusion.

Participant x purpose x place x recipient kind x named recipient x version. Cedar sees only the sizes and the digest of
the permitted set. Each condition is computed over distinct cell values and spread over the rows, so a million
participants take less than a second. Unknown, empty and unreadable cells exclude.

Order: of a participant's rows the one signed last governs; then every condition is asked of it, and all must hold.
Law: PIPL Art. 14 (new purpose, new consent), 15 (withdrawal), 23 (provision, named recipient), 29 (sensitive),
31 (under 14), 39 (cross-border); 人类遗传资源管理条例 Art. 12. Legal sense: 单独同意, 监护人同意, 撤回同意.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.ages import guarded, outgrown
from policies.consent_table import AT_ONCE, NEVER, ConsentTable, Mask, first_day_of, last_of
from policies.diseases import NO_MONDO, Mondo
from policies.purposes import ASK, MATCH, NO, Purpose, matches

MAINLAND = "mainland"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The use asked for: purpose, the recipient's place, kind and registered name, and the legal day.

    ``accessed_from`` is the place the person connects from, where that is not the recipient's own. ``notices`` are the
    notice versions known to have named recipient, contact and purpose (PIPL Art. 23, 39); None asks only that the
    version and the notice are on record. ``sensitive`` and ``provision`` are true unless somebody has shown otherwise.
    """

    purpose: Purpose
    place: str
    recipient_kind: str
    recipient_name: str
    on: date
    accessed_from: str = ""
    notices: frozenset[str] | None = None
    sensitive: bool = True
    provision: bool = True
    mondo: Mondo = field(default=NO_MONDO)

    @property
    def places(self) -> frozenset[str]:
        """Every place the data would be in or seen from."""
        return frozenset({self.place, self.accessed_from or self.place})

    @property
    def crosses(self) -> bool:
        """Whether the data would be outside the mainland, or seen from outside."""
        return self.places != {MAINLAND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """Ids in order, how many participants were asked, exclusions by reason (a participant counts once per reason),
    digest of the set."""

    ids: tuple[str, ...]
    total: int
    excluded: Mapping[str, int]
    digest: str


def permitted(ids: Sequence[str], rows: Sequence[Mapping[str, Any]], use: Use) -> Permitted:
    """``rows`` are consent terms as INTERFACES "Consent table" names them, one per id; an id may have several."""
    return permitted_of(ConsentTable.of_rows(ids, rows), use)


def permitted_of(table: ConsentTable, use: Use) -> Permitted:
    """The permitted set of a table that was prepared once and is asked many times."""
    signed = table.spread(("signed_on",), lambda cell: last_of(cell, use.on), np.int32)
    governing = _governing(table, signed)
    keep, excluded = governing.copy(), {}
    for reason, passes in _conditions(table, signed, use):
        failing = governing & ~passes
        if failing.any():
            excluded[reason] = table.people_among(failing)
            keep &= passes
    # Where two rows were signed on the same day, both govern and both must permit.
    keep &= ~table.shared_with(governing & ~keep)
    chosen = table.ids_of(keep)
    return Permitted(ids=chosen, total=table.people, excluded=excluded, digest=_digest(chosen))


def set_digest(ids: Sequence[str]) -> str:
    """SHA-256, hex, over the sorted ids."""
    return _digest(sorted(ids))


def _digest(ordered: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest()


def _governing(table: ConsentTable, signed: NDArray[np.int32]) -> Mask:
    """The rows that speak for their participant: signed last, and not after the day asked about."""
    if table.single:
        return np.ones(len(signed), dtype=np.bool_)
    last: Mask = signed == table.highest(signed)
    return last


def _conditions(table: ConsentTable, signed: NDArray[np.int32], use: Use) -> Iterator[tuple[str, Mask]]:
    yield "withdrawn", ~_withdrawn(table, signed, use.on)
    yield "not-signed", signed > NEVER
    yield from _purpose(table, use)
    yield "version", table.test("version", lambda cell: _noticed(cell, use)) & table.test("notice", bool)
    yield "place", table.test("places", lambda cell: use.places <= _parts(cell))
    yield "recipient-kind", table.test("recipient_kinds", lambda cell: use.recipient_kind in _parts(cell))
    yield "recipient-not-named", table.test("named_recipients", lambda cell: use.recipient_name in _parts(cell))
    for reason, column, asked in (
        ("sensitive", "sensitive", use.sensitive),
        ("provision", "provision", use.provision),
        ("cross-border", "cross_border", use.crosses),
    ):
        if asked:
            yield reason, table.test(column, _yes)
    yield "guardian", guarded(table, use.on)
    yield "reconsent", ~outgrown(table, use.on)


def _noticed(version: str, use: Use) -> bool:
    return bool(version) and (use.notices is None or version in use.notices)


def _purpose(table: ConsentTable, use: Use) -> Iterator[tuple[str, Mask]]:
    """Not covered, or covered only if a person says so: two reasons, for the remedies differ."""
    words = (NO, ASK, MATCH)

    def answer(purposes: str, diseases: str) -> int:
        terms = [part.strip() for part in purposes.split(";")]
        return words.index(matches(terms, _parts(diseases), use.purpose, use.mondo))

    said = table.spread(("purposes", "diseases"), answer, np.int8)
    yield "purpose", said != words.index(NO)
    yield "purpose-to-ask", said != words.index(ASK)


def _withdrawn(table: ConsentTable, signed: NDArray[np.int32], on: date) -> Mask:
    """Withdrawn by this row, or by another of the same participant that came after this one was signed (PI-10).

    A withdrawal takes effect at the earlier of the day stated and the day recorded; one that cannot be read, at once.
    """
    stated = table.spread(("withdrawn_on",), first_day_of, np.int32)
    day = np.minimum(stated, table.spread(("withdrawn_recorded_at",), first_day_of, np.int32))
    mine: Mask = day <= on.toordinal()
    if table.single:
        return mine
    effective = np.where(day == AT_ONCE, on.toordinal(), day)
    latest = table.highest(np.where(mine, effective, NEVER).astype(np.int32))
    others: Mask = (latest > NEVER) & (latest >= signed)
    return mine | others


def _parts(cell: str) -> frozenset[str]:
    return frozenset(part.strip() for part in cell.split(";") if part.strip())


def _yes(cell: str) -> bool:
    return cell.lower() == "yes"


__all__ = ["ConsentTable", "Permitted", "Use", "permitted", "permitted_of", "set_digest"]
