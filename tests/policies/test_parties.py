"""Who controls a recipient, and which class follows: ownership graphs with chains, circles and arrangements."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.control import Holding, Ownership, control_of
from policies.parties import (
    control,
    controlled_from_outside,
    gives_hgr_abroad,
    leaves_mainland,
    party_class,
    person_class,
    recipient_class,
    suspends,
)
from policies.vocabulary import PartyClass

P = PartyClass
PLACES = {"state": "mainland", "founder": "mainland", "fund": "overseas", "hk": "hong_kong", "shell": "overseas"}


def share(part: object, place: str) -> dict[str, Any]:
    return {"share": part, "place": place}


@pytest.mark.parametrize(
    ("stated", "answer"),
    [
        ({"owners": [share(1.0, "mainland")]}, "no"),
        ({"owners": [share(0.5, "overseas"), share(0.5, "mainland")]}, "yes"),
        ({"owners": [share(0.49, "overseas"), share(0.51, "mainland")]}, "no"),
        ({"owners": [share(0.1, "overseas"), share(0.4, "macau"), share(0.5, "mainland")]}, "yes"),
        ({"owners": [share("1/3", "overseas"), share("1/3", "mainland"), share("1/3", "mainland")]}, "no"),
        ({"owners": [{"share": 0.6, "owners": [share(0.9, "overseas"), share(0.1, "mainland")]}, share(0.4, "mainland")]}, "yes"),
        ({"owners": [share(1.0, "mainland")], "decisive_influence": "foreign"}, "yes"),
        ({"owners": [share(1.0, "mainland")], "decisive_influence": "unclear"}, "unknown"),
        ({"owners": [share(0.6, "mainland")]}, "unknown"),
        ({"owners": [share(0.5, "overseas")]}, "yes"),
        ({"owners": [share(0.9, "mainland"), share(0.3, "mainland")]}, "unknown"),
        ({"owners": [{"share": 1.0}]}, "unknown"),
        ({"owners": [share(-1, "overseas"), share(2, "mainland")]}, "unknown"),
        ({"owners": [share("most", "mainland")]}, "unknown"),
        ({}, "unknown"),
        (None, "unknown"),
    ],
)  # fmt: skip
def test_control_as_a_tree_of_owners(stated: dict[str, Any] | None, answer: str) -> None:
    assert controlled_from_outside(stated) == answer


def graph(*held: tuple[Any, ...], **more: Any) -> str:
    holdings = [
        {"holder": row[0], "of": row[1], "share": row[2], "votes": row[3] if len(row) > 3 else None} for row in held
    ]
    return controlled_from_outside({"unit": "lab", "places": PLACES, "holdings": holdings, **more})


@pytest.mark.parametrize(
    ("held", "answer"),
    [
        # direct
        ([("fund", "lab", 0.5), ("state", "lab", 0.5)], "yes"),
        ([("fund", "lab", 0.4999), ("state", "lab", 0.5001)], "no"),
        ([("hk", "lab", 0.25), ("fund", "lab", 0.25), ("state", "lab", 0.5)], "yes"),
        # votes apart from shares, each alone enough
        ([("fund", "lab", 0.1, 0.5), ("state", "lab", 0.9, 0.5)], "yes"),
        ([("fund", "lab", 0.5, 0.0), ("state", "lab", 0.5, 1.0)], "yes"),
        ([("fund", "lab", 0.0, 0.6), ("state", "lab", 1.0, 0.4)], "yes"),
        ([("fund", "lab", 0.2, 0.3), ("state", "lab", 0.8, 0.7)], "no"),
        # a chain: what is controlled from outside is foreign with all it holds, 0.6 x 0.6 notwithstanding
        ([("fund", "mid", 0.6), ("state", "mid", 0.4), ("mid", "lab", 0.6), ("state", "lab", 0.4)], "yes"),
        # a chain below control multiplies: 0.4 x 0.6 = 0.24
        ([("fund", "mid", 0.4), ("state", "mid", 0.6), ("mid", "lab", 0.6), ("state", "lab", 0.4)], "no"),
        # several paths add up: 0.4 x 0.5 + 0.4 x 0.25 + 0.2 = 0.5
        (
            [("fund", "a", 0.4), ("state", "a", 0.6), ("fund", "b", 0.4), ("state", "b", 0.6), ("a", "lab", 0.5), ("b", "lab", 0.25), ("fund", "lab", 0.2), ("state", "lab", 0.05)],
            "yes",
        ),
        # mainland money that goes round by a shell outside comes back foreign
        ([("state", "shell", 1.0), ("shell", "lab", 1.0)], "yes"),
        # circles: 0.4 + 0.2 x part of lab, part of lab = 0.9 x part of mid + 0.1 x 0 -> 0.4 / 0.82 x 0.9 = 0.439
        ([("fund", "mid", 0.4), ("lab", "mid", 0.2), ("state", "mid", 0.4), ("mid", "lab", 0.9), ("state", "lab", 0.1)], "no"),
        # ... and 0.49 + 0.2 x ...: the circle lifts 0.49 of mid over the half (0.49 / 0.8 = 0.6125)
        ([("fund", "mid", 0.49), ("lab", "mid", 0.2), ("state", "mid", 0.31), ("mid", "lab", 1.0)], "yes"),
        # own shares: 0.4 of 0.8 that somebody holds is half
        ([("lab", "lab", 0.2), ("fund", "lab", 0.4), ("state", "lab", 0.4)], "yes"),
        ([("lab", "lab", 0.2), ("fund", "lab", 0.39), ("state", "lab", 0.41)], "no"),
        # a circle that nobody holds has no owner
        ([("mid", "lab", 1.0), ("lab", "mid", 1.0)], "unknown"),
        ([("mid", "lab", 0.5), ("state", "lab", 0.5), ("other", "mid", 1.0), ("mid", "other", 1.0)], "unknown"),
        ([("mid", "lab", 1.0), ("lab", "mid", 0.6), ("state", "mid", 0.4)], "no"),
        # not known
        ([("nobody", "lab", 0.3), ("state", "lab", 0.7)], "unknown"),
        ([("mid", "lab", 1.0), ("state", "mid", 0.7)], "unknown"),
        ([], "unknown"),
        # what is not known above a party that is foreign anyway does not matter
        ([("mid", "lab", 0.4), ("state", "lab", 0.6), ("fund", "mid", 0.7), ("nobody", "mid", 0.3)], "no"),
    ],
)  # fmt: skip
def test_control_through_the_ownership_graph(held: list[tuple[Any, ...]], answer: str) -> None:
    assert graph(*held) == answer


ALL_CHINESE = [("state", "lab", 0.7), ("mid", "lab", 0.3), ("state", "mid", 1.0)]


@pytest.mark.parametrize(
    ("arrangements", "answer"),
    [
        ([{"holder": "fund", "over": "lab", "decides": "yes"}], "yes"),
        ([{"holder": "fund", "over": "lab", "decides": "no"}], "no"),
        ([{"holder": "fund", "over": "lab", "decides": "unknown"}], "unknown"),
        ([{"holder": "fund", "over": "lab"}], "unknown"),
        ([{"holder": "fund", "over": "lab", "decides": "perhaps"}], "unknown"),
        ([{"holder": "state", "over": "lab", "decides": "yes"}], "no"),
        ([{"holder": "stranger", "over": "lab", "decides": "yes"}], "unknown"),
        # by agreement over a holder of 0.3: the holder turns foreign, the unit does not
        ([{"holder": "fund", "over": "mid", "decides": "yes"}], "no"),
        # one that decides over a third, which decides over the unit
        ([{"holder": "fund", "over": "mid", "decides": "yes"}, {"holder": "mid", "over": "lab", "decides": "yes"}], "yes"),
        ([{"holder": "fund"}], "unknown"),
    ],
)  # fmt: skip
def test_agreements_and_other_arrangements_give_control(arrangements: list[dict[str, str]], answer: str) -> None:
    assert graph(*ALL_CHINESE, arrangements=arrangements) == answer


def test_a_hong_kong_holder_is_foreign_until_its_proof_is_signed_off() -> None:
    held = [("hk", "lab", 0.6), ("state", "lab", 0.4), ("state", "hk", 1.0)]
    assert graph(*held) == "yes"
    assert graph(*held, proven=["hk"]) == "no"
    assert graph(("hk", "lab", 1.0), ("fund", "hk", 0.5), ("state", "hk", 0.5), proven=["hk"]) == "yes"


def test_the_reasons_and_the_known_share_are_told() -> None:
    found = control({"owners": [share(0.3, "overseas"), share(0.2, "hong_kong"), share(0.5, "mainland")]})
    assert found.known_share == Fraction(1, 2)
    assert found.reasons == ("held from outside: unit.1, unit.2",)
    assert control({"owners": [share(0.3, "overseas")]}).reasons == ("the shares of unit do not add up to the whole",)


LETTERS = "abcd"
draw_holdings = st.lists(
    st.tuples(st.sampled_from([*LETTERS, "state", "fund"]), st.sampled_from(LETTERS), st.integers(1, 60)), max_size=10
)


def test_shares_stated_beyond_the_whole_are_scaled_down_to_it_and_leave_a_question() -> None:
    held = [
        Holding(holder="fund", of="lab", share=Fraction(6, 10)),
        Holding(holder="state", of="lab", share=Fraction(9, 10)),
    ]
    found = control_of("lab", Ownership(places=PLACES, holdings=held))
    assert (found.known_share, found.foreign) == (Fraction(6, 15), "unknown")


def by_walking(holdings: list[Holding], unit: str) -> float:
    """Another way to the same number: money put on the unit walks up the graph until it is outside or at home."""
    here, out = {unit: 1.0}, 0.0
    foreign = {"fund"}
    for _ in range(400):
        fresh: dict[str, float] = {}
        for party, weight in here.items():
            if party in foreign:
                out += weight
                continue
            parts = [(held.holder, float(held.share)) for held in holdings if held.of == party]
            total = max(1.0, sum(part for _, part in parts))
            for holder, part in parts:
                fresh[holder] = fresh.get(holder, 0.0) + weight * part / total
        here = fresh
    return out


@given(draw_holdings)
@settings(max_examples=80, deadline=None)
def test_shares_through_chains_and_circles_are_what_a_walk_finds(rows: list[tuple[str, str, int]]) -> None:
    holdings = [Holding(holder=holder, of=of, share=Fraction(part, 100)) for holder, of, part in rows if holder != of]
    found = control_of("a", Ownership(places=PLACES, holdings=holdings), at_least=Fraction(2))
    assert float(found.known_share) == pytest.approx(by_walking(holdings, "a"), abs=1e-3)


@given(draw_holdings, st.sampled_from(LETTERS), st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_one_more_outside_holder_never_turns_a_unit_chinese(
    rows: list[tuple[str, str, int]], of: str, part: int
) -> None:
    holdings = [Holding(holder=holder, of=of, share=Fraction(part, 100)) for holder, of, part in rows]
    more = [*holdings, Holding(holder="shell", of=of, share=Fraction(part, 100))]
    fits = sum(held.share for held in more if held.of == of) <= 1
    before = control_of("a", Ownership(places=PLACES, holdings=holdings)).foreign
    after = control_of("a", Ownership(places=PLACES, holdings=more)).foreign
    if fits and before == "yes":
        assert after == "yes"
    if fits and before == "no":
        assert after != "no" or of != "a"


CHINESE = {"owners": [share(1.0, "mainland")]}
FOREIGN = {"owners": [share(1.0, "overseas")]}


def test_the_class_of_an_institution() -> None:
    assert party_class("mainland", CHINESE) == P.P1
    assert party_class("mainland", FOREIGN) == P.P2
    assert party_class("hong_kong", CHINESE) == P.P4, "foreign until the proof is signed off"
    assert party_class("hong_kong", {**CHINESE, "proof_signed_off": "yes"}) == P.P4, "a sign-off is not a word"
    assert party_class("hong_kong", {**CHINESE, "proof_signed_off": True}) == P.P3
    assert party_class("macau", {**CHINESE, "proof_signed_off": True}) == P.P3
    assert party_class("macau", {**FOREIGN, "proof_signed_off": True}) == P.P4
    assert party_class("hong_kong", {"proof_signed_off": True}) == P.P4
    assert party_class("overseas", {**CHINESE, "proof_signed_off": True}) == P.P5
    assert party_class("mainland", None) == party_class(None, CHINESE) == party_class("taiwan?", CHINESE) == P.UNKNOWN


@pytest.mark.parametrize(
    ("foreign", "accessed_from", "tier", "wanted"),
    [
        ("no", "mainland", "controlled", P.P1), ("yes", "mainland", "controlled", P.P2),
        ("yes", "mainland", "enclave", P.P2), ("no", "hong_kong", "controlled", P.P4),
        ("no", "macau", "registered", P.P4), ("no", "overseas", "controlled", P.P5),
        ("no", "overseas", "enclave", P.P7), ("yes", "hong_kong", "enclave", P.P7),
        ("unknown", "mainland", "controlled", P.UNKNOWN), ("no", "unknown", "enclave", P.UNKNOWN),
        ("no", "", "controlled", P.UNKNOWN),
    ],
)  # fmt: skip
def test_the_class_of_the_person(foreign: str, accessed_from: str, tier: str, wanted: PartyClass) -> None:
    assert person_class(foreign, accessed_from, tier) == wanted


# Table 1 of the rule catalogue: institution, person, foreign individual -> HGR outbound, personal information abroad.
TABLE_1 = [
    (P.P1, P.P1, "no", "no", "no"),
    (P.P2, P.P1, "no", "yes", "no"),
    (P.P3, P.P4, "no", "no", "yes"),
    (P.P4, P.P4, "no", "yes", "yes"),
    (P.P5, P.P5, "yes", "yes", "yes"),
    (P.P6, P.UNKNOWN, "unknown", "yes", "yes"),
    (P.P2, P.P7, "no", "yes", "yes"),
    (P.P1, P.P7, "yes", "yes", "yes"),
    (P.P1, P.P7, "no", "no", "yes"),
    (P.P1, P.P2, "yes", "yes", "no"),
    (P.P1, P.P5, "no", "no", "yes"),
    (P.P1, P.P7, "unknown", "unknown", "yes"),
    (P.UNKNOWN, P.P1, "no", "unknown", "unknown"),
    (P.P1, P.UNKNOWN, "no", "unknown", "unknown"),
    (P.P3, P.P1, "no", "no", "yes"),
]


@pytest.mark.parametrize(("institution", "person", "foreign", "hgr", "abroad"), TABLE_1)
def test_both_axes_of_each_class(institution: P, person: P, foreign: str, hgr: str, abroad: str) -> None:
    assert gives_hgr_abroad(institution, person, foreign) == hgr
    assert leaves_mainland(institution, person) == abroad


def test_an_open_door_makes_everybody_the_public() -> None:
    assert recipient_class(P.P1, "open") == P.P6
    assert recipient_class(P.P1, "enclave") == P.P1


@pytest.mark.parametrize(
    ("before", "now", "stops"),
    [
        (P.P1, P.P2, True), (P.P3, P.P4, True), (P.P1, P.UNKNOWN, True), (P.P2, P.UNKNOWN, True), (P.P4, P.P5, True),
        (P.P1, P.P1, False), (P.P4, P.P4, False), (P.P2, P.P1, False), (P.UNKNOWN, P.P2, True),
    ],
)  # fmt: skip
def test_a_change_of_control_in_mid_project_suspends(before: P, now: P, stops: bool) -> None:
    assert suspends(before, now) is stops
