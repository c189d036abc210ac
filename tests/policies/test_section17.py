"""Each row of section 17 of the rule catalogue, the practitioner's corrections, as a case.

Rows whose subject is computed before the rules look (counting windows, consent notices, purposes) are shown where they
are computed; here stands what the rules make of the result.
"""

from __future__ import annotations

import pytest

from policies.decide import load_policy
from policies.vocabulary import Action, Effect
from tests.policies.cases import (
    APPROVE,
    AT,
    FLAGGED,
    FREQUENCIES,
    GRANT,
    INSIDE,
    JOINT,
    MEDIA,
    NO_CONTRACT,
    OPEN_TABLE,
    PUBLISH,
    RELEASE,
    RETURN,
    TABLE,
    TRANSIT,
    TRUSTED,
    UNFILED,
    failed,
    made,
)


def test_who_applies_only_the_report_filer_must_be_the_owners() -> None:
    assert failed(RELEASE, made({"person.foreign_individual": "yes"})) == frozenset()
    assert failed(RELEASE, made({"report_filer.of_owner": "no"})) == {"FAQ-5.5"}
    assert failed(RELEASE, made({"filings.backup_holder_is_filer": "no"})) == {"BKP-03"}


def test_two_routes_provision_is_not_held_by_the_cooperation_rule() -> None:
    assert failed(RELEASE, made({"purpose.joint_research": "no"})) == frozenset()
    assert failed(RELEASE, made({**JOINT, "filings.cooperation": False})) == {"HGR-05"}
    assert failed(RELEASE, made({**JOINT, **UNFILED})) == frozenset(), "HGR-12 replaces the prior report"
    unclear = load_policy().decide(RELEASE, made({"purpose.joint_research": "unknown"}), AT)
    assert (unclear.effect, [reason["rule"] for reason in unclear.reasons]) == (Effect.HOLD, ["HGR-05a"])


def test_order_of_states_filings_gate_the_grant_and_the_release_never_the_approval() -> None:
    nothing_filed = {**UNFILED, **NO_CONTRACT, "filings.dua": False, "filings.pia": False, **FLAGGED}
    assert failed(APPROVE, made(nothing_filed)) == frozenset()
    missing = {"HGR-10", "BKP-02", "XB-02", "PI-05", "PI-12", "HGR-14", "HGR-15", "HGR-16", "HGR-17"}
    assert failed(GRANT, made(nothing_filed)) == missing
    assert failed(RELEASE, made(nothing_filed)) == missing


def test_filed_package_a_release_outside_it_needs_a_change_filing() -> None:
    assert failed(RELEASE, made({"filings.report_covers_package": False})) == {"HGR-10"}


def test_counting_the_limit_is_more_than_500_of_exome_or_genome_people() -> None:
    assert failed(RELEASE, made({"counts.exome_genome_people": 500})) == frozenset()
    assert failed(RELEASE, made({"counts.exome_genome_people": 501})) == {"HGR-17"}
    array = {"counts.exome_genome_people": 10**6, "view.exome_or_genome": "no"}
    assert failed(RELEASE, made(array)) == frozenset()


def test_xb04_the_contract_must_be_in_effect_and_its_filing_is_owed_after() -> None:
    assert failed(RELEASE, made(NO_CONTRACT)) == {"XB-02"}
    decision = load_policy().decide(RELEASE, made({}), AT)
    owed = [row["due"] for row in decision.obligations if row["rule"] == "GBA-05"]
    assert (decision.effect, owed) == (Effect.PERMIT, ["10 working days"])


def test_foreign_individuals_are_judged_beside_their_institution() -> None:
    mainland = {**INSIDE, **NO_CONTRACT, **UNFILED}
    assert failed(RELEASE, made(mainland)) == frozenset()
    for word in ("yes", "unknown"):
        assert failed(RELEASE, made({**mainland, "person.foreign_individual": word})) == {"HGR-10", "BKP-02"}
    abroad = {**mainland, "person.place_of_access": "overseas"}
    assert failed(RELEASE, made(abroad)) == {"XB-02"}


def test_minors_and_cross_border_consent_decide_who_is_permitted_and_nobody_permitted_is_a_deny() -> None:
    assert failed(RELEASE, made({"consents.permitted": 0})) == {"PI-03"}
    assert failed(RELEASE, made({"consents.permitted": -1})) == {"PI-03"}


def test_open_frequencies_need_one_report_before_the_first_answer() -> None:
    unfiled = {**FREQUENCIES, "filings.open_use_report": False}
    assert failed(PUBLISH, made(unfiled)) == {"FAQ-5.1"}
    assert failed(PUBLISH, made({**FREQUENCIES, "filings.report_before_first_byte": False})) == {"FAQ-5.6"}


@pytest.mark.parametrize(("flag", "rule"), [("pedigree_flag", "HGR-15"), ("region_flag", "HGR-16")])
def test_pedigree_and_region_flags_unknown_is_hold_never_false(flag: str, rule: str) -> None:
    decision = load_policy().decide(RELEASE, made({f"dataset.{flag}": "unknown"}), AT)
    assert (decision.effect, [reason["rule"] for reason in decision.reasons]) == (Effect.HOLD, [rule])


