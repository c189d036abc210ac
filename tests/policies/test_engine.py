"""Cedar answers cleanly or the answer is refusal; the schema, the facts and the groups say the same."""

from __future__ import annotations

import random
from dataclasses import replace
from importlib.resources import files
from typing import Any, get_type_hints

import pytest

from policies.decide import Policy, load_policy
from policies.engine import Engine, PolicyError, narrowed, parsed, paths, scope
from policies.facts import SECTIONS, Facts, schema
from policies.packs import Sources, read_sources
from policies.vocabulary import GROUPS, Action, Effect
from tests.policies.cases import AT, FAILS, PASSES, RELEASE, made

NOTES = '@effect("hold") @title("GW-02") @remedy("GW-02") @cite("none | 0 | read") @from("2020-01-01") @confidence("D") @text_read("true")'


def sources() -> Sources:
    return read_sources(files("policies"))


def with_rule(text: str) -> Policy:
    plain = sources()
    return Policy(replace(plain, packs={**plain.packs, "planted": {"planted.cedar": text}}))


def bodies() -> dict[str, Any]:
    return {
        name: body for pack in sources().packs.values() for text in pack.values() for name, body in parsed(text).items()
    }


OVERFLOW = f"""@id("PLANTED") {NOTES}
forbid (principal, action, resource)
when {{ context.counts.exome_genome_people * 9223372036854775807 * 2 > 0 }};"""


@pytest.mark.parametrize("action", Action)
def test_inv04_a_forbid_that_cannot_be_evaluated_is_a_deny(action: Action) -> None:
    """Invariant 4: Cedar skips a forbid that overflows; we do not."""
    decision = with_rule(OVERFLOW).decide(action, made({}), AT)
    assert decision.effect == Effect.DENY
    assert "GW-99" in {reason["rule"] for reason in decision.reasons}


def test_inv04_a_context_of_the_wrong_shape_is_not_evaluated() -> None:
    engine = Engine(bodies(), sources().schema)
    good = load_policy().context(RELEASE, made({}))
    assert engine.ask("ReceiveRelease", good).allowed
    wrong: list[dict[str, Any]] = [{}, {**good, "grant": {}}, {**good, "extra": True}, {**good, "counts": "many"}]
    wrong.append({**good, "limits": {**good["limits"], "approvers": "two"}})
    for broken in wrong:
        answer = engine.ask("ReceiveRelease", broken)
        assert (answer.allowed, answer.evaluated) == (False, False)
    for action in ("SomethingElse", "Filed", "Judged"):
        assert not engine.ask(action, good).allowed


def test_no_permit_without_a_permit_rule() -> None:
    without = {name: body for name, body in bodies().items() if not name.startswith("permit-")}
    answer = Engine(without, sources().schema).ask("ReceiveRelease", load_policy().context(RELEASE, made({})))
    assert not answer.allowed
    assert answer.forbidden_by == ()


def test_no_answer_depends_on_the_order_of_rules() -> None:
    found = list(bodies().items())
    straight = Engine(dict(found), sources().schema)
    random.Random(5).shuffle(found)
    shuffled = Engine(dict(found), sources().schema)
    for action, changes, _ in (PASSES + FAILS)[::6]:
        context = load_policy().context(action, made(changes))
        assert straight.ask(str(action), context) == shuffled.ask(str(action), dict(reversed(context.items())))


