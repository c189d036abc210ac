"""Every rule of the law files: one set of facts passes, one small change fails exactly by it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.decide import Policy, context, load_policy
from policies.engine import Engine, notes
from policies.facts import Facts, schema
from policies.vocabulary import Action, Effect

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD: dict[str, dict[str, Any]] = {
    "person": {"foreign_individual": "no", "place_of_access": "hong_kong", "terms_accepted": True, "is_applicant": True},
    "recipient": {"party_class": "P4", "place": "hong_kong", "in_gba": True, "kind": "academic", "restricted": "no"},
    "provider": {"owner_chinese": "yes", "in_gba": True, "filer_of_owner": "yes"},
    "dataset": {
        "confirmed": True, "hgr": "yes", "secret": "no", "important": "no", "region_flag": "no",
        "pedigree_flag": "no", "reviewer_flag": "no", "provenance": True,
    },
    "view": {"kind": "vcf", "tier": "controlled", "label_confirmed": True, "in_item": True, "exome_or_genome": "yes"},
    "purpose": {"joint_research": "no", "data_use": "match", "stated": True},
    "consents": {"total": 198, "permitted": 190, "permitted_digest": "d"},
    "filings": {
        "backup": True, "prior_report": True, "report_covers_package": True, "ethics": True, "pia": True, "dua": True,
        "mechanism": "gba-contract",
    },
    "counts": {"exome_genome_people": 190, "sensitive_people_this_year": 190},
    "approvals": {"people": 2, "units": 2, "by_applicant": False, "unbound": 0},
    "grant": {"state": "active", "in_period": True, "keys_bound": True, "releases_left": 3, "same_place": "yes"},
    "risk": {"measured": True, "required": True, "clean": True, "linkable": True},
    "integrity": {"rows_that_differ": 0, "source_readable": True},
}  # fmt: skip
FAILS: list[tuple[str, dict[str, Any]]] = [
    ("GW-02", {"integrity.rows_that_differ": 1}),
    ("GW-03", {"integrity.source_readable": False}),
    ("GW-04", {"dataset.confirmed": False}),
    ("GW-05", {"view.label_confirmed": False}),
    ("GW-06", {"view.in_item": False}),
    ("GW-07", {"person.is_applicant": False}),
    ("GW-08", {"approvals.people": 1}),
    ("GW-08", {"approvals.units": 1}),
    ("GW-08", {"approvals.by_applicant": True}),
    ("GW-09", {"approvals.unbound": 1}),
    ("GW-10", {"grant.state": "none"}),
    ("GW-11", {"grant.state": "revoked"}),
    ("GW-11", {"grant.in_period": False}),
    ("GW-12", {"grant.keys_bound": False}),
    ("GW-13", {"grant.same_place": "no"}),
    ("GW-14", {"grant.releases_left": 0}),
    ("GW-15", {"person.terms_accepted": False}),
    ("GW-16", {"person.place_of_access": "unknown"}),
    ("GW-17", {"view.kind": "reads"}),
    ("GW-18", {"risk.clean": False}),
    ("GW-18", {"risk.measured": False}),
    ("DEI-01", {"view.tier": "enclave", "view.kind": "table"}),
    ("DEI-10", {"view.kind": "table", "risk.k": 5}),
    ("DEI-10", {"view.kind": "table", "risk.k": 6, "risk.l": 1}),
    ("DEI-11", {"view.tier": "registered"}),
    ("PI-03", {"consents.permitted": 0}),
    ("PI-05", {"filings.dua": False}),
    ("PI-09", {"purpose.data_use": "no"}),
    ("PI-12", {"filings.pia": False}),
    ("PI-17", {"recipient.restricted": "yes"}),
    ("PI-17a", {"recipient.restricted": "unknown"}),
    ("SHR-02", {"purpose.data_use": "ask"}),
    ("SHR-06", {"dataset.provenance": False}),
    ("HGR-01", {"dataset.hgr": "unknown"}),
    ("HGR-04", {"provider.owner_chinese": "unknown"}),
    ("HGR-05", {"purpose.joint_research": "unknown"}),
    ("HGR-05", {"purpose.joint_research": "yes"}),
    ("HGR-07", {"filings.ethics": False}),
    ("HGR-10", {"filings.prior_report": False}),
    ("HGR-10", {"filings.report_covers_package": False}),
    ("HGR-11", {"provider.owner_chinese": "no"}),
    ("HGR-14", {"dataset.reviewer_flag": "unknown"}),
    ("HGR-15", {"dataset.pedigree_flag": "unknown"}),
    ("HGR-16", {"dataset.region_flag": "yes"}),
    ("HGR-17", {"counts.exome_genome_people": 501}),
    ("HGR-17", {"counts.exome_genome_people": -1}),
    ("HGR-24", {"dataset.secret": "unknown"}),
    ("BKP-02", {"filings.backup": False}),
    ("FAQ-5.5", {"provider.filer_of_owner": "no"}),
    ("XB-00", {"recipient.party_class": "unknown"}),
    ("XB-02", {"filings.mechanism": "none"}),
    ("XB-03", {"counts.sensitive_people_this_year": 10_000}),
    ("DSL-04", {"dataset.important": "unknown"}),
    ("GBA-01", {"recipient.in_gba": False}),
]
PASSES: list[dict[str, Any]] = [
    {"counts.exome_genome_people": 500},
    {"counts.exome_genome_people": 501, "filings.security_review": True},
    {"dataset.pedigree_flag": "yes", "filings.security_review": True},
    {"purpose.joint_research": "yes", "filings.cooperation": True, "filings.prior_report": False, "filings.backup": False},
    {"counts.sensitive_people_this_year": 9_999},
    {"counts.sensitive_people_this_year": 10_000, "filings.mechanism": "cac-assessment"},
    {"recipient.in_gba": False, "filings.mechanism": "standard-contract"},
    {"view.kind": "table", "risk.k": 6, "risk.l": 2},
    {"view.kind": "table", "risk.k": 2, "risk.signed": True},
    # A mainland recipient under Chinese control needs neither report nor contract (FAQ-5.3).
    {
        "recipient.party_class": "P1", "person.place_of_access": "mainland", "filings.prior_report": False,
        "filings.backup": False, "filings.mechanism": "none", "counts.exome_genome_people": 900,
    },
    # A Hong Kong institution under proven Chinese control needs no report, but the contract all the same (two axes).
    {"recipient.party_class": "P3", "filings.prior_report": False, "filings.backup": False},
]  # fmt: skip


def made(changes: dict[str, Any]) -> Facts:
    body = {section: dict(values) for section, values in GOOD.items()}
    for path, value in changes.items():
        section, field = path.split(".")
        body[section][field] = value
    return Facts.from_json(body)


def failed(facts: Facts, at: datetime = AT) -> set[str]:
    return {reason["rule"] for reason in load_policy().decide(Action.RECEIVE_RELEASE, facts, at).reasons}


def test_the_good_facts_permit_with_obligations() -> None:
    decision = load_policy().decide(Action.RECEIVE_RELEASE, made({}), AT)
    assert decision.effect == Effect.PERMIT
    assert {owed["rule"] for owed in decision.obligations} == {"PI-12", "GBA-05", "PI-10"}


@pytest.mark.parametrize(("rule", "changes"), FAILS, ids=[f"{r} {c}" for r, c in FAILS])
def test_one_change_fails_by_its_rule(rule: str, changes: dict[str, Any]) -> None:
    assert rule in failed(made(changes))
    assert load_policy().decide(Action.RECEIVE_RELEASE, made(changes), AT).effect != Effect.PERMIT


@pytest.mark.parametrize("changes", PASSES, ids=[str(c) for c in PASSES])
def test_what_the_law_lets_pass_passes(changes: dict[str, Any]) -> None:
    assert failed(made(changes)) == set()


def test_a_foreign_person_in_a_mainland_laboratory_needs_the_report() -> None:
    changes = {"recipient.party_class": "P1", "person.foreign_individual": "yes", "filings.prior_report": False}
    assert "HGR-10" in failed(made(changes))


def test_inv07_a_permit_on_one_axis_never_satisfies_the_other() -> None:
    """Invariant 7: a foreign-controlled mainland company needs the report, though nothing leaves the mainland."""
    inside = {"recipient.party_class": "P2", "person.place_of_access": "mainland", "filings.mechanism": "none"}
    assert failed(made(inside)) == set()
    assert failed(made({**inside, "filings.prior_report": False})) == {"HGR-10"}
    outside = {"recipient.party_class": "P3", "filings.mechanism": "none"}
    assert failed(made(outside)) == {"XB-02"}


def test_every_rule_has_a_failing_case() -> None:
    untested = load_policy().rules.keys() - {rule for rule, _ in FAILS} - {"GW-01", "GW-99"}
    assert not untested


def test_the_word_of_the_law_is_there_in_three_languages() -> None:
    for rule in load_policy().rules.values():
        assert set(rule.title) == set(rule.remedy) == {"en", "zh-Hans", "zh-Hant"}
        assert rule.cite
        assert all({"law", "article", "text_read"} == set(cite) for cite in rule.cite)


def test_rules_apply_from_their_day() -> None:
    before = datetime(2023, 6, 30, 4, tzinfo=UTC)
    assert "HGR-10" not in failed(made({"filings.prior_report": False}), before)
    on_the_day_in_shanghai = datetime(2023, 6, 30, 16, tzinfo=UTC)
    assert "HGR-10" in failed(made({"filings.prior_report": False}), on_the_day_in_shanghai)


def test_nothing_known_is_refused() -> None:
    assert load_policy().decide(Action.RECEIVE_RELEASE, Facts(), AT).effect == Effect.DENY


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_making_any_one_fact_unknown_never_opens_a_door(data: st.DataObject) -> None:
    """Invariant 3: from refusing facts, no single step to the unknown makes a permit."""
    rule, changes = data.draw(st.sampled_from(FAILS))
    facts = made(changes).to_json()
    section = data.draw(st.sampled_from(sorted(facts)))
    field = data.draw(st.sampled_from(sorted(facts[section])))
    unknown = getattr(getattr(Facts(), section), field)
    if f"{section}.{field}" in {"risk.required", "integrity.rows_that_differ", "integrity.source_readable"}:
        return
    facts[section][field] = unknown
    if f"{section}.{field}" in changes and changes[f"{section}.{field}"] != unknown:
        return
    assert load_policy().decide(Action.RECEIVE_RELEASE, Facts.from_json(facts), AT).effect != Effect.PERMIT, rule


def _policy(extra: str) -> Policy:
    root = files("policies") / "law"
    texts = {
        f"{pack.name}/{file.name}": file.read_text("utf-8")
        for pack in root.iterdir()
        if pack.is_dir()
        for file in pack.iterdir()
    }
    words = {name: {"title": dict(r.title), "remedy": dict(r.remedy)} for name, r in load_policy().rules.items()}
    words["PLANTED"] = words["GW-02"]
    return Policy({**texts, "planted": extra}, (root / "schema.cedarschema").read_text("utf-8"), words)


PLANTED = """
@id("PLANTED") @effect("hold") @cite("none | 0 | read") @from("2020-01-01") @facts("")
forbid (principal, action == Action::"ReceiveRelease", resource)
when { context.counts.exome_genome_people * 9223372036854775807 * 2 > 0 };
"""


def test_inv04_a_forbid_that_cannot_be_evaluated_is_a_deny() -> None:
    """Invariant 4: Cedar skips a forbid that overflows; we do not."""
    policy = _policy(PLANTED)
    decision = policy.decide(Action.RECEIVE_RELEASE, made({}), AT)
    assert decision.effect == Effect.DENY
    assert "GW-99" in {reason["rule"] for reason in decision.reasons}


def test_inv04_a_context_of_the_wrong_shape_is_a_deny() -> None:
    root = files("policies") / "law"
    texts = "\n".join(f.read_text("utf-8") for pack in root.iterdir() if pack.is_dir() for f in pack.iterdir())
    engine = Engine(texts, (root / "schema.cedarschema").read_text("utf-8"))
    good = context(made({}))
    assert engine.ask("ReceiveRelease", good).allowed
    for broken in ({}, {**good, "grant": {}}, {**good, "extra": True}, {**good, "counts": "many"}):
        answer = engine.ask("ReceiveRelease", broken)
        assert not answer.allowed
        assert not answer.evaluated
    assert not engine.ask("SomethingElse", good).allowed


def test_schema_and_facts_are_the_same_words() -> None:
    text = (files("policies") / "law" / "schema.cedarschema").read_text("utf-8")
    words = {str: "String", bool: "Bool", int: "Long"}
    for section, kind in get_type_hints(Facts).items():
        for field, of in get_type_hints(kind).items():
            assert f"{field}: {words[of]}" in text.split(f"    {section}: ")[1].split("}")[0]
        assert schema()["properties"][section]["additionalProperties"] is False


def test_facts_refuse_unknown_sections_fields_and_types() -> None:
    for body in (
        {"people": {}},
        {"grant": {"stat": "x"}},
        {"grant": {"in_period": "yes"}},
        {"counts": {"exome_genome_people": True}},
    ):
        with pytest.raises(ValueError, match=r"unknown|must be"):
            Facts.from_json(body)


@pytest.mark.slow
def test_deleting_any_one_forbid_is_noticed_by_a_case() -> None:
    root = files("policies") / "law"
    whole = {f"{p.name}/{f.name}": f.read_text("utf-8") for p in root.iterdir() if p.is_dir() for f in p.iterdir()}
    schema_text = (root / "schema.cedarschema").read_text("utf-8")
    survivors = []
    ids = [note["id"] for text in whole.values() for note in notes(text) if note["effect"] != "permit"]
    for name in ids:
        if name == "GW-99":
            continue
        cut = "\n".join(_without(text, name) for text in whole.values())
        engine = Engine(cut, schema_text)
        if all(engine.ask("ReceiveRelease", context(made(c))).forbidden_by for r, c in FAILS if r == name):
            others = [engine.ask("ReceiveRelease", context(made(c))).forbidden_by for r, c in FAILS if r == name]
            if all(name in found for found in others):
                survivors.append(name)
    assert len(ids) >= 45
    assert not survivors


def _without(text: str, name: str) -> str:
    parts = text.split("@id(")
    return "@id(".join(part for n, part in enumerate(parts) if n == 0 or not part.startswith(f'"{name}")'))
