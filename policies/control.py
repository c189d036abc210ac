"""Is a unit controlled from outside the mainland? The 外方单位 test over an ownership graph.

    1 from 境外 hands, directly or through chains and circles, at least half of the shares or of the votes
    2 or less, where an agreement, an investment or another arrangement lets them decide or materially influence
    3 what 1 or 2 makes foreign-controlled is itself foreign to whatever it holds, with all it holds

Whoever is established outside the mainland is 境外, Hong Kong and Macau included, until proof of Chinese control is on
file and signed off. Shares are exact fractions, so that one half is one half. The answer is yes as soon as the known
part says yes; no only when every owner is known; else unknown.
Law: 人类遗传资源管理条例实施细则 Art. 12 (wording recalled, not read), 生物安全法 Art. 56.
Legal sense: 外方单位, 实际控制.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from policies.vocabulary import Trilean

HALF = Fraction(1, 2)
SLACK = Fraction(1, 1_000_000)
MAINLAND = "mainland"
OUTSIDE = frozenset({"hong_kong", "macau", "overseas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A share of one unit in one holder's hands, 0 to 1; votes where they differ from the shares."""

    holder: str
    of: str
    share: Fraction
    votes: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """An agreement, investment or other arrangement by which a holder decides or materially influences a unit."""

    holder: str
    over: str
    decides: Trilean


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Who holds what. ``places`` says where a party is established; ``proven`` are the Hong Kong and Macau parties
    whose proof of Chinese control was signed off."""

    places: Mapping[str, str] = field(default_factory=dict)
    holdings: Sequence[Holding] = ()
    arrangements: Sequence[Arrangement] = ()
    proven: frozenset[str] = frozenset()

    def outside(self, party: str) -> bool:
        """Whether a party is 境外 by its place."""
        return self.places.get(party) in OUTSIDE and party not in self.proven

    def owners(self, unit: str) -> list[Holding]:
        """The holdings in a unit that count: more than nothing, in shares or in votes."""
        return [held for held in self.holdings if held.of == unit and (held.share > 0 or (held.votes or 0) > 0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The answer, the share known to be in outside hands (the higher of shares and votes), and the reasons."""

    foreign: Trilean
    known_share: Fraction
    reasons: tuple[str, ...]


def control_of(unit: str, graph: Ownership, at_least: Fraction = HALF) -> Control:
    """The 外方单位 test of one unit."""
    if graph.outside(unit):
        return Control(foreign=Trilean.YES, known_share=Fraction(1), reasons=("established outside the mainland",))
    parties = _reached(unit, graph, frozenset())
    controlled, shares = _closure(parties, graph, at_least)
    share = max(_held(unit, graph, shares, votes=votes) for votes in (False, True))
    if unit in controlled:
        return Control(foreign=Trilean.YES, known_share=share, reasons=_why(unit, graph, controlled, share, at_least))
    gaps = _gaps(unit, _reached(unit, graph, frozenset(controlled)), graph, controlled)
    answer = Trilean.UNKNOWN if gaps else Trilean.NO
    return Control(
        foreign=answer, known_share=share, reasons=gaps or ("every owner is known, and too few are outside",)
    )


def _reached(unit: str, graph: Ownership, foreign: frozenset[str]) -> tuple[str, ...]:
    """The unit and everyone above it, by shares or by arrangement; nobody above a party that is foreign anyway."""
    found, waiting = {unit: None}, [unit]
    while waiting:
        party = waiting.pop()
        if graph.outside(party) or party in foreign:
            continue
        above = [holding.holder for holding in graph.owners(party)]
        above += [arrangement.holder for arrangement in graph.arrangements if arrangement.over == party]
        fresh = [holder for holder in above if holder not in found]
        found |= dict.fromkeys(fresh)
        waiting += fresh
    return tuple(found)


def _closure(parties: Sequence[str], graph: Ownership, at_least: Fraction) -> tuple[set[str], dict[str, Fraction]]:
    """Every party that counts as foreign, grown until nothing is added; and each party's share in outside hands."""
    foreign = {party for party in parties if graph.outside(party)}
    while True:
        shares = _shares(parties, graph, foreign, votes=False)
        voting = _shares(parties, graph, foreign, votes=True)
        highest = {party: max(shares[party], voting[party]) for party in parties}
        fresh = {party for party in parties if highest[party] >= at_least or _influenced(party, graph, foreign)}
        if fresh <= foreign:
            return foreign, highest
        foreign |= fresh


def _influenced(party: str, graph: Ownership, foreign: set[str]) -> bool:
    return any(
        found.over == party and found.decides == Trilean.YES and found.holder in foreign for found in graph.arrangements
    )