def test_the_groups_of_the_schema_are_the_groups_of_the_vocabulary() -> None:
    permits = {name: body for name, body in bodies().items() if name.startswith("permit-")}
    context = load_policy().context(RELEASE, made({}))
    for group, actions in GROUPS.items():
        text = f'@id("g") {NOTES} forbid (principal, action in Action::"{group}", resource);'
        engine = Engine({**permits, **parsed(text)}, sources().schema)
        assert {action for action in Action if not engine.ask(str(action), context).allowed} == actions


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("permit (", "parse"),
        ("permit (principal, action, resource);", "@id"),
        (f'@id("GW-02") {NOTES} forbid (principal, action, resource);', "again"),
        (
            f'@id("X") {NOTES} forbid (principal, action, resource) when {{ context.grant.stat == "x" }};',
            "fit the schema",
        ),
        (f'@id("X") {NOTES} permit (principal, action, resource);', "@effect says otherwise"),
        (f'@id("X") {NOTES.replace("true", "false")} forbid (principal, action, resource);', "@text_read"),
        (f'@id("X") {NOTES.replace("GW-02", "nowhere")} forbid (principal, action, resource);', "rule X of planted"),
        (f'@id("X") {NOTES.replace("| read", "| seen")} forbid (principal, action, resource);', "rule X of planted"),
        (f'@id("X") {NOTES} forbid (principal, action == Action::"Nothing", resource);', "rule X of planted"),
    ],
)
def test_a_policy_that_is_not_right_is_not_loaded(text: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint):
        with_rule(text)


def test_paths_and_scope_are_read_from_the_policy_itself() -> None:
    text = f"""@id("X") {NOTES}
    forbid (principal, action in [Action::"Filed", Action::"Publish"], resource)
    when {{ context.view.kind == "vcf" }} unless {{ !(context.risk.k > 3 || context.limits.approvers < 2) }};"""
    body = parsed(text)["X"]
    assert paths(body) == ("limits.approvers", "risk.k", "view.kind")
    assert scope(body) == {"Filed", "Publish"}
    assert scope(parsed(f'@id("X") {NOTES} forbid (principal, action, resource);')["X"]) is None


def test_schema_facts_and_limits_are_the_same_words() -> None:
    text = sources().schema
    words = {str: "String", bool: "Bool", int: "Long"}
    parts = dict(get_type_hints(Facts).items())
    for section, kind in parts.items():
        said = text.split(f"\n  {section}: {{")[1].split("}")[0]
        fields = [line.strip().rstrip(",") for line in said.replace(",", ",\n").splitlines() if line.strip()]
        wanted = [f"{field}: {words[of]}" for field, of in get_type_hints(kind).items()]
        assert [f for f in fields if f not in {"foreign: Bool", "outside: Bool"}] == wanted
        assert schema()["properties"][section]["additionalProperties"] is False
    for name, value in sources().limit_values().items():
        assert f"{name}: {words[type(value)]}" in text.split("  limits: {")[1]


def test_facts_go_to_json_and_back_and_refuse_what_they_do_not_know() -> None:
    assert Facts.from_json(made({}).to_json()) == made({})
    assert made({}).digest() != made({"risk.k": 1}).digest()
    for body in (
        {"people": {}},
        {"grant": {"stat": "x"}},
        {"grant": {"in_period": "yes"}},
        {"counts": {"exome_genome_people": True}},
    ):
        with pytest.raises(ValueError, match=r"unknown|must be"):
            Facts.from_json(body)


def test_a_narrowed_schema_keeps_what_is_read_and_refuses_the_rest() -> None:
    schema = narrowed(sources().schema, {"risk.k", "limits.approvers"})
    rule = f'@id("X") {NOTES} forbid (principal, action, resource) unless {{ context.risk.k >= context.limits.approvers }};'
    permit = {name: body for name, body in bodies().items() if name == "permit-Grant"}
    engine = Engine({**permit, **parsed(rule)}, schema)
    empty: dict[str, Any] = {section: {} for section in (*SECTIONS, "limits")}
    asked = {**empty, "risk": {"k": 2}, "limits": {"approvers": 2}}
    assert engine.ask("Grant", asked).allowed
    for wrong in ({**asked, "risk": {"k": "2"}}, {**asked, "risk": {}}, {**asked, "risk": {"k": 2, "l": 1}}, empty):
        assert not engine.ask("Grant", wrong).evaluated
    with pytest.raises(PolicyError, match="fit the schema"):
        Engine({**permit, **parsed(rule)}, narrowed(sources().schema, {"risk.k"}))