def test_tri_pack_ships_off_and_adds_without_replacing() -> None:
    refused = {"trust.violation": "yes", "trust.listed": False}
    assert failed(RELEASE, made(refused)) == frozenset()
    trusted = load_policy(TRUSTED)
    assert failed(RELEASE, made(refused), policy=trusted) == {"TRI-10", "TRI-17"}
    assert failed(RELEASE, made(UNFILED), policy=trusted) == {"HGR-10", "BKP-02"}, "never instead of HGR-10"
    goods = {"TRI-06", "TRI-07", "TRI-09", "TRI-09a", "TRI-09b"}
    assert not goods & (trusted.rules.keys() | {name for rule in trusted.rules.values() for name in rule.covers})


def test_branch_pilot_is_a_slot_and_off() -> None:
    listed = {"provider.owner_chinese": "no", "provider.branch_listed": True}
    assert failed(RELEASE, made(listed)) == {"HGR-11"}


def test_transit_is_free_on_the_personal_side_and_a_person_decides_the_other() -> None:
    foreign = {**UNFILED, **NO_CONTRACT, "consents.permitted": 0}
    assert failed(TRANSIT, made(foreign)) == frozenset()
    assert failed(TRANSIT, made({**foreign, "custody.hgr_side_decided": False})) == {"GW-36"}
    assert failed(TRANSIT, made({**foreign, "custody.domestic_data_added": "yes"})) == {"GW-34"}
    assert failed(TRANSIT, made({**foreign, "custody.origin": "mainland"})) == {"GW-33"}


def test_return_to_owner_asks_identity_order_and_contract_and_no_more() -> None:
    bare = {
        **UNFILED, **NO_CONTRACT, "purpose.data_use": "ask", "consents.permitted": 0, "risk.measured": False,
        "grant.state": "none", "approvals.people": 0, "view.kind": "reads", "view.tier": "enclave",
    }  # fmt: skip
    assert failed(RETURN, made(bare)) == frozenset()
    assert failed(RETURN, made({**bare, "custody.recipient_is_owner": "no"})) == {"GW-30"}
    assert failed(RETURN, made({**bare, "custody.order": False})) == {"GW-31"}
    assert failed(RETURN, made({**bare, "custody.sealed": False})) == {"GW-32"}


def test_ethics_a_cooperation_needs_the_review_of_both_places() -> None:
    assert failed(RELEASE, made({**JOINT, "filings.ethics_both_places": False})) == {"HGR-07a"}
    assert failed(RELEASE, made({"filings.ethics_both_places": False})) == frozenset()


def test_dei_the_controlled_tier_holds_for_a_signature_and_the_open_tier_denies() -> None:
    held = load_policy().decide(RELEASE, made({**TABLE, "risk.k": 5}), AT)
    assert (held.effect, [reason["rule"] for reason in held.reasons]) == (Effect.HOLD, ["DEI-10"])
    assert failed(RELEASE, made({**TABLE, "risk.k": 5, "risk.signed": True})) == frozenset()
    opened = load_policy().decide(PUBLISH, made({**OPEN_TABLE, "risk.k": 19, "risk.signed": True}), AT)
    assert (opened.effect, [reason["rule"] for reason in opened.reasons]) == (Effect.DENY, ["DEI-07"])
    assert failed(RELEASE, made({"risk.k": 1})) == frozenset(), "genotypes are linkable, judged by their own measures"


def test_more_law_asks_where_the_phenotype_table_is_stored() -> None:
    assert failed(APPROVE, made({"dataset.stored_in": "overseas"})) == {"PHI-01"}
    assert "PHI-01" in {rule.rule for rule in load_policy().unread()}, "a sign-off row"


def test_public_data_passes_only_where_it_is_declared_public() -> None:
    thousand_genomes = {**UNFILED, **FLAGGED, "dataset.public": "yes", "dataset.public_accession": True}
    assert failed(RELEASE, made(thousand_genomes)) == frozenset()
    pretend_cohort = {**thousand_genomes, "dataset.public": "no"}
    assert {"HGR-10", "BKP-02", "HGR-17"} <= failed(RELEASE, made(pretend_cohort))


@pytest.mark.parametrize("missing", ["address", "medium", "custody"])
def test_media_carry_address_medium_and_custody(missing: str) -> None:
    assert failed(MEDIA, made({f"media.{missing}": False})) == {"GW-37"}
    assert failed(RELEASE, made({f"media.{missing}": False})) == frozenset()


def test_publication_is_a_release_of_its_own_filed_before_the_first_byte() -> None:
    assert Action.PUBLISH != Action.RECEIVE_RELEASE
    by_cooperation = {**FREQUENCIES, **JOINT, **UNFILED, "filings.open_use_report": False}
    assert failed(PUBLISH, made(by_cooperation)) == {"FAQ-5.1"}, "the exception does not reach publishers"
