"""Recipient classes P1 to P7, of institutions and of persons, from place, control and signed proof.

Two axes that never satisfy each other (rule catalogue, section 0): HGR asks who controls the recipient, PIPL whether
data reaches or is seen from outside the mainland. An institution and the person who acts for it are judged apart, and
the stricter counts on each axis. Law: 人类遗传资源管理条例 Art. 28; 生物安全法 Art. 57; PIPL Art. 38; FAQ 3.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from policies.control import MAINLAND, OUTSIDE, Arrangement, Control, Holding, Ownership, control_of
from policies.vocabulary import INSIDE_MAINLAND, NOT_FOREIGN, PartyClass, Trilean

UNIT = "unit"
SARS = frozenset({"hong_kong", "macau"})
FOREIGN_CLASSES = frozenset(PartyClass) - NOT_FOREIGN - {PartyClass.UNKNOWN}
OUTSIDE_MAINLAND = frozenset(PartyClass) - INSIDE_MAINLAND - {PartyClass.UNKNOWN}
ENCLAVE, OPEN = "enclave", "open"
NO_INFLUENCE = (None, "no", "none", "chinese")


def ownership(stated: Mapping[str, Any]) -> tuple[str, Ownership]:
    """The unit and its graph from the JSON of an institution's ``control``.

    Either a tree, ``{"owners": [{"share", "place" or "owners"}], "decisive_influence"}``, or a graph, ``{"unit",
    "places": {party: place}, "holdings": [{"holder", "of", "share", "votes"}], "arrangements": [{"holder", "over",
    "decides"}], "proven": [party]}``. ``proof_signed_off`` speaks for the unit itself. Raises ValueError for a share
    that is not a number from 0 to 1 and for a holding without its parties.
    """
    if "holdings" in stated:
        unit = str(stated.get("unit", UNIT))
        places, holdings = dict(stated.get("places", {})), [_holding(held) for held in stated["holdings"]]
    else:
        unit, places, holdings = UNIT, {}, []
        _read_tree(UNIT, stated.get("owners") or (), places, holdings)
    arrangements = [_arrangement(found) for found in stated.get("arrangements", ())]
    if (influence := stated.get("decisive_influence")) not in NO_INFLUENCE:
        places["an outside party"] = "overseas"
        decides = Trilean.YES if influence == "foreign" else Trilean.UNKNOWN
        arrangements.append(Arrangement(holder="an outside party", over=unit, decides=decides))
    proven = frozenset(map(str, stated.get("proven", ())))
    return unit, Ownership(places=places, holdings=holdings, arrangements=arrangements, proven=proven)


def control(stated: Mapping[str, Any] | None) -> Control:
    """The 外方单位 test of a unit as its ``control`` is stated, apart from where the unit itself is established."""
    if not stated:
        return Control(foreign=Trilean.UNKNOWN, known_share=Fraction(0), reasons=("no owner is stated",))
    try:
        unit, graph = ownership(stated)
    except ValueError as unreadable:
        return Control(foreign=Trilean.UNKNOWN, known_share=Fraction(0), reasons=(str(unreadable),))
    places = {party: place for party, place in graph.places.items() if party != unit}
    return control_of(
        unit,
        Ownership(places=places, holdings=graph.holdings, arrangements=graph.arrangements, proven=graph.proven),
    )


def controlled_from_outside(stated: Mapping[str, Any] | None) -> str:
    """yes, no or unknown."""
    return str(control(stated).foreign)


def party_class(place: str | None, stated: Mapping[str, Any] | None) -> PartyClass:
    """The class of an institution, P1 to P5; UNKNOWN where place or control is not known.

    A Hong Kong or Macau institution is P4 until its proof of Chinese control is signed off and no owner says otherwise.
    """
    foreign = controlled_from_outside(stated)
    if place == MAINLAND:
        return {"yes": PartyClass.P2, "no": PartyClass.P1}.get(foreign, PartyClass.UNKNOWN)
    if place in SARS:
        proven = foreign == "no" and (stated or {}).get("proof_signed_off") is True
        return PartyClass.P3 if proven else PartyClass.P4
    return PartyClass.P5 if place == "overseas" else PartyClass.UNKNOWN


def person_class(foreign_individual: str, accessed_from: str, tier: str) -> PartyClass:
    """The class of the person who acts, by who they are and where they connect from on this request.

    A foreign person in a mainland laboratory is as P2 (境外个人); who connects to a mainland enclave from abroad is P7.
    """
    if accessed_from in OUTSIDE:
        if tier == ENCLAVE:
            return PartyClass.P7
        return PartyClass.P4 if accessed_from in SARS else PartyClass.P5
    if accessed_from != MAINLAND:
        return PartyClass.UNKNOWN
    return {"yes": PartyClass.P2, "no": PartyClass.P1}.get(foreign_individual, PartyClass.UNKNOWN)


def recipient_class(institution: PartyClass, tier: str) -> PartyClass:
    """The institution's own class, or P6 where the door is open to everybody."""
    return PartyClass.P6 if tier == OPEN else institution