def _shares(parties: Sequence[str], graph: Ownership, foreign: set[str], *, votes: bool) -> dict[str, Fraction]:
    """The part of each party in foreign hands: the least solution of part = sum of share x part of the holder."""
    open_ones = _leading_out(parties, graph, foreign, votes=votes)
    place = {party: number for number, party in enumerate(open_ones)}
    rows = [[Fraction(0)] * (len(place) + 1) for _ in place]
    for party, number in place.items():
        rows[number][number] += 1
        for holder, part in _parts(party, graph, votes=votes):
            if holder in foreign:
                rows[number][-1] += part
            elif holder in place:
                rows[number][place[holder]] -= part
    solved = _solve(rows)
    return {party: Fraction(1) if party in foreign else _at(solved, place.get(party)) for party in parties}


def _held(unit: str, graph: Ownership, shares: Mapping[str, Fraction], *, votes: bool) -> Fraction:
    parts = _parts(unit, graph, votes=votes)
    return sum((part * shares[holder] for holder, part in parts), Fraction(0))


def _at(solved: Sequence[Fraction], number: int | None) -> Fraction:
    return Fraction(0) if number is None else solved[number]


def _parts(party: str, graph: Ownership, *, votes: bool) -> list[tuple[str, Fraction]]:
    """Holders and parts; what adds up to more than the whole is scaled down to it (and is a gap besides)."""
    parts = [
        (held.holder, held.votes if votes and held.votes is not None else held.share) for held in graph.owners(party)
    ]
    total = sum((part for _, part in parts), Fraction(0))
    return [(holder, part / total) for holder, part in parts] if total > 1 else parts


def _leading_out(parties: Sequence[str], graph: Ownership, foreign: set[str], *, votes: bool) -> list[str]:
    """Parties with a chain to foreign hands: only these have a share above nothing, and their equations one solution.

    A closed circle of units that only hold one another has no owner at all; it is left out here and found as a gap.
    """
    leading: set[str] = set()
    while True:
        fresh = {
            party
            for party in parties
            if party not in foreign
            and party not in leading
            and any(part > 0 and holder in leading | foreign for holder, part in _parts(party, graph, votes=votes))
        }
        if not fresh:
            return [party for party in parties if party in leading]
        leading |= fresh


def _solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """Gauss-Jordan with exact fractions; the last column is the right side. Each row leads out, so a pivot is there."""
    for number in range(len(rows)):
        pivot = next(other for other in range(number, len(rows)) if rows[other][number])
        rows[number], rows[pivot] = rows[pivot], rows[number]
        lead = rows[number][number]
        rows[number] = [value / lead for value in rows[number]]
        for other, row in enumerate(rows):
            if other != number and row[number]:
                factor = row[number]
                rows[other] = [mine - factor * his for mine, his in zip(row, rows[number], strict=True)]
    return [row[-1] for row in rows]


def _gaps(unit: str, parties: Sequence[str], graph: Ownership, foreign: set[str]) -> tuple[str, ...]:
    """What is not known of those above the unit. A foreign party's own owners do not matter any more."""
    found = []
    for party in parties:
        if party not in foreign:
            found += _gaps_of(party, graph, is_unit=party == unit)
    found += [
        f"whether {known.holder} decides over {known.over} is not known"
        for known in graph.arrangements
        if known.over in parties and _undecided(known, graph, foreign)
    ]
    return tuple(found + _circles(parties, graph, foreign))


def _gaps_of(party: str, graph: Ownership, *, is_unit: bool) -> list[str]:
    parts = [holding.share for holding in graph.owners(party)]
    if not parts:
        settled = not is_unit and (graph.places.get(party) == MAINLAND or party in graph.proven)
        return [] if settled else [f"the owners of {party} are not known"]
    voting = sum((held.share if held.votes is None else held.votes for held in graph.owners(party)), Fraction(0))
    if abs(sum(parts, Fraction(0)) - 1) > SLACK or voting > 1 + SLACK:
        return [f"the shares of {party} do not add up to the whole"]
    return []


def _undecided(known: Arrangement, graph: Ownership, foreign: set[str]) -> bool:
    if known.decides == Trilean.NO or known.over in foreign:
        return False
    chinese = graph.places.get(known.holder) == MAINLAND or known.holder in graph.proven
    return not chinese if known.decides == Trilean.YES else True


def _circles(parties: Sequence[str], graph: Ownership, foreign: set[str]) -> list[str]:
    """Units that hold one another and nobody else holds: their owner is not known."""
    ended = {party for party in parties if party in foreign or not graph.owners(party)}
    while True:
        fresh = {
            party
            for party in parties
            if party not in ended and any(holding.holder in ended for holding in graph.owners(party))
        }
        if not fresh:
            return [f"{party} is held in a circle without an owner" for party in parties if party not in ended]
        ended |= fresh


def _why(unit: str, graph: Ownership, foreign: set[str], share: Fraction, at_least: Fraction) -> tuple[str, ...]:
    reasons = []
    held = [holding.holder for holding in graph.owners(unit) if holding.holder in foreign]
    if held or share >= at_least:
        reasons.append(f"held from outside: {', '.join(sorted(set(held))) or 'through chains'}")
    reasons += [
        f"{found.holder} decides by arrangement"
        for found in graph.arrangements
        if found.over == unit and found.decides == Trilean.YES and found.holder in foreign
    ]
    return tuple(reasons)
