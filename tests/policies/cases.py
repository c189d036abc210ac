"""Facts that pass and one small change each that fails: the table every test of the rules reads.

A case is (action, changes from GOOD, the exact set of rules that must fail). The sets are written by hand from the
rule catalogue; nothing here is computed from the policies.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from policies.decide import Policy, load_policy
from policies.facts import Facts
from policies.vocabulary import Action

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
Changes = dict[str, Any]
Case = tuple[Action, Changes, frozenset[str]]
GOOD: dict[str, dict[str, Any]] = {
    "person": {"foreign_individual": "no", "place_of_access": "hong_kong", "terms_accepted": True, "is_applicant": True},
    "recipient": {
        "party_class": "P4", "place": "hong_kong", "in_gba": True, "kind": "academic", "restricted": "no",
        "control_changed": "no", "role": "independent",
    },
    "provider": {
        "owner_chinese": "yes", "in_gba": True,
        "critical_infrastructure": "no",
    },
    "dataset": {
        "confirmed": True, "hgr": "yes", "secret": "no", "important": "no", "region_flag": "no",
        "pedigree_flag": "no", "reviewer_flag": "no", "provenance": True, "responsible_person": True, "public": "no",
        "participants": 198, "stored_in": "mainland",
    },
    "view": {
        "kind": "vcf", "tier": "controlled", "label_confirmed": True, "in_item": True, "exome_or_genome": "yes",
        "grade": "G4", "level": 4, "identifiability": "L2", "personal": "yes", "sensitive": "yes", "flow": "single",
    },
    "purpose": {"joint_research": "no", "data_use": "match", "stated": True, "fee": "none"},
    "consents": {"total": 198, "permitted": 190, "permitted_digest": "d"},
    "filings": {
        "backup": True, "prior_report": True, "report_covers_package": True, "ethics": True, "pia": True, "dua": True,
        "mechanism": "gba-contract", "backup_holder_is_filer": "yes", "storage_location": True,
        "pia_days_before_contract": 30,
    },
    "counts": {"exome_genome_people": 190, "sensitive_people_this_year": 190, "people_this_year": 190},
    "approvals": {"people": 2, "units": 2, "by_applicant": False, "unbound": 0},
    "grant": {"state": "active", "in_period": True, "keys_bound": True, "releases_left": 3, "same_place": "yes"},
    "risk": {"measured": True, "required": True, "clean": True, "linkable": True},
    "report_filer": {"of_owner": "yes", "authorised": "yes"},
    "integrity": {"rows_that_differ": 0, "source_readable": True, "policy_activated": True},
    "custody": {
        "recipient_is_owner": "yes", "order": True, "contract": True, "sealed": True, "origin": "abroad",
        "domestic_data_added": "no", "returns_to_origin": "yes", "hgr_side_decided": True,
    },
    "media": {"address": True, "medium": True, "custody": True},
    "trust": {
        "claimed": "yes", "partner_in_zone": "yes", "partner_qualified": True, "partner_a_years": 5,
        "grade_current": True, "assessed": True, "listed": True, "within_filing": True, "report_overdue": "no",
        "violation": "no",
    },
}  # fmt: skip
FREQUENCIES: Changes = {
    "view.kind": "frequencies", "view.tier": "open", "view.personal": "no", "view.sensitive": "no",
    "view.identifiability": "L4", "view.grade": "G2", "filings.open_use_report": True, "filings.prior_report": False,
    "filings.report_before_first_byte": True, "risk.snapshot": True, "risk.min_count": 10, "risk.lr_power_permille": 100,
}  # fmt: skip
OPEN_TABLE: Changes = {
    **FREQUENCIES, "view.kind": "table", "view.personal": "yes", "consents.public_disclosure": True,
    "risk.k": 20, "risk.l": 2, "risk.k_wanted": 20, "risk.overall_permille": 49, "risk.snapshot": False,
    "risk.min_count": -1, "risk.lr_power_permille": -1,
}  # fmt: skip
TABLE: Changes = {"view.kind": "table", "risk.k": 6, "risk.l": 2}
READS: Changes = {"view.kind": "reads", "view.tier": "registered", "risk.substituted": True}
COUNTS: Changes = {"view.kind": "frequencies", "risk.min_count": 5}
SNAPSHOT: Changes = {"risk.min_count": 10, "risk.snapshot": True, "risk.lr_power_permille": 100}
JOINT: Changes = {
    "purpose.joint_research": "yes", "filings.cooperation": True, "filings.cooperation_covers": True,
    "filings.cooperation_changed": "no", "filings.ethics_both_places": True,
}  # fmt: skip
UNFILED: Changes = {
    "filings.backup": False, "filings.prior_report": False, "filings.report_covers_package": False,
    "filings.backup_holder_is_filer": "unknown", "filings.storage_location": False, "report_filer.authorised": "no",
}  # fmt: skip
NO_CONTRACT: Changes = {"filings.mechanism": "none", "filings.pia_days_before_contract": -1}
FLAGGED: Changes = {
    "dataset.reviewer_flag": "yes", "dataset.pedigree_flag": "yes", "dataset.region_flag": "yes",
    "counts.exome_genome_people": 501,
}  # fmt: skip
OUTBOUND_QUESTIONS: Changes = {
    **UNFILED, **FLAGGED, "purpose.joint_research": "unknown", "view.flow": "continuous",
    "filings.report_covers_package": True, "filings.prior_report": True, "filings.backup": True,
    "filings.backup_holder_is_filer": "no",
}  # fmt: skip
"""Everything that only 对外提供 asks about, answered wrongly."""
INSIDE: Changes = {"recipient.party_class": "P1", "recipient.place": "mainland", "person.place_of_access": "mainland"}
ALLOWED_PUBLIC: Changes = {"dataset.public": "yes", "dataset.public_accession": True}

RELEASE, GRANT, APPROVE = Action.RECEIVE_RELEASE, Action.GRANT, Action.APPROVE_TO_FILE
MEDIA, PUBLISH, RETURN, TRANSIT = Action.EXPORT_MEDIA, Action.PUBLISH, Action.RETURN_TO_OWNER, Action.TRANSIT


def _case(action: Action, changes: Changes, *rules: str) -> Case:
    return action, changes, frozenset(rules)


PASSES: list[Case] = [
    *(_case(action, {}) for action in (RELEASE, GRANT, APPROVE, MEDIA, RETURN, TRANSIT)),
    _case(PUBLISH, FREQUENCIES),
    _case(PUBLISH, OPEN_TABLE),
    _case(PUBLISH, {**OPEN_TABLE, "view.personal": "no", "consents.public_disclosure": False}),
    _case(RELEASE, TABLE),
    _case(RELEASE, READS),
    _case(MEDIA, READS),
    _case(RELEASE, {**READS, "risk.required": False, "risk.substituted": False}),
    _case(RELEASE, {"view.kind": "matrix"}),
    _case(RELEASE, COUNTS),
    _case(RELEASE, {**COUNTS, **SNAPSHOT, "view.tier": "open"}),
    _case(RELEASE, {**COUNTS, **SNAPSHOT, "view.tier": "registered"}),
    _case(RELEASE, {**COUNTS, **SNAPSHOT, "view.tier": "registered", "risk.lr_power_permille": 0}),
    _case(RELEASE, {**COUNTS, "risk.required": False, "risk.min_count": -1}),
    _case(RELEASE, {**TABLE, "risk.k": 2, "risk.signed": True}),
    _case(RELEASE, {**TABLE, "risk.k": 2, "risk.l": 0, "risk.required": False, "risk.measured": False}),
    _case(RELEASE, {**TABLE, "view.tier": "registered"}),
    _case(RELEASE, {**TABLE, "view.tier": "open"}),
    _case(RELEASE, {**TABLE, "view.identifiability": "L3"}),
    _case(RELEASE, {**TABLE, "view.identifiability": "L4"}),
    *(_case(RELEASE, {"view.grade": grade}) for grade in ("G1", "G2", "G3")),
    _case(RELEASE, {"counts.exome_genome_people": 500}),
    _case(RELEASE, {"counts.exome_genome_people": 0, "counts.sensitive_people_this_year": 0, "counts.people_this_year": 0}),
    _case(RELEASE, {"counts.people_this_year": 0, "view.sensitive": "no", **NO_CONTRACT}),
    _case(RELEASE, {"counts.exome_genome_people": 501, "view.exome_or_genome": "no"}),
    _case(RELEASE, {**FLAGGED, "filings.security_review": True, "filings.security_review_outcome": "passed"}),
    # The internal approval comes before the filings, never after them (section 17, order of states).
    _case(APPROVE, {**UNFILED, **NO_CONTRACT, **FLAGGED, "filings.dua": False, "filings.pia": False, "grant.state": "none",
                    "approvals.people": 0, "approvals.units": 0, "approvals.by_applicant": True, "approvals.unbound": 1}),
    _case(GRANT, {"grant.state": "none", "grant.keys_bound": False, "grant.releases_left": 0, "grant.in_period": False}),
    # Joint research gives its own results to the named partner without a report (HGR-12).
    _case(RELEASE, {**UNFILED, **JOINT}),
    # A mainland recipient under Chinese control: no report, no contract (FAQ-5.3).
    _case(RELEASE, {**OUTBOUND_QUESTIONS, **NO_CONTRACT, **INSIDE}),
    _case(RELEASE, {**OUTBOUND_QUESTIONS, **NO_CONTRACT, **INSIDE, "filings.prior_report": False}),
    _case(RELEASE, {**INSIDE, **NO_CONTRACT, "purpose.joint_research": "yes"}),
    # Proven Chinese control in Hong Kong: no report, but the contract all the same (two axes).
    _case(RELEASE, {**OUTBOUND_QUESTIONS, "recipient.party_class": "P3"}),
    # Not human genetic resources information: the personal-information side stays (HGR-03).
    _case(RELEASE, {**OUTBOUND_QUESTIONS, "dataset.hgr": "no"}),
    _case(RELEASE, {"dataset.hgr": "no", "purpose.joint_research": "yes"}),
    # Already public, used as is, its accession kept (FAQ-5.11).
    _case(RELEASE, {**OUTBOUND_QUESTIONS, **ALLOWED_PUBLIC}),
    _case(RELEASE, {**ALLOWED_PUBLIC, "purpose.joint_research": "yes"}),
    *(_case(RELEASE, {**UNFILED, **why}) for why in (ALLOWED_PUBLIC, {"dataset.hgr": "no"}, {"recipient.party_class": "P3"})),
    _case(RELEASE, {"counts.sensitive_people_this_year": 9_999}),
    _case(RELEASE, {"counts.people_this_year": 999_999, "view.sensitive": "no"}),
    _case(RELEASE, {"counts.sensitive_people_this_year": 10_000, "filings.mechanism": "cac-assessment"}),
    _case(RELEASE, {"counts.people_this_year": 1_000_000, "filings.mechanism": "cac-assessment"}),
    _case(RELEASE, {"counts.people_this_year": 99_999, "view.sensitive": "no", **NO_CONTRACT}),
    _case(RELEASE, {"view.personal": "no", **NO_CONTRACT, "counts.sensitive_people_this_year": -1}),
    _case(RELEASE, {"recipient.in_gba": False, "filings.mechanism": "standard-contract"}),
    _case(RELEASE, {"provider.in_gba": False, "filings.mechanism": "certification", "filings.pia_days_before_contract": -1,
                    "person.place_of_access": "macau"}),
    _case(RELEASE, {"person.place_of_access": "mainland"}),
    _case(RELEASE, {"filings.pia_days_before_contract": 92}),
    _case(RELEASE, {"filings.pia_days_before_contract": 0}),
    _case(RELEASE, {"dataset.important": "yes", "filings.mechanism": "cac-assessment",
                    "filings.important_risk_assessment": True}),
    _case(RELEASE, {"view.grade": "important", "filings.important_risk_assessment": True}),
    _case(RELEASE, {**INSIDE, **NO_CONTRACT, "dataset.important": "yes", "filings.important_risk_assessment": True}),
    _case(RELEASE, {"recipient.role": "processor", "filings.entrustment": True}),
    _case(RELEASE, {"recipient.role": "joint", "filings.joint_agreement": True}),
    _case(RELEASE, {"recipient.kind": "foreign-authority", "filings.authority_approval": True}),
    _case(RELEASE, {"dataset.participants": 3_000}),
    _case(RELEASE, {"dataset.participants": 0}),
    _case(RELEASE, {"dataset.participants": 3_001, "dataset.collection_permit": True}),
    _case(RELEASE, {"dataset.participants": 3_001, "dataset.hgr": "no"}),
    _case(RELEASE, {"view.flow": "continuous", "counts.forecast_volume": 10, "counts.filed_volume": 10}),
    _case(RELEASE, {"view.flow": "continuous", "counts.forecast_volume": 0, "counts.filed_volume": 10}),
    _case(RELEASE, {"purpose.fee": "cost"}),
    _case(RELEASE, {"approvals.people": 3, "approvals.units": 3, "grant.releases_left": 1, "consents.permitted": 1}),
    _case(PUBLISH, {**FREQUENCIES, "dataset.hgr": "no", "filings.backup": False, "filings.open_use_report": False,
                    "filings.report_covers_package": False, "filings.report_before_first_byte": False, **FLAGGED}),
    _case(PUBLISH, {**FREQUENCIES, **ALLOWED_PUBLIC, "filings.backup": False, "filings.open_use_report": False,
                    "filings.report_before_first_byte": False}),
    _case(PUBLISH, {**FREQUENCIES, "risk.min_count": 11, "risk.lr_power_permille": 0}),
    _case(PUBLISH, {**OPEN_TABLE, "risk.k": 21, "risk.l": 3, "risk.overall_permille": 0}),
    # Of a thing returned to its owner nothing is asked but who, on what order, under which contract (section 17).
    _case(RETURN, {**OUTBOUND_QUESTIONS, **NO_CONTRACT, "purpose.data_use": "no", "consents.permitted": 0, "risk.k": 0,
                   "filings.ethics": False, "approvals.people": 0, "custody.origin": "unknown"}),
    _case(TRANSIT, {**OUTBOUND_QUESTIONS, **NO_CONTRACT, "consents.permitted": 0, "custody.order": False}),
]  # fmt: skip

FAILS: list[Case] = [
    *(_case(action, {"integrity.rows_that_differ": 1}, "GW-02") for action in (RELEASE, GRANT, RETURN, TRANSIT)),
    _case(RELEASE, {"integrity.rows_that_differ": -1}, "GW-02"),
    *(_case(action, {"integrity.policy_activated": False}, "GW-40") for action in (RELEASE, GRANT, RETURN, TRANSIT)),
    *(_case(action, {"integrity.source_readable": False}, "GW-03") for action in (RELEASE, MEDIA, RETURN, TRANSIT)),
    *(_case(action, {"dataset.secret": "unknown"}, "HGR-24") for action in (RELEASE, APPROVE, RETURN, TRANSIT)),
    _case(RELEASE, {"dataset.secret": "yes"}, "HGR-24"),
    _case(RELEASE, {"dataset.confirmed": False}, "GW-04"),
    _case(PUBLISH, {**FREQUENCIES, "dataset.confirmed": False}, "GW-04"),
    _case(RELEASE, {"view.label_confirmed": False}, "GW-05"),
    _case(APPROVE, {"view.in_item": False}, "GW-06"),
    _case(APPROVE, {"person.is_applicant": False}, "GW-07"),
    _case(RELEASE, {"approvals.people": 1}, "GW-08"),
    _case(RELEASE, {"approvals.units": 1}, "GW-08"),
    _case(RELEASE, {"approvals.by_applicant": True}, "GW-08"),
    _case(PUBLISH, {**FREQUENCIES, "approvals.people": 1}, "GW-08"),
    _case(GRANT, {"approvals.unbound": 1}, "GW-09"),
    _case(GRANT, {"approvals.unbound": -1}, "GW-09"),
    _case(PUBLISH, {**FREQUENCIES, "approvals.unbound": 1}, "GW-09"),
    _case(RELEASE, {"grant.state": "none", "grant.keys_bound": False, "grant.releases_left": 0, "grant.in_period": False},
          "GW-10"),
    _case(MEDIA, {"grant.state": "none"}, "GW-10"),
    _case(RELEASE, {"grant.state": "suspended"}, "GW-41"),
    _case(MEDIA, {"grant.state": "suspended"}, "GW-41"),
    _case(RELEASE, {"grant.state": "revoked"}, "GW-11"),
    _case(MEDIA, {"grant.in_period": False}, "GW-11"),
    _case(RELEASE, {"grant.keys_bound": False}, "GW-12"),
    _case(MEDIA, {"grant.keys_bound": False}, "GW-12"),
    _case(RELEASE, {"grant.same_place": "no"}, "GW-13"),
    _case(MEDIA, {"grant.same_place": "no"}, "GW-13"),
    _case(RELEASE, {"grant.releases_left": 0}, "GW-14"),
    _case(MEDIA, {"grant.releases_left": 0}, "GW-14"),
    _case(APPROVE, {"person.terms_accepted": False}, "GW-15"),
    _case(APPROVE, {"person.place_of_access": "unknown"}, "GW-16"),
    _case(RELEASE, {"person.place_of_access": "unknown"}, "GW-16", "GBA-03"),
    _case(RELEASE, {"view.kind": "reads", "risk.substituted": True}, "GW-17"),
    _case(RELEASE, {"view.kind": "fastq", "view.tier": "registered"}, "GW-17"),
    _case(RELEASE, {**READS, "risk.substituted": False}, "GW-42"),
    _case(RELEASE, {**READS, "risk.measured": False}, "GW-42", "GW-18"),
    _case(MEDIA, {**READS, "risk.substituted": False}, "GW-42"),
    _case(RELEASE, {"view.kind": "reads"}, "GW-17", "GW-42"),
    _case(RELEASE, {**COUNTS, "risk.min_count": 4}, "GW-43"),
    _case(MEDIA, {**COUNTS, "risk.min_count": -1}, "GW-43"),
    _case(RELEASE, {**COUNTS, "risk.measured": False}, "GW-18", "GW-43"),
    *(_case(RELEASE, {**COUNTS, "view.tier": tier, **SNAPSHOT, **wrong}, "GW-43") for tier in ("open", "registered")
      for wrong in ({"risk.snapshot": False}, {"risk.min_count": 9}, {"risk.lr_power_permille": 101},
                    {"risk.lr_power_permille": -1})),
    _case(RELEASE, {"view.kind": "matrix", "view.tier": "registered"}, "DEI-11"),
    _case(MEDIA, {"view.kind": "unknown"}, "GW-17"),
    _case(RELEASE, {"risk.clean": False}, "GW-18"),
    _case(MEDIA, {"risk.measured": False}, "GW-18"),
    _case(RELEASE, {**TABLE, "view.tier": "enclave"}, "DEI-01"),
    _case(MEDIA, {**TABLE, "view.tier": "unknown"}, "DEI-01"),
    _case(RELEASE, {"view.identifiability": "L1"}, "DEI-06"),
    _case(PUBLISH, {**FREQUENCIES, "view.identifiability": "unknown"}, "DEI-06"),
    _case(RELEASE, {**TABLE, "risk.k": 5}, "DEI-10"),
    _case(MEDIA, {**TABLE, "risk.l": 1}, "DEI-10"),
    _case(RELEASE, {"view.tier": "registered"}, "DEI-11"),
    _case(MEDIA, {"view.tier": "open"}, "DEI-11"),
    _case(RELEASE, {"view.tier": "enclave"}, "DEI-01", "DEI-11"),
    _case(RELEASE, {"consents.permitted": 0}, "PI-03"),
    _case(PUBLISH, {**FREQUENCIES, "consents.permitted": -1}, "PI-03"),
    _case(GRANT, {"filings.dua": False}, "PI-05"),
    _case(RELEASE, {"recipient.role": "processor"}, "PI-06"),
    _case(RELEASE, {"recipient.role": "unknown", "filings.joint_agreement": True}, "PI-06"),
    _case(RELEASE, {"recipient.role": "joint"}, "PI-07"),
    _case(RELEASE, {"recipient.role": "joint", "filings.entrustment": True}, "PI-07"),
    _case(APPROVE, {"purpose.data_use": "no"}, "PI-09"),
    _case(RELEASE, {"filings.pia": False}, "PI-12"),
    _case(PUBLISH, {**FREQUENCIES, "filings.pia": False}, "PI-12"),
    _case(RELEASE, {"recipient.kind": "foreign-authority"}, "PI-16"),
    _case(APPROVE, {"recipient.restricted": "yes"}, "PI-17"),
    _case(APPROVE, {"recipient.restricted": "unknown"}, "PI-17a"),
    _case(APPROVE, {"dataset.stored_in": "unknown"}, "PHI-01"),
    _case(APPROVE, {"dataset.stored_in": "overseas"}, "PHI-01"),
    _case(RELEASE, {"purpose.data_use": "ask"}, "SHR-02"),
    _case(APPROVE, {"purpose.stated": False}, "SHR-02"),
    _case(RELEASE, {"dataset.provenance": False}, "SHR-06"),
    _case(RELEASE, {"dataset.responsible_person": False}, "SHR-12"),
    _case(APPROVE, {"dataset.hgr": "unknown"}, "HGR-01"),
    _case(RELEASE, {**UNFILED, "dataset.hgr": "unknown"}, "HGR-01", "HGR-10", "BKP-02"),
    _case(APPROVE, {"provider.owner_chinese": "unknown"}, "HGR-04"),
    _case(RELEASE, {"purpose.joint_research": "unknown"}, "HGR-05a"),
    _case(APPROVE, {"purpose.joint_research": "unknown"}, "HGR-05a"),
    _case(RELEASE, {**JOINT, "filings.cooperation": False}, "HGR-05"),
    _case(RELEASE, {"filings.security_review_outcome": "refused"}, "HGR-06"),
    _case(APPROVE, {"filings.ethics": False}, "HGR-07"),
    _case(RELEASE, {**JOINT, "filings.ethics_both_places": False}, "HGR-07a"),
    _case(APPROVE, {"purpose.fee": "price"}, "HGR-09"),
    _case(APPROVE, {"purpose.fee": "unknown"}, "HGR-09a"),
    _case(RELEASE, {"filings.prior_report": False}, "HGR-10"),
    _case(GRANT, {"filings.report_covers_package": False}, "HGR-10"),
    _case(RELEASE, {**UNFILED, **JOINT, "filings.cooperation": False}, "HGR-05", "HGR-10", "BKP-02"),
    _case(RELEASE, {**UNFILED, **JOINT, "filings.cooperation_covers": False}, "HGR-10", "BKP-02"),
    _case(RELEASE, {**UNFILED, **JOINT, "purpose.joint_research": "no"}, "HGR-10", "BKP-02"),
    _case(RELEASE, {"filings.backup": False}, "BKP-02"),
    _case(RELEASE, {**UNFILED, "recipient.party_class": "P2"}, "HGR-10", "BKP-02"),
    _case(RELEASE, {**UNFILED, "dataset.public": "yes"}, "HGR-10", "BKP-02"),
    # Half of the exemption for public data is none: declared without its accession, or an accession of something else.
    *(_case(action, {**OUTBOUND_QUESTIONS, half: value}, "BKP-01", "BKP-03", "FAQ-5.7a", "FAQ-5.12", "HGR-05a", "HGR-14",
            "HGR-15", "HGR-16", "HGR-17")
      for action in (RELEASE, GRANT, MEDIA) for half, value in (("dataset.public", "yes"), ("dataset.public_accession", True))),
    *(_case(RELEASE, {"purpose.joint_research": "yes", half: value}, "HGR-05", "HGR-07a", "HGR-21")
      for half, value in (("dataset.public", "yes"), ("dataset.public_accession", True))),
    _case(RELEASE, {**UNFILED, "dataset.public_accession": True}, "HGR-10", "BKP-02"),
    _case(RELEASE, {"report_filer.authorised": "no", "filings.prior_report": False}, "BKP-01", "HGR-10"),
    _case(RELEASE, {"report_filer.authorised": "unknown", "filings.backup": False}, "BKP-01", "BKP-02"),
    _case(PUBLISH, {**FREQUENCIES, "report_filer.authorised": "no", "filings.backup": False}, "BKP-01", "FAQ-5.1"),
    _case(RELEASE, {"report_filer.of_owner": "unknown"}, "BKP-01"),
    _case(RELEASE, {"filings.backup_holder_is_filer": "no"}, "BKP-03"),
    _case(RELEASE, {"filings.backup_holder_is_filer": "unknown", "filings.backup": False}, "BKP-02"),
    _case(RELEASE, {"filings.backup_holder_is_filer": "unknown", "filings.prior_report": False}, "HGR-10"),
    _case(PUBLISH, {**FREQUENCIES, "filings.backup_holder_is_filer": "unknown"}, "BKP-03"),
    _case(APPROVE, {"provider.owner_chinese": "no"}, "HGR-11"),
    _case(RELEASE, {"provider.owner_chinese": "no", "provider.branch_listed": True}, "HGR-11"),
    _case(RELEASE, {"report_filer.of_owner": "no"}, "FAQ-5.5"),
    _case(PUBLISH, {**FREQUENCIES, "report_filer.of_owner": "no"}, "FAQ-5.5"),
    _case(RELEASE, {"view.flow": "continuous", "counts.forecast_volume": 11, "counts.filed_volume": 10}, "FAQ-5.7a"),
    _case(RELEASE, {"view.flow": "continuous", "counts.filed_volume": 10}, "FAQ-5.7a"),
    _case(RELEASE, {"view.flow": "unknown"}, "FAQ-5.7a"),
    _case(RELEASE, {"filings.storage_location": False}, "FAQ-5.12"),
    _case(PUBLISH, {**FREQUENCIES, "filings.storage_location": False}, "FAQ-5.12"),
    _case(RELEASE, {"recipient.control_changed": "yes"}, "FAQ-3.9"),
    _case(RELEASE, {"recipient.control_changed": "unknown"}, "FAQ-3.9"),
    _case(RELEASE, {"dataset.reviewer_flag": "unknown"}, "HGR-14"),
    _case(RELEASE, {"dataset.pedigree_flag": "unknown"}, "HGR-15"),
    _case(RELEASE, {"dataset.region_flag": "yes"}, "HGR-16"),
    _case(RELEASE, {"counts.exome_genome_people": 501}, "HGR-17"),
    _case(RELEASE, {"counts.exome_genome_people": -1}, "HGR-17"),
    _case(RELEASE, {"view.exome_or_genome": "unknown", "counts.exome_genome_people": 501}, "HGR-17"),
    _case(PUBLISH, {**FREQUENCIES, **FLAGGED}, "HGR-14", "HGR-15", "HGR-16", "HGR-17"),
    _case(RELEASE, FLAGGED, "HGR-14", "HGR-15", "HGR-16", "HGR-17"),
    _case(RELEASE, {"dataset.participants": 3_001}, "HGR-19"),
    _case(RELEASE, {"dataset.participants": -1}, "HGR-19"),
    _case(RELEASE, {**JOINT, "filings.cooperation_changed": "yes"}, "HGR-21"),
    _case(RELEASE, {**JOINT, "filings.cooperation_changed": "unknown"}, "HGR-21"),
    _case(PUBLISH, {**FREQUENCIES, "filings.open_use_report": False}, "FAQ-5.1"),
    _case(PUBLISH, {**FREQUENCIES, "filings.report_covers_package": False}, "FAQ-5.1"),
    _case(PUBLISH, {**FREQUENCIES, **JOINT, "filings.backup": False}, "FAQ-5.1"),
    _case(PUBLISH, {**FREQUENCIES, "dataset.public": "yes", "filings.backup": False}, "FAQ-5.1"),
    _case(PUBLISH, {**FREQUENCIES, "dataset.public_accession": True, "filings.report_before_first_byte": False}, "FAQ-5.6"),
    _case(PUBLISH, {**FREQUENCIES, "dataset.public": "yes", "filings.report_before_first_byte": False}, "FAQ-5.6"),
    _case(PUBLISH, {**FREQUENCIES, "view.personal": "unknown"}, "PI-08"),
    _case(PUBLISH, {**OPEN_TABLE, "consents.public_disclosure": False}, "PI-08"),
    _case(PUBLISH, {**FREQUENCIES, "view.tier": "controlled"}, "DEI-01a"),
    _case(PUBLISH, {**FREQUENCIES, "view.kind": "vcf"}, "DEI-11a"),
    *(_case(PUBLISH, {**OPEN_TABLE, **wrong}, "DEI-07") for wrong in (
        {"risk.k": 19}, {"risk.l": 1}, {"risk.measured": False}, {"risk.clean": False}, {"risk.k": 6, "risk.signed": True})),
    *(_case(PUBLISH, {**OPEN_TABLE, "risk.overall_permille": wrong}, "DEI-08") for wrong in (50, -1)),
    *(_case(PUBLISH, {**FREQUENCIES, **wrong}, "GW-19") for wrong in (
        {"risk.snapshot": False}, {"risk.min_count": 9}, {"risk.lr_power_permille": 101}, {"risk.lr_power_permille": -1},
        {"risk.measured": False}, {"risk.clean": False})),
    _case(RELEASE, {"dataset.important": "yes", "filings.mechanism": "cac-assessment"}, "DSL-03"),
    _case(RELEASE, {"view.grade": "important"}, "DSL-03"),
    _case(PUBLISH, {**FREQUENCIES, "dataset.important": "unknown"}, "DSL-03"),
    _case(RELEASE, {**INSIDE, **NO_CONTRACT, "dataset.important": "unknown"}, "DSL-03"),
    _case(RELEASE, {"dataset.important": "unknown"}, "DSL-03", "DSL-04", "GBA-02"),
    _case(RELEASE, {"dataset.important": "yes", "filings.mechanism": "standard-contract",
                    "filings.important_risk_assessment": True}, "DSL-04"),
    _case(APPROVE, {"view.grade": "core"}, "DSL-05"),
    _case(APPROVE, {"view.grade": "unknown"}, "DSL-05"),
    _case(APPROVE, {"recipient.party_class": "unknown"}, "XB-00"),
    _case(APPROVE, {"recipient.kind": "unknown"}, "XB-00"),
    _case(RELEASE, {**UNFILED, "recipient.party_class": "unknown"}, "XB-00", "HGR-10", "BKP-02"),
    _case(RELEASE, NO_CONTRACT, "XB-02"),
    _case(RELEASE, {**NO_CONTRACT, "view.personal": "no", "dataset.important": "yes",
                    "filings.important_risk_assessment": True}, "XB-02", "DSL-04"),
    _case(RELEASE, {**NO_CONTRACT, "view.sensitive": "no", "dataset.important": "yes",
                    "filings.important_risk_assessment": True}, "XB-02", "DSL-04"),
    _case(RELEASE, {**NO_CONTRACT, "view.sensitive": "no", "counts.people_this_year": 100_000}, "XB-02"),
    _case(RELEASE, {**NO_CONTRACT, "view.sensitive": "no", "counts.people_this_year": -1}, "XB-02", "XB-03"),
    _case(RELEASE, {**NO_CONTRACT, "recipient.party_class": "P1", "recipient.place": "mainland"}, "XB-02"),
    _case(RELEASE, {"counts.sensitive_people_this_year": 10_000}, "XB-03"),
    _case(RELEASE, {"counts.sensitive_people_this_year": -1}, "XB-03"),
    _case(RELEASE, {"counts.people_this_year": 1_000_000}, "XB-03"),
    _case(RELEASE, {"counts.people_this_year": -1}, "XB-03"),
    _case(RELEASE, {"provider.critical_infrastructure": "unknown"}, "XB-03"),
    _case(RELEASE, {"recipient.in_gba": False}, "GBA-01"),
    _case(RELEASE, {"provider.in_gba": False}, "GBA-01"),
    _case(RELEASE, {"dataset.important": "yes", "filings.important_risk_assessment": True}, "GBA-02", "DSL-04"),
    _case(RELEASE, {"person.place_of_access": "overseas"}, "GBA-03"),
    _case(RELEASE, {"recipient.place": "macau", "person.place_of_access": "hong_kong"}, "GBA-03"),
    _case(RELEASE, {"filings.pia_days_before_contract": 93}, "GBA-04"),
    _case(RELEASE, {"filings.pia_days_before_contract": -1}, "GBA-04"),
    _case(RETURN, {"custody.recipient_is_owner": "unknown"}, "GW-30"),
    _case(RETURN, {"custody.order": False}, "GW-31"),
    _case(RETURN, {"custody.contract": False}, "GW-31"),
    *(_case(action, {"custody.sealed": False}, "GW-32") for action in (RETURN, TRANSIT, MEDIA)),
    _case(TRANSIT, {"custody.origin": "unknown"}, "GW-33"),
    _case(TRANSIT, {"custody.domestic_data_added": "unknown"}, "GW-34"),
    _case(TRANSIT, {"custody.returns_to_origin": "no"}, "GW-35"),
    _case(TRANSIT, {"custody.hgr_side_decided": False}, "GW-36"),
    *(_case(MEDIA, {f"media.{name}": False}, "GW-37") for name in ("address", "medium", "custody")),
]  # fmt: skip

TRUSTED = frozenset({"trusted-institutions"})
TRUST_FAILS: list[Case] = [
    _case(RELEASE, {"trust.partner_in_zone": "unknown"}, "TRI-01"),
    _case(RELEASE, {"trust.partner_qualified": False}, "TRI-03"),
    _case(RELEASE, {"trust.grade_current": False}, "TRI-04"),
    _case(RELEASE, {"trust.assessed": False}, "TRI-05"),
    _case(RELEASE, {"trust.listed": False}, "TRI-10"),
    _case(GRANT, {"trust.partner_a_years": 4}, "TRI-11"),
    _case(RELEASE, {"trust.within_filing": False}, "TRI-12"),
    _case(RELEASE, {"trust.report_overdue": "unknown"}, "TRI-13"),
    _case(RELEASE, {"trust.violation": "yes"}, "TRI-17"),
]
UNTRUSTED: Changes = {
    "trust.partner_in_zone": "no", "trust.partner_qualified": False, "trust.partner_a_years": -1,
    "trust.grade_current": False, "trust.assessed": False, "trust.listed": False, "trust.within_filing": False,
    "trust.report_overdue": "yes", "trust.violation": "yes",
}  # fmt: skip
TRUST_PASSES: list[Case] = [
    _case(RELEASE, {}),
    _case(RELEASE, {"trust.partner_a_years": 6}),
    _case(RELEASE, {**UNTRUSTED, "trust.claimed": "no"}),
]


def made(changes: Changes) -> Facts:
    """GOOD with the changes, paths as ``section.field``."""
    body = {section: dict(values) for section, values in GOOD.items()}
    for path, value in changes.items():
        section, field = path.split(".")
        body[section][field] = value
    return Facts.from_json(body)


def failed(action: Action, facts: Facts, at: datetime = AT, policy: Policy | None = None) -> frozenset[str]:
    """The rules a decision names."""
    decision = (policy or load_policy()).decide(action, facts, at)
    return frozenset(reason["rule"] for reason in decision.reasons)


def shown(cases: list[Case]) -> list[str]:
    """Names for the test report."""
    return [f"{action} {' '.join(sorted(rules))} {number}" for number, (action, _, rules) in enumerate(cases)]