def gives_hgr_abroad(institution: PartyClass, person: PartyClass, foreign_individual: str) -> Trilean:
    """Whether giving HGR information to them is 对外提供或开放使用.

    P7 counts when the user acts for P2, P4 or P5 or is a foreign individual; a Chinese person of a Chinese institution
    who travels does not turn it into a foreign one, and stays cross-border all the same.
    """
    if institution in FOREIGN_CLASSES or foreign_individual == "yes" or person == PartyClass.P2:
        return Trilean.YES
    if PartyClass.UNKNOWN in (institution, person) or foreign_individual != "no":
        return Trilean.UNKNOWN
    return Trilean.NO


def leaves_mainland(institution: PartyClass, person: PartyClass) -> Trilean:
    """Whether personal information reaches, or can be seen from, outside the mainland."""
    if {institution, person} & OUTSIDE_MAINLAND:
        return Trilean.YES
    return Trilean.UNKNOWN if PartyClass.UNKNOWN in (institution, person) else Trilean.NO


def suspends(granted_as: PartyClass, now: PartyClass) -> bool:
    """Whether a change of the recipient's control in mid-project suspends its releases (FAQ 3.9).

    It does when the recipient is another class than the grant was given to, unless it became a plain mainland 中方单位.
    """
    return now not in (granted_as, PartyClass.P1)


def _read_tree(unit: str, owners: Any, places: dict[str, str], holdings: list[Holding]) -> None:
    for number, owner in enumerate(owners, 1):
        name = str(owner.get("name", f"{unit}.{number}"))
        holdings.append(Holding(holder=name, of=unit, share=_fraction(owner.get("share", 0)), votes=_votes(owner)))
        if owner.get("place") is not None:
            places[name] = str(owner["place"])
        _read_tree(name, owner.get("owners") or (), places, holdings)


def _holding(held: Mapping[str, Any]) -> Holding:
    return Holding(
        holder=_named(held, "holder"), of=_named(held, "of"), share=_fraction(held.get("share", 0)), votes=_votes(held)
    )


def _arrangement(found: Mapping[str, Any]) -> Arrangement:
    decides = found.get("decides")
    known = Trilean(decides) if decides in set(Trilean) else Trilean.UNKNOWN
    return Arrangement(holder=_named(found, "holder"), over=_named(found, "over"), decides=known)


def _named(held: Mapping[str, Any], part: str) -> str:
    if not held.get(part):
        raise ValueError(f"a holding or arrangement names its {part}")
    return str(held[part])


def _votes(held: Mapping[str, Any]) -> Fraction | None:
    return None if held.get("votes") is None else _fraction(held["votes"])


def _fraction(share: Any) -> Fraction:
    """Exact as it is written: 0.1 is a tenth, and "1/3" is a third."""
    try:
        part = Fraction(str(share))
    except (ValueError, ZeroDivisionError) as unreadable:
        raise ValueError("a share is a number from 0 to 1") from unreadable
    if not 0 <= part <= 1:
        raise ValueError("a share is a number from 0 to 1")
    return part
