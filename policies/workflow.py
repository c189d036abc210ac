"""The life of an application item: who may do what in which state. The transitions are data (tables/workflow.toml).

    draft -> submitted -> in-review -> approved-to-file -> filing -> granted -> active -> expired -> closed
    besides: suspended, renewed, revoked

``may`` answers every rule that stands against an act, or None; ``after`` says where an act leads. Filings gate granted
and released, never the internal approval: nobody files what the house has not approved (rule catalogue, section 17).

    GW-20  who asks never judges, also through a second account of the same person
    GW-21  one person is not two: the same hand, a substitute's or the giver's, counts once
    GW-22  two people come from different units
    GW-23  the act needs a role
    GW-25  the act is not possible in this state
    GW-26  conflict of interest: the dataset's own investigators, the applicant's own unit
    GW-27  the substitution does not hold on this day, or lends what the giver does not have
    GW-28  the filings that the law asks for do not stand, or nobody knows
    GW-29  another house's item, or another person's application
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from policies.model import Delegation, Person
from policies.vocabulary import Effect, Trilean

SAME = "same"
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes to an act, bound to the digest of what was approved; ``giver`` where it was a substitute's."""

    by: Person
    act: str
    digest: str
    giver: Person | None = None

    @property
    def hands(self) -> tuple[Person, ...]:
        """Everyone whose yes this is: the substitute's and the giver's."""
        return (self.by,) if self.giver is None else (self.by, self.giver)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One dataset of an application, as far as its life goes. ``digest`` is what an approval is bound to now."""

    state: str
    custodian: str
    applicant: Person
    digest: str
    investigators: tuple[Person, ...] = ()
    approvals: tuple[Approval, ...] = ()
    filings: Trilean = Trilean.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who acts, and under which delegation where it is a substitute."""

    person: Person
    under: Delegation | None = None

    @property
    def hands(self) -> tuple[Person, ...]:
        """Everyone whose hand this is: the substitute's and the giver's."""
        return (self.person,) if self.under is None else (self.person, self.under.giver)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Every rule that stands against an act, in order."""

    rules: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The reasons in English words."""
        return "; ".join(_table()["rules"][rule]["title"]["en"] for rule in self.rules)

    def reasons(self) -> list[dict[str, Any]]:
        """The reasons in the shape of ``policy explain``: rule, effect, title and remedy in three languages."""
        return [{"rule": rule, "effect": str(Effect.DENY), **_table()["rules"][rule]} for rule in self.rules]


def states() -> tuple[str, ...]:
    """The states of an item."""
    return tuple(_table()["states"])


def acts() -> Mapping[str, Mapping[str, Any]]:
    """The acts with their rows, as the table has them."""
    rows: dict[str, dict[str, Any]] = _table()["acts"]
    return rows


def may(act: str, acting: Acting, item: Item, on: date) -> Refusal | None:
    """None when the act may be done on this day; else every rule against it. An unknown act is possible in no state."""
    row = acts().get(act)
    if row is None:
        return Refusal(rules=("GW-25",))
    found = dict.fromkeys(_against(act, row, acting, item, on))
    return Refusal(rules=tuple(found)) if found else None


def after(act: str, item: Item) -> str:
    """The state after a permitted act: where it leads once enough people said yes, else the state it is in.

    Raises ValueError for an act that does not exist. Asks nothing: ``may`` comes first.
    """
    row = acts().get(act)
    if row is None:
        raise ValueError(f"not an act: {act[:40]}")
    standing = [approval for approval in item.approvals if _counts(approval, act, item)]
    if row["to"] == SAME or len(standing) + 1 < row.get("people", 1):
        return item.state
    return str(row["to"])


def may_substitute(delegation: Delegation, item: Item, on: date) -> Refusal | None:
    """Whether somebody may be named as the substitute for an item: another person of the same house, without conflict,
    for days to come, in a role that the giver has."""
    stand_in, giver = delegation.to, delegation.giver
    found = list(_conflicts((stand_in,), item))
    ahead = delegation.first_day <= delegation.last_day and delegation.last_day >= on
    if not ahead or delegation.revoked or delegation.role not in giver.roles or stand_in.same_as(giver):
        found.append("GW-27")
    if {stand_in.institution, giver.institution} != {item.custodian}:
        found.append("GW-29")
    return Refusal(rules=tuple(dict.fromkeys(found))) if found else None


def _against(act: str, row: Mapping[str, Any], acting: Acting, item: Item, on: date) -> Iterator[str]:
    if row.get("judges"):
        yield from _conflicts(acting.hands, item)
    if not _roles(acting, on) & set(row["roles"]):
        yield "GW-23"
    if acting.under is not None and (row.get("lends") or not _lends(acting, on)):
        yield "GW-27"
    if not _belongs(row, acting, item):
        yield "GW-29"
    if item.state not in row["from"]:
        yield "GW-25"
    if row.get("filings") and item.filings != Trilean.YES:
        yield "GW-28"
    if row.get("people", 1) > 1:
        yield from _four_eyes(act, acting, item)


def _conflicts(hands: Iterable[Person], item: Item) -> Iterator[str]:
    """GW-20 and GW-26 for every hand in it."""
    asks = item.applicant
    for hand in hands:
        if hand.same_as(asks):
            yield "GW-20"
        elif _one_unit(hand, asks):
            yield "GW-26"
        if any(hand.same_as(person) for person in item.investigators):
            yield "GW-26"


def _roles(acting: Acting, on: date) -> frozenset[str]:
    """A substitute acts in the lent role alone: an own role is used without a delegation."""
    if acting.under is None:
        return acting.person.roles
    return frozenset({acting.under.role}) if _lends(acting, on) else frozenset()


def _lends(acting: Acting, on: date) -> bool:
    under = acting.under
    if under is None or under.to.account != acting.person.account or acting.person.same_as(under.giver):
        return False
    same_house = acting.person.institution == under.giver.institution
    return under.holds(on) and under.role in under.giver.roles and same_house


def _belongs(row: Mapping[str, Any], acting: Acting, item: Item) -> bool:
    if acting.person.roles == {GATEWAY}:
        return True
    if row.get("own"):
        return acting.person.account == item.applicant.account and acting.under is None
    return not row.get("house") or acting.person.institution == item.custodian


def _four_eyes(act: str, acting: Acting, item: Item) -> Iterator[str]:
    """The earlier yeses to the same thing: by other hands, and of other units."""
    for approval in item.approvals:
        if not _counts(approval, act, item):
            continue
        pairs = [(mine, his) for mine in acting.hands for his in approval.hands]
        if any(mine.same_as(his) for mine, his in pairs):
            yield "GW-21"
        elif any(_one_unit(mine, his) for mine, his in pairs):
            yield "GW-22"


def _one_unit(one: Person, other: Person) -> bool:
    """Whether two people may be of one unit: a unit that nobody stated is not another one."""
    same = not one.unit or not other.unit or one.unit == other.unit
    return same and one.institution == other.institution


def _counts(approval: Approval, act: str, item: Item) -> bool:
    """An approval of something that has changed since is none, nor is one by somebody who is in conflict."""
    bound = approval.act == act and approval.digest == item.digest
    return bound and not any(_conflicts(approval.hands, item))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("policies") / "tables" / "workflow.toml").read_text("utf-8"))
