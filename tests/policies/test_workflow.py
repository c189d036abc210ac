"""The application's life: every (state, act, role), and each way somebody could say yes to themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.model import Delegation, Person
from policies.vocabulary import Trilean
from policies.workflow import Acting, Approval, Item, Refusal, acts, after, may, may_substitute, states

ON = date(2026, 11, 21)
HOUSE, AWAY = "hospital", "university"


def person(account: str, institution: str = HOUSE, unit: str = "", body: str | None = None, *roles: str) -> Person:
    return Person(
        account=account, institution=institution, unit=unit or f"unit of {account}", roles=frozenset(roles),
        natural_person=body,
    )  # fmt: skip


APPLICANT = person("ann", AWAY, "cardiology", "body-ann", "researcher")
STEWARD = person("bo", HOUSE, "clinical data", "body-bo", "steward")
SECOND = person("cai", HOUSE, "genetics", "body-cai", "steward")
PEOPLE = {
    "researcher": APPLICANT,
    "steward": STEWARD,
    "custodian": person("du", HOUSE, "", None, "custodian"),
    "report-filer": person("ed", HOUSE, "", None, "report-filer"),
    "auditor": person("fu", HOUSE, "", None, "auditor"),
    "operator": person("gu", HOUSE, "", None, "operator"),
    "gateway": Person(account="gateway", institution="", unit="", roles=frozenset({"gateway"})),
}
ITEM = Item(state="submitted", custodian=HOUSE, applicant=APPLICANT, digest="now", filings=Trilean.YES)
STATES = (
    "draft", "submitted", "in-review", "approved-to-file", "filing", "granted", "active", "suspended", "expired",
    "renewed", "revoked", "closed",
)  # fmt: skip
LETTERS = dict(zip("dsrafgtpenvc", STATES, strict=True))
# Independent of the table: role -> act -> the states (by letter) in which that role may do it.
ALLOWED = {
    "researcher": {
        "edit": "d", "submit": "d", "withdraw": "dsraf", "activate": "gn", "release": "t", "ask-renewal": "t",
        "certify-destruction": "pev",
    },
    "steward": {
        "begin-review": "s", "ask": "sr", "hold": "sr", "approve": "sr", "refuse": "sraf", "prepare": "a", "grant": "f",
        "renew": "t", "suspend": "gtn", "resume": "p", "revoke": "gtpn", "close": "ev", "delegate": "srafgtpn",
        "read-data-use": "sraf",
    },
    "custodian": {"prepare": "a", "suspend": "gtn", "revoke": "gtpn"},
    "report-filer": {"record-filing": "fgtpn"},
    "auditor": {},
    "operator": {},
    "gateway": {"suspend": "gtn", "revoke": "gtpn", "expire": "gtpn"},
}  # fmt: skip
# Where each act leads from a state, once enough people said yes.
LEADS = {
    "edit": "d", "submit": "s", "withdraw": "c", "begin-review": "r", "ask": "d", "hold": "r", "approve": "a",
    "refuse": "c", "prepare": "f", "grant": "g", "activate": "t", "renew": "n", "suspend": "p", "resume": "t",
    "revoke": "v", "expire": "e", "close": "c", "record-filing": "", "release": "", "ask-renewal": "",
    "certify-destruction": "", "delegate": "", "read-data-use": "",
}  # fmt: skip


def test_the_states_and_acts_are_these() -> None:
    assert states() == STATES
    assert set(acts()) == set(LEADS)


@pytest.mark.parametrize("role", ALLOWED)
def test_every_state_act_and_role_is_as_the_independent_table_says(role: str) -> None:
    for act in LEADS:
        for letter, state in LETTERS.items():
            wanted = letter in ALLOWED[role].get(act, "")
            refused = may(act, Acting(person=PEOPLE[role]), replace(ITEM, state=state), ON)
            assert (refused is None) is wanted, (role, act, state, refused)
            if not wanted:
                assert refused is not None
                assert set(refused.rules) <= {"GW-20", "GW-23", "GW-25", "GW-29"}


@pytest.mark.parametrize("act", LEADS)
def test_each_act_leads_where_the_independent_table_says(act: str) -> None:
    yes = Approval(by=SECOND, act=act, digest="now")
    for state in STATES:
        assert after(act, replace(ITEM, state=state, approvals=(yes,))) == LETTERS.get(LEADS[act], state)


def test_nothing_leads_out_of_closed_and_no_act_is_made_up() -> None:
    closed = replace(ITEM, state="closed")
    for act in LEADS:
        for someone in PEOPLE.values():
            assert may(act, Acting(person=someone), closed, ON) is not None
    assert may("publish secretly", Acting(person=STEWARD), ITEM, ON) == Refusal(rules=("GW-25",))
    with pytest.raises(ValueError, match="not an act"):
        after("publish secretly", ITEM)


def rules(act: str, acting: Person | Acting, item: Item = ITEM, on: date = ON) -> tuple[str, ...]:
    refused = may(act, acting if isinstance(acting, Acting) else Acting(person=acting), item, on)
    return () if refused is None else refused.rules


JUDGING = ("begin-review", "ask", "hold", "approve", "refuse", "grant", "renew", "resume", "close", "delegate")


@pytest.mark.parametrize("act", JUDGING)
def test_who_asks_never_judges_also_through_a_second_account(act: str) -> None:
    item = replace(ITEM, state=acts()[act]["from"][0])
    insider = replace(APPLICANT, institution=HOUSE, unit="archive", roles=frozenset({"steward"}))
    assert rules(act, insider, item) == ("GW-20",)
    other_account = person("ann2", HOUSE, "archive", "body-ann", "steward")
    assert rules(act, other_account, item) == ("GW-20",)
    assert rules(act, replace(other_account, natural_person="body-else"), item) == ()
    assert rules(act, replace(other_account, natural_person=None), item) == ()


@pytest.mark.parametrize("act", JUDGING)
def test_investigators_and_the_applicants_unit_do_not_judge(act: str) -> None:
    item = replace(ITEM, state=acts()[act]["from"][0], investigators=(person("hu", HOUSE, "", "body-hu"), STEWARD))
    assert rules(act, STEWARD, item) == ("GW-26",)
    assert rules(act, person("hu2", HOUSE, "", "body-hu", "steward"), item) == ("GW-26",)
    assert rules(act, SECOND, item) == ()
    home = replace(APPLICANT, institution=HOUSE, unit="genetics")
    assert rules(act, SECOND, replace(item, applicant=home)) == ("GW-26",)


@pytest.mark.parametrize("act", ["suspend", "revoke"])
def test_stopping_is_easy_even_for_those_in_conflict(act: str) -> None:
    item = replace(ITEM, state="active", investigators=(STEWARD,), filings=Trilean.NO)
    assert rules(act, STEWARD, item) == ()


def said(by: Person, act: str = "approve", digest: str = "now", giver: Person | None = None) -> Approval:
    return Approval(by=by, act=act, digest=digest, giver=giver)


def test_two_people_of_different_units_approve() -> None:
    assert after("approve", ITEM) == "submitted"
    once = replace(ITEM, approvals=(said(STEWARD),))
    assert rules("approve", STEWARD, once) == ("GW-21",)
    assert rules("approve", person("bo2", HOUSE, "genetics", "body-bo", "steward"), once) == ("GW-21",)
    assert rules("approve", person("ix", HOUSE, "clinical data", None, "steward"), once) == ("GW-22",)
    assert rules("approve", replace(SECOND, unit=""), once) == ("GW-22",), "a unit nobody stated is not another one"
    assert rules("approve", SECOND, once) == ()
    assert after("approve", once) == "approved-to-file"


@pytest.mark.parametrize("act", ["approve", "renew", "resume"])
def test_an_approval_counts_for_its_own_act_and_for_what_has_not_changed(act: str) -> None:
    state = {"approve": "in-review", "renew": "active", "resume": "suspended"}[act]
    other = "renew" if act == "approve" else "approve"
    item = replace(ITEM, state=state, approvals=(said(STEWARD, act, digest="before"), said(STEWARD, other)))
    assert rules(act, STEWARD, item) == (), "what was approved before is something else now"
    assert after(act, item) == state
    assert after(act, replace(item, approvals=(said(STEWARD, act),))) != state


def test_an_approval_by_somebody_in_conflict_does_not_count() -> None:
    item = replace(ITEM, approvals=(said(STEWARD),), investigators=(STEWARD,))
    assert after("approve", item) == "submitted"
    item = replace(ITEM, approvals=(said(person("ann2", HOUSE, "archive", "body-ann")),))
    assert after("approve", item) == "submitted"


def test_filings_gate_granting_and_releasing_and_not_the_approval() -> None:
    for filings in (Trilean.NO, Trilean.UNKNOWN):
        bare = replace(ITEM, filings=filings)
        assert rules("approve", STEWARD, bare) == ()
        assert rules("prepare", STEWARD, replace(bare, state="approved-to-file")) == ()
        assert rules("record-filing", PEOPLE["report-filer"], replace(bare, state="filing")) == ()
        assert rules("grant", STEWARD, replace(bare, state="filing")) == ("GW-28",)
        assert rules("activate", APPLICANT, replace(bare, state="granted")) == ("GW-28",)
        assert rules("release", APPLICANT, replace(bare, state="active")) == ("GW-28",)
        assert rules("renew", STEWARD, replace(bare, state="active")) == ("GW-28",)
        assert rules("resume", STEWARD, replace(bare, state="suspended")) == ("GW-28",)


def test_another_house_and_another_applicant_have_no_say() -> None:
    away = replace(STEWARD, institution="another hospital")
    assert rules("approve", away) == rules("revoke", away, replace(ITEM, state="active")) == ("GW-29",)
    colleague = person("jo", AWAY, "", None, "researcher")
    assert rules("release", colleague, replace(ITEM, state="active")) == ("GW-29",)
    assert rules("withdraw", replace(APPLICANT, account="ann2")) == ("GW-29",), "the account that applied, not the body"
    assert rules("revoke", replace(away, roles=frozenset({"gateway", "steward"})), replace(ITEM, state="active")) == (
        "GW-29",
    )


def test_every_rule_that_stands_against_an_act_is_named_and_has_a_sentence() -> None:
    stranger = replace(APPLICANT, institution=HOUSE, unit="x", roles=frozenset())
    refused = may("grant", Acting(person=stranger), replace(ITEM, filings=Trilean.NO, custodian="third"), ON)
    assert refused is not None
    assert refused.rules == ("GW-20", "GW-23", "GW-29", "GW-25", "GW-28")
    assert refused.sentence.startswith("who asks never approves, also through a second account; ")
    told = refused.reasons()
    assert [reason["rule"] for reason in told] == list(refused.rules)
    for reason in told:
        assert reason["title"]["en"] in refused.sentence
        assert {tuple(reason[part]) for part in ("title", "remedy")} == {("en", "zh-Hans", "zh-Hant")}


def test_every_rule_of_the_workflow_has_its_texts() -> None:
    told = Refusal(rules=("GW-20", "GW-21", "GW-22", "GW-23", "GW-25", "GW-26", "GW-27", "GW-28", "GW-29")).reasons()
    titles = [text for reason in told for text in reason["title"].values()]
    assert len(set(titles)) == len(titles) == 27


STAND_IN = person("ko", HOUSE, "ethics office", "body-ko", "auditor")
LENT = Delegation(
    giver=STEWARD, to=STAND_IN, role="steward", first_day=ON - timedelta(days=3), last_day=ON + timedelta(days=3)
)
UNDER = Acting(person=STAND_IN, under=LENT)


def test_a_substitute_acts_in_the_lent_role_from_the_first_to_the_last_day() -> None:
    assert rules("approve", STAND_IN) == ("GW-23",)
    for days, wanted in ((-4, False), (-3, True), (0, True), (3, True), (4, False)):
        found = rules("approve", UNDER, on=ON + timedelta(days=days))
        assert found == (() if wanted else ("GW-23", "GW-27")), days


@pytest.mark.parametrize(
    "change",
    [
        {"revoked": True}, {"role": "custodian"}, {"to": SECOND}, {"giver": replace(STEWARD, roles=frozenset())},
        {"giver": replace(STEWARD, institution="another")}, {"giver": replace(STEWARD, natural_person="body-ko")},
    ],
)  # fmt: skip
def test_a_substitution_that_does_not_hold_gives_no_role(change: dict[str, Any]) -> None:
    found = rules("approve", Acting(person=STAND_IN, under=replace(LENT, **change)))
    assert set(found) == {"GW-23", "GW-27"}


def test_what_is_lent_is_not_lent_on_and_is_not_the_own_role() -> None:
    assert rules("delegate", UNDER) == ("GW-27",)
    both = replace(STAND_IN, roles=frozenset({"steward"}))
    other = replace(LENT, role="custodian", giver=PEOPLE["custodian"], to=both)
    assert rules("approve", Acting(person=both, under=other)) == ("GW-23",)


def test_a_substitute_and_the_giver_are_one_hand() -> None:
    """Else one steward would approve in person and once more by a substitute."""
    assert rules("approve", UNDER, replace(ITEM, approvals=(said(STEWARD),))) == ("GW-21",)
    by_stand_in = replace(ITEM, approvals=(said(STAND_IN, giver=STEWARD),))
    assert rules("approve", STEWARD, by_stand_in) == ("GW-21",)
    assert rules("approve", replace(STAND_IN, roles=frozenset({"steward"})), by_stand_in) == ("GW-21",)
    assert rules("approve", person("lu", HOUSE, "clinical data", None, "steward"), by_stand_in) == ("GW-22",)
    assert rules("approve", SECOND, by_stand_in) == ()


def test_a_conflict_of_the_giver_or_of_the_substitute_stands() -> None:
    assert rules("approve", UNDER, replace(ITEM, investigators=(STEWARD,))) == ("GW-26",)
    assert rules("approve", UNDER, replace(ITEM, investigators=(STAND_IN,))) == ("GW-26",)
    asked = replace(ITEM, applicant=replace(STEWARD, institution=AWAY, unit="y", account="bo9"))
    assert rules("approve", UNDER, asked) == ("GW-20",)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, ()),
        ({"to": replace(STAND_IN, natural_person="body-bo")}, ("GW-27",)),
        ({"to": replace(STAND_IN, institution=AWAY)}, ("GW-29",)),
        ({"to": replace(STAND_IN, natural_person="body-ann")}, ("GW-20",)),
        ({"role": "operator"}, ("GW-27",)),
        ({"first_day": ON + timedelta(days=9)}, ("GW-27",)),
        ({"first_day": ON - timedelta(days=9), "last_day": ON - timedelta(days=1)}, ("GW-27",)),
        ({"revoked": True}, ("GW-27",)),
    ],
)
def test_who_may_be_named_as_a_substitute(change: dict[str, Any], wanted: tuple[str, ...]) -> None:
    refused = may_substitute(replace(LENT, **change), ITEM, ON)
    assert (() if refused is None else refused.rules) == wanted


def test_an_investigator_is_no_substitute() -> None:
    refused = may_substitute(LENT, replace(ITEM, investigators=(STAND_IN,)), ON)
    assert refused == Refusal(rules=("GW-26",))


anybody = st.builds(
    person,
    st.sampled_from(["ann", "bo", "cai", "ko"]),
    st.sampled_from([HOUSE, AWAY]),
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from([None, "b1", "b2", "b3"]),
    st.sampled_from(["steward", "researcher"]),
)


@given(anybody, st.lists(anybody, max_size=6), st.lists(anybody, max_size=2))
@settings(max_examples=100, deadline=None)
def test_no_walk_reaches_approval_without_two_hands_of_two_units(
    applicant: Person, walkers: list[Person], investigators: list[Person]
) -> None:
    item = replace(ITEM, applicant=applicant, investigators=tuple(investigators))
    for walker in walkers:
        if may("approve", Acting(person=walker), item, ON) is None:
            following = after("approve", item)
            item = replace(item, state=following, approvals=(*item.approvals, said(walker)))
    if item.state == "approved-to-file":
        one, two = (approval.by for approval in item.approvals)
        assert one.unit != two.unit
        assert one.account != two.account
        for judge in (one, two):
            assert judge.institution == HOUSE
            assert judge.account not in {applicant.account, *(person.account for person in investigators)}


@given(anybody, st.sampled_from(list(LEADS)), st.sampled_from(STATES), anybody, st.sampled_from(list(Trilean)))
@settings(max_examples=100, deadline=None)
def test_one_more_investigator_or_one_filing_less_never_allows(
    walker: Person, act: str, state: str, investigator: Person, filings: Trilean
) -> None:
    item = replace(ITEM, state=state, filings=filings)
    if may(act, Acting(person=walker), item, ON) is not None:
        for stricter in (replace(item, investigators=(investigator,)), replace(item, filings=Trilean.NO)):
            assert may(act, Acting(person=walker), stricter, ON) is not None
