"""What must hold of every decision, whatever the facts: drawn by hypothesis from the hand-written cases."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.decide import Policy, load_policy
from policies.engine import Engine, parsed
from policies.facts import Facts
from policies.packs import read_sources
from policies.vocabulary import Action, Effect
from tests.policies.cases import AT, FAILS, FREQUENCIES, INSIDE, JOINT, OPEN_TABLE, PASSES, TABLE, Changes, made

WORSE: dict[str, tuple[Any, ...]] = {
    # Filings and agreements taken away.
    **{
        f"filings.{name}": (False,)
        for name in (
            "backup", "prior_report", "report_covers_package", "security_review", "cooperation", "cooperation_covers",
            "ethics", "ethics_both_places", "pia", "dua", "open_use_report", "report_before_first_byte",
            "storage_location", "entrustment", "joint_agreement", "important_risk_assessment", "authority_approval",
        )
    },
    "filings.mechanism": ("none",),
    # Restrictions added.
    "recipient.restricted": ("yes",), "recipient.control_changed": ("yes",), "trust.violation": ("yes",),
    "dataset.secret": ("yes",), "dataset.important": ("yes", "unknown"), "dataset.region_flag": ("yes",),
    "dataset.pedigree_flag": ("yes",), "dataset.reviewer_flag": ("yes",), "dataset.public_accession": (False,),
    "purpose.data_use": ("no",), "purpose.fee": ("price",), "filings.security_review_outcome": ("refused",),
    "filings.cooperation_changed": ("yes",), "consents.permitted": (0,), "consents.public_disclosure": (False,),
    "counts.exome_genome_people": (10**7,), "counts.sensitive_people_this_year": (10**7,),
    "counts.people_this_year": (10**7,), "dataset.participants": (10**7,), "risk.k": (1,), "risk.l": (0,),
    "grant.state": ("revoked",), "grant.releases_left": (0,), "approvals.people": (0,),
    # Labels raised.
    "view.grade": ("important", "core"), "view.identifiability": ("L1",), "view.tier": ("enclave",),
    "view.personal": ("yes",), "view.sensitive": ("yes",), "view.label_confirmed": (False,),
}  # fmt: skip
NOT_REQUIRED: dict[Action, set[str]] = {
    Action.RECEIVE_RELEASE: {
        "person.foreign_individual", "provider.branch_listed", "dataset.public", "dataset.public_accession",
        "dataset.collection_permit", "dataset.stored_in", "view.level", "view.personal", "view.sensitive",
        "view.exome_or_genome", "consents.total", "consents.permitted_digest", "grant.same_place", "risk.linkable",
    },
    Action.RETURN_TO_OWNER: set(),
}  # fmt: skip
"""Facts whose absence alone changes nothing of a plain release: they loosen, describe, or another fact decides."""


def changed(facts: Facts, path: str, value: Any) -> Facts:
    section, field = path.split(".")
    return dataclasses.replace(facts, **{section: dataclasses.replace(getattr(facts, section), **{field: value})})


def worsened(facts: Facts, path: str, value: Any) -> Facts:
    """Only ever for the worse: what is unknown, or stands further along in WORSE, stays as it is."""
    section, field = path.split(".")
    now, order = getattr(getattr(facts, section), field), WORSE[path]
    return facts if now == "unknown" or now in order[order.index(value) :] else changed(facts, path, value)


@pytest.mark.parametrize("path", sorted(WORSE))
def test_one_thing_more_against_a_release_never_turns_any_refusal_into_a_permit(path: str) -> None:
    """Every refused case of the law, with every one of these changes: none by chance, all of them."""
    for action, changes, _ in FAILS:
        for value in WORSE[path]:
            decision = load_policy().decide(action, worsened(made(changes), path, value), AT)
            assert decision.effect != Effect.PERMIT, (action, changes, value)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_restriction_a_lost_filing_or_a_raised_label_never_turns_refusal_into_permit(data: st.DataObject) -> None:
    action, changes, _ = data.draw(st.sampled_from(FAILS))
    facts = made(changes)
    for path in data.draw(st.lists(st.sampled_from(sorted(WORSE)), min_size=1, max_size=6)):
        facts = worsened(facts, path, data.draw(st.sampled_from(WORSE[path])))
    assert load_policy().decide(action, facts, AT).effect != Effect.PERMIT


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_what_was_denied_stays_denied_when_more_is_wrong(data: st.DataObject) -> None:
    action, changes, rules = data.draw(st.sampled_from(FAILS))
    path = data.draw(st.sampled_from(["dataset.secret", "integrity.rows_that_differ"]))
    worse = changed(made(changes), path, {"dataset.secret": "yes", "integrity.rows_that_differ": 3}[path])
    decision = load_policy().decide(action, worse, AT)
    assert decision.effect == Effect.DENY
    assert rules <= {reason["rule"] for reason in decision.reasons}, "no reason is lost behind another"


def _fields() -> list[str]:
    kinds = get_type_hints(Facts)
    return [f"{section}.{field.name}" for section, kind in kinds.items() for field in dataclasses.fields(kind)]


STORIES: list[tuple[str, Action, Changes]] = [
    *(("plain", action, {}) for action in Action if action != Action.PUBLISH),
    ("frequencies", Action.PUBLISH, FREQUENCIES),
    ("open table", Action.PUBLISH, OPEN_TABLE),
    ("table", Action.RECEIVE_RELEASE, TABLE),
    ("joint", Action.RECEIVE_RELEASE, JOINT),
    ("inside", Action.RECEIVE_RELEASE, {**INSIDE, "filings.mechanism": "none"}),
]


@pytest.mark.parametrize(("name", "action", "changes"), STORIES, ids=[f"{s[0]} {s[1]}" for s in STORIES])
def test_inv03_a_fact_that_is_not_known_refuses_by_name_or_was_never_needed(
    name: str, action: Action, changes: Changes
) -> None:
    """Invariant 3, fact by fact: with any one of them unknown the answer is the same permit or a refusal naming it."""
    facts, policy = made(changes), load_policy()
    assert policy.decide(action, facts, AT).effect == Effect.PERMIT, name
    spared = set()
    for path in _fields():
        section, field = path.split(".")
        unknown = getattr(getattr(Facts(), section), field)
        decision = policy.decide(action, changed(facts, path, unknown), AT)
        if decision.effect == Effect.PERMIT:
            spared.add(path)
        else:
            assert any(path in reason["facts"] for reason in decision.reasons), path
    asked = {path for rule in policy.rules.values() if action in rule.actions for path in rule.facts}
    needed = asked - spared
    assert needed, "no fact was needed"
    if name == "plain" and action == Action.RECEIVE_RELEASE:
        same = {p for p in _fields() if _is_default(facts, p)}
        assert spared & asked - same == NOT_REQUIRED[action] & asked - same


def _is_default(facts: Facts, path: str) -> bool:
    section, field = path.split(".")
    return getattr(getattr(facts, section), field) == getattr(getattr(Facts(), section), field)


def _erring(body: Any) -> Any:
    """The same rule with a condition that overflows before anything else is asked."""
    product = {"*": {"left": {"Value": 9223372036854775807}, "right": {"Value": 2}}}
    wrong = {"kind": "when", "body": {">": {"left": product, "right": {"Value": 0}}}}
    return {**body, "conditions": [wrong, *body["conditions"]]}


BODIES = {
    name: body
    for pack in read_sources(files("policies")).packs.values()
    for text in pack.values()
    for name, body in parsed(text).items()
}


@pytest.mark.parametrize("name", sorted(BODIES))
def test_inv04_an_error_in_any_one_rule_refuses(name: str) -> None:
    """Invariant 4, rule by rule: facts that permit stop permitting when that rule cannot be evaluated."""
    policy = load_policy()
    action = next(a for a, _, _ in PASSES if a in policy.rules[name].actions)
    changes = next(c for a, c, _ in PASSES if a == action)
    engine = Engine({**BODIES, name: _erring(BODIES[name])}, read_sources(files("policies")).schema)
    answer = engine.ask(str(action), policy.context(action, made(changes)))
    assert (answer.allowed, answer.evaluated) == (False, False)


@given(st.data())
@settings(max_examples=4, deadline=None)
def test_no_decision_depends_on_the_order_of_files_or_rules(data: st.DataObject) -> None:
    sources = read_sources(files("policies"))
    order = data.draw(st.permutations(sorted(sources.packs)))
    other = Policy(dataclasses.replace(sources, packs={name: sources.packs[name] for name in order}))
    assert other.version == load_policy().version
    action, changes, _ = data.draw(st.sampled_from(FAILS + PASSES))
    assert other.decide(action, made(changes), AT) == load_policy().decide(action, made(changes), AT)


def test_the_same_question_gets_the_same_answer_remembered_or_not() -> None:
    fresh = Policy(read_sources(files("policies")))
    for action, changes, _ in FAILS[::5] + PASSES[::5]:
        facts = made(changes)
        assert (
            fresh.decide(action, facts, AT)
            == fresh.decide(action, facts, AT)
            == load_policy().decide(action, facts, AT)
        )
