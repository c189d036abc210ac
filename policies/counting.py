"""Distinct natural persons, counted as the law counts them: pure functions over given rows.

    HGR-17   people whose exome or genome information went to foreign hands, cumulative, never reset
    XB       people whose personal information left the mainland, per exporter, all recipients together, since 1 January
             in Shanghai; sensitive ones apart

Both include the people of the release asked about, opening balances, and releases made outside the gateway. A person
who was provided before is not counted again; a balance that names no persons is added in full. What is not known
counts: an unknown assay as a genome, an unknown destination as abroad, an unknown sensitivity as sensitive.
Law: 人类遗传资源管理条例实施细则 Art. 37(3) (wording recalled, not read); 促进和规范数据跨境流动规定 Art. 5, 7, 8;
认证办法 Art. 5 (no splitting to stay below a line). Legal sense: 累计, 自当年1月1日起.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from policies.vocabulary import Trilean

SHANGHAI = ZoneInfo("Asia/Shanghai")
HGR = "HGR-17"
SEQUENCED = frozenset({"WGS", "WES"})
NOT_SEQUENCED = frozenset({"array", "panel", "epigenome", "transcriptome", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """One person's data that went out, here or outside the gateway. ``person`` is the linkage key of the person."""

    person: str
    exporter: str
    at: datetime
    assay: str = "unknown"
    hgr_abroad: Trilean = Trilean.UNKNOWN
    left_mainland: Trilean = Trilean.UNKNOWN
    sensitive: Trilean = Trilean.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningBalance:
    """People provided before, or outside the gateway, whose keys are not known. ``year`` is None for HGR-17."""

    counter: str
    exporter: str
    people: int
    year: int | None = None

    def __post_init__(self) -> None:
        if self.people < 0:
            raise ValueError("an opening balance counts people: it is never below nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """People whose information left in the year: with and without sensitive information. Nobody is in both."""

    sensitive: int
    ordinary: int


def sequenced(assay: str) -> Trilean:
    """Whether an assay reads the exome or the genome; a word nobody here knows is unknown."""
    return Trilean.YES if assay in SEQUENCED else Trilean.NO if assay in NOT_SEQUENCED else Trilean.UNKNOWN


def legal_year(moment: datetime) -> int:
    """The calendar year in Shanghai of an aware moment. Raises ValueError for one without an offset."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs an offset")
    return moment.astimezone(SHANGHAI).year


def counters_of(
    people: Set[str], *, assay: str, hgr_abroad: Trilean, left_mainland: Trilean, year: int
) -> dict[str, frozenset[str]]:
    """The counters one release draws on, each with the people it adds; none where the release does not count."""
    counts_hgr = sequenced(assay) != Trilean.NO and hgr_abroad != Trilean.NO
    return {
        HGR: frozenset(people) if counts_hgr else frozenset(),
        sensitive_counter(year): frozenset(people) if left_mainland != Trilean.NO else frozenset(),
    }


def sensitive_counter(year: int) -> str:
    """The name of the counter of sensitive persons of one legal year."""
    return f"XB-sensitive-{year}"


def exome_genome_people(rows: Iterable[Provided], exporter: str, opening: Iterable[OpeningBalance] = ()) -> int:
    """People on the counter of HGR-17 for one owner."""
    people = {
        row.person
        for row in rows
        if row.exporter == exporter and sequenced(row.assay) != Trilean.NO and row.hgr_abroad != Trilean.NO
    }
    return len(people) + _opened(opening, HGR, exporter, None)


def exported_people(
    rows: Iterable[Provided], exporter: str, at: datetime, opening: Iterable[OpeningBalance] = ()
) -> Exported:
    """People exported by one exporter in the legal year of ``at``. Who had anything sensitive exported is sensitive."""
    year, balances = legal_year(at), tuple(opening)
    sent = [
        row
        for row in rows
        if row.exporter == exporter and row.left_mainland != Trilean.NO and legal_year(row.at) == year
    ]
    sensitive = {row.person for row in sent if row.sensitive != Trilean.NO}
    ordinary = {row.person for row in sent} - sensitive
    return Exported(
        sensitive=len(sensitive) + _opened(balances, "XB-sensitive", exporter, year),
        ordinary=len(ordinary) + _opened(balances, "XB-ordinary", exporter, year),
    )


def total(already: Set[str], fresh: Set[str], opening: Iterable[int]) -> int:
    """People on one counter, the fresh ones included. Raises ValueError for a balance below nothing."""
    balances = list(opening)
    if any(people < 0 for people in balances):
        raise ValueError("an opening balance counts people: it is never below nothing")
    return len(already | fresh) + sum(balances)


def _opened(opening: Iterable[OpeningBalance], counter: str, exporter: str, year: int | None) -> int:
    """Balances of a counter and exporter; without a year all of them. One that names no year counts in every year."""
    return sum(
        balance.people
        for balance in opening
        if balance.counter == counter
        and balance.exporter == exporter
        and (year is None or balance.year in (None, year))
    )
