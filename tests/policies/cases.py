"""Facts that pass and one small change each that fails: what every test of the rules reads.

Each rule has a file in ``cases/`` whose name is the sentence it proves: what passes (``allow``) and what does not
(``deny``, with the exact rules it ``fails``), as changes from GOOD, on top of the named stories of ``with``. All of it is
written by hand from the rule catalogue; nothing here is computed from the policies.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
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
    "risk": {"measured": True, "required": True, "clean": True, "linkable": True, "given_back": 0},
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
UNTRUSTED: Changes = {
    "trust.partner_in_zone": "no", "trust.partner_qualified": False, "trust.partner_a_years": -1,
    "trust.grade_current": False, "trust.assessed": False, "trust.listed": False, "trust.within_filing": False,
    "trust.report_overdue": "yes", "trust.violation": "yes",
}  # fmt: skip
STORIES: dict[str, Changes] = {
    "frequencies": FREQUENCIES, "open-table": OPEN_TABLE, "table": TABLE, "reads": READS, "counts": COUNTS,
    "snapshot": SNAPSHOT, "joint-research": JOINT, "unfiled": UNFILED, "no-contract": NO_CONTRACT, "flagged": FLAGGED,
    "outbound-questions": OUTBOUND_QUESTIONS, "inside": INSIDE, "already-public": ALLOWED_PUBLIC, "untrusted": UNTRUSTED,
}  # fmt: skip
"""What the files of ``cases/`` may build on, by name."""

RELEASE, GRANT, APPROVE = Action.RECEIVE_RELEASE, Action.GRANT, Action.APPROVE_TO_FILE
MEDIA, PUBLISH, RETURN, TRANSIT = Action.EXPORT_MEDIA, Action.PUBLISH, Action.RETURN_TO_OWNER, Action.TRANSIT


TRUSTED = frozenset({"trusted-institutions"})


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """One file of cases: the rule it is about (none: an exemption told as a story), and what passes and fails."""

    name: str
    rule: str
    pack: str
    allow: list[Case]
    deny: list[Case]


def _case(table: dict[str, Any]) -> Case:
    """One table of a file; a key that is neither a word of the form nor a section of the facts is refused by ``made``."""
    action, stories, fails = Action(table.pop("action")), table.pop("with", []), table.pop("fails", [])
    changes = {path: value for story in stories for path, value in STORIES[story].items()}
    changes |= {f"{section}.{field}": value for section, fields in table.items() for field, value in fields.items()}
    return action, changes, frozenset(fails)


def _sentence(path: Path) -> Sentence:
    body = tomllib.loads(path.read_text())
    allow, deny = ([_case(table) for table in body.pop(kind, [])] for kind in ("allow", "deny"))
    return Sentence(
        name=path.stem, rule=body.pop("rule", ""), pack=body.pop("pack", ""), allow=allow, deny=deny, **body
    )


SENTENCES = [_sentence(path) for path in sorted((Path(__file__).parent / "cases").glob("*.toml"))]


def _each(kind: str, *, trusted: bool) -> list[Case]:
    """The cases of all files, each once, in the order of the files' names."""
    found: list[Case] = []
    for sentence in SENTENCES:
        if bool(sentence.pack) == trusted:
            found += [case for case in getattr(sentence, kind) if case not in found]
    return found


PASSES, FAILS = _each("allow", trusted=False), _each("deny", trusted=False)
TRUST_PASSES, TRUST_FAILS = _each("allow", trusted=True), _each("deny", trusted=True)


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
