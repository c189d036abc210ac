"""Every rule of the law files: facts that pass, and one small change that fails by exactly the rules the law names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from importlib.resources import files

import pytest

from policies.decide import NotSignedOff, Policy, SignOff, load_policy, production, words_of
from policies.engine import PolicyError
from policies.facts import Facts
from policies.obligations import CONDITIONS, obligation_rows
from policies.packs import OFF_PACKS, read_sources
from policies.vocabulary import Action, Effect
from tests.policies.cases import (
    FAILS,
    FREQUENCIES,
    INSIDE,
    JOINT,
    PASSES,
    RELEASE,
    SENTENCES,
    TRUST_FAILS,
    TRUST_PASSES,
    TRUSTED,
    UNFILED,
    Case,
    Sentence,
    failed,
    made,
    shown,
)

NOT_LAW = {"GW-99", "GBA-01a"} | {f"permit-{action}" for action in Action}
"""GW-99 and the permits have tests of their own; GBA-01a ended in 2024."""


@pytest.mark.parametrize("case", PASSES, ids=shown(PASSES))
def test_what_the_law_lets_pass_passes(case: Case) -> None:
    action, changes, _ = case
    assert failed(action, made(changes)) == frozenset()


@pytest.mark.parametrize("case", FAILS, ids=shown(FAILS))
def test_one_change_fails_by_exactly_its_rules(case: Case) -> None:
    action, changes, rules = case
    assert failed(action, made(changes)) == rules


@pytest.mark.parametrize("case", TRUST_FAILS + TRUST_PASSES, ids=shown(TRUST_FAILS + TRUST_PASSES))
def test_the_trusted_pack_binds_only_when_it_is_switched_on(case: Case) -> None:
    action, changes, rules = case
    assert failed(action, made(changes), policy=load_policy(TRUSTED)) == rules
    assert failed(action, made(changes)) == frozenset()


def test_every_rule_has_a_file_named_by_its_sentence() -> None:
    about = [sentence.rule for sentence in SENTENCES if sentence.rule]
    assert sorted(about) == sorted(load_policy(TRUSTED).rules.keys() - NOT_LAW)
    assert all(len(sentence.name.split("-")) > 5 for sentence in SENTENCES)


@pytest.mark.parametrize("sentence", [s for s in SENTENCES if s.rule], ids=lambda sentence: sentence.name)
def test_every_file_denies_by_its_rule_and_allows_the_same_act(sentence: Sentence) -> None:
    assert sentence.name.startswith(f"{sentence.rule.lower()}-")
    rule = load_policy(TRUSTED).rules[sentence.rule]
    assert all(sentence.rule in rules and action in rule.actions for action, _, rules in sentence.deny)
    assert {action for action, _, _ in sentence.deny} <= {action for action, _, _ in sentence.allow}
    assert not any(rules for _, _, rules in sentence.allow)


def test_every_action_has_one_permit_and_nothing_else_permits() -> None:
    permits = [rule for rule in load_policy(OFF_PACKS).rules.values() if rule.effect == Effect.PERMIT]
    assert sorted(rule.actions for rule in permits) == sorted(frozenset({action}) for action in Action)
    assert {rule.rule for rule in permits} == {f"permit-{action}" for action in Action}


def test_a_hold_lists_every_missing_thing_and_a_deny_wins_over_it() -> None:
    facts = made({**UNFILED, "purpose.data_use": "no"})
    decision = load_policy().decide(RELEASE, facts, datetime(2026, 11, 21, tzinfo=UTC))
    assert decision.effect == Effect.DENY
    assert [(r["rule"], r["effect"]) for r in decision.reasons] == [
        ("BKP-02", "hold"), ("HGR-10", "hold"), ("PI-09", "deny"),
    ]  # fmt: skip
    held = load_policy().decide(RELEASE, made(UNFILED), datetime(2026, 11, 21, tzinfo=UTC))
    assert held.effect == Effect.HOLD
    assert held.obligations == ()


def test_nothing_known_is_refused_whatever_is_asked() -> None:
    for action in Action:
        assert load_policy().decide(action, Facts(), datetime(2026, 11, 21, tzinfo=UTC)).effect == Effect.DENY


def test_what_passed_is_what_was_asked_and_in_force_and_did_not_fail() -> None:
    decision = load_policy().decide(Action.RETURN_TO_OWNER, made({}), datetime(2026, 11, 21, tzinfo=UTC))
    assert decision.passed == ("GW-02", "GW-03", "GW-30", "GW-31", "GW-32", "GW-40", "HGR-24")


def test_inv07_a_permit_on_one_axis_never_satisfies_the_other() -> None:
    """Invariant 7: a foreign-controlled mainland company needs the report, though nothing leaves the mainland."""
    inside = {**INSIDE, "recipient.party_class": "P2", "filings.mechanism": "none"}
    assert failed(RELEASE, made(inside)) == set()
    assert failed(RELEASE, made({**inside, **UNFILED})) == {"HGR-10", "BKP-02"}
    outside = {**UNFILED, "recipient.party_class": "P3", "filings.mechanism": "none"}
    assert failed(RELEASE, made(outside)) == {"XB-02"}


def test_rules_apply_from_their_day_in_shanghai() -> None:
    over = made({"counts.exome_genome_people": 501})
    assert "HGR-17" not in failed(RELEASE, over, datetime(2023, 6, 30, 15, 59, tzinfo=UTC))
    assert "HGR-17" in failed(RELEASE, over, datetime(2023, 6, 30, 16, tzinfo=UTC))


def test_rules_apply_up_to_their_last_day() -> None:
    macau = made({"recipient.place": "macau", "person.place_of_access": "macau"})
    assert failed(RELEASE, macau, datetime(2024, 9, 9, 15, 59, tzinfo=UTC)) == {"GBA-01a"}
    assert failed(RELEASE, macau, datetime(2024, 9, 9, 16, tzinfo=UTC)) == frozenset()
    hong_kong = failed(RELEASE, made({}), datetime(2024, 9, 9, 15, 59, tzinfo=UTC))
    assert hong_kong == frozenset()


@pytest.mark.parametrize(
    ("day", "procedure", "authority"),
    [
        (date(2022, 3, 2), "备案", "科学技术部"),
        (date(2023, 6, 30), "备案", "科学技术部"),
        (date(2023, 7, 1), "事先报告", "科学技术部"),
        (date(2024, 4, 30), "事先报告", "科学技术部"),
        (date(2024, 5, 1), "事先报告", "国家卫生健康委员会"),
    ],
)
def test_the_procedure_and_the_authority_have_the_names_of_their_day(day: date, procedure: str, authority: str) -> None:
    said = words_of(read_sources(files("policies")).authorities, day)
    assert (said["procedure"]["zh-Hans"], said["authority"]["zh-Hans"]) == (procedure, authority)
    noon = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
    reason = next(
        r for r in load_policy().decide(RELEASE, made(UNFILED), noon).reasons if r["rule"] == "HGR-10"
    )  # fmt: skip
    assert procedure in reason["title"]["zh-Hans"]
    assert authority in reason["remedy"]["zh-Hans"]
    assert not any("{" in text for text in (*reason["title"].values(), *reason["remedy"].values()))


def test_the_words_of_the_law_are_there_in_three_languages() -> None:
    taiwan = ("資訊", "資料庫", "帳本", "伺服器端", "使用者")
    simplified = set("报备数据权审请对")
    for rule in load_policy(OFF_PACKS).rules.values():
        assert set(rule.title) == set(rule.remedy) == {"en", "zh-Hans", "zh-Hant"}
        assert rule.cite
        assert rule.confidence
        assert all({"law", "article", "text_read"} == set(cite) for cite in rule.cite)
        for words in (rule.title["zh-Hant"], rule.remedy["zh-Hant"]):
            assert not any(word in words for word in taiwan), rule.rule
            assert not set(words.replace("委托调整", "").replace("可信科研机构名录", "")) & simplified, rule.rule


def test_production_needs_a_named_person_for_each_rule_whose_text_was_not_read() -> None:
    policy = load_policy()
    unread = policy.unread()
    assert {"HGR-10", "HGR-17", "GBA-01"} <= {rule.rule for rule in unread}
    assert "PI-12" not in {rule.rule for rule in unread}
    signs = [SignOff(rule=r.rule, person="Wang Li", signed_on=date(2026, 1, 5), digest=r.digest) for r in unread]
    assert production(policy, signs) is policy
    for broken in (signs[1:], [replace(signs[0], person=" "), *signs[1:]], [replace(signs[0], digest="0"), *signs[1:]]):
        with pytest.raises(NotSignedOff, match=rf"signed off: {signs[0].rule}$"):
            production(policy, broken)


def test_packs_are_off_until_named_and_an_unknown_pack_is_refused() -> None:
    assert not {rule.pack for rule in load_policy().rules.values()} & OFF_PACKS
    assert "TRI-11" in load_policy(TRUSTED).rules
    assert load_policy(TRUSTED).version != load_policy().version
    assert load_policy(frozenset({"revision-2026"})).rules.keys() == load_policy().rules.keys()
    with pytest.raises(PolicyError, match="no pack trusted"):
        load_policy(frozenset({"trusted"}))


def test_the_branch_pilot_lets_only_a_listed_branch_provide() -> None:
    pilot = load_policy(frozenset({"hong-kong-branch-pilot"}))
    listed = made({"provider.owner_chinese": "no", "provider.branch_listed": True})
    assert failed(RELEASE, listed) == {"HGR-11"}
    assert failed(RELEASE, listed, policy=pilot) == frozenset()
    assert failed(RELEASE, made({"provider.owner_chinese": "no"}), policy=pilot) == {"HGR-11"}


def test_a_pack_may_set_a_limit_while_it_is_on() -> None:
    sources = read_sources(files("policies"), frozenset({"hong-kong-branch-pilot"}))
    assert sources.limit_values()["branch_pilot"] is True
    assert read_sources(files("policies")).limit_values()["branch_pilot"] is False


@pytest.mark.parametrize("limit", sorted(read_sources(files("policies")).limits))
def test_every_limit_names_its_unit_and_its_source(limit: str) -> None:
    row = read_sources(files("policies")).limits[limit]
    assert row["unit"]
    assert row["source"]
    assert row["confidence"]


def test_every_limit_a_rule_may_read_is_read_and_the_policy_follows_it() -> None:
    read = {name for rule in load_policy(OFF_PACKS).rules.values() for name in rule.limits}
    sources = read_sources(files("policies"))
    assert read == set(sources.limit_values())
    lower = {**sources.limits, "security_review_people": {**sources.limits["security_review_people"], "value": 189}}
    stricter = Policy(replace(sources, limits=lower))
    assert failed(RELEASE, made({}), policy=stricter) == {"HGR-17"}
    assert stricter.version != load_policy().version


def test_a_permit_says_what_is_owed() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)

    def owed(action: Action, **changes: object) -> set[str]:
        facts = made({path.replace("__", "."): value for path, value in changes.items()})
        return {row["rule"] for row in load_policy().decide(action, facts, at).obligations}

    always = {"PI-10", "PI-12", "PI-13", "PI-15", "PI-18"}
    assert owed(RELEASE) == always | {"HGR-20", "GBA-05", "GBA-06", "HK-02", "TRI-13"}
    assert owed(RELEASE, filings__mechanism="standard-contract") >= {"XB-07"}
    assert owed(Action.APPROVE_TO_FILE) == set()
    assert owed(RELEASE, purpose__owed="PUB;MOR=2027-01-01") - owed(RELEASE) == {"DUO-PUB", "DUO-MOR"}
    waits = load_policy().decide(RELEASE, made({"purpose.owed": "MOR=2027-01-01"}), at).obligations
    assert [row["due"] for row in waits if row["rule"] == "DUO-MOR"] == ["2027-01-01"]
    joint = load_policy().decide(RELEASE, made(JOINT), at).obligations
    assert {"HGR-22", "HGR-23"} <= {row["rule"] for row in joint}
    macau = made({"recipient.place": "macau", "person.place_of_access": "macau"})
    assert "MO-01" in {row["rule"] for row in load_policy().decide(RELEASE, macau, at).obligations}


def test_every_obligation_names_a_condition_and_its_source() -> None:
    assert {row["when"] for row in obligation_rows()} == set(CONDITIONS)
    assert all(row["source"] and row["due"] and row["what"] for row in obligation_rows())


def test_open_use_is_foreign_and_outside_whoever_stands_in_the_facts() -> None:
    assert failed(Action.PUBLISH, made({**FREQUENCIES, **INSIDE, "filings.storage_location": False})) == {"FAQ-5.12"}
