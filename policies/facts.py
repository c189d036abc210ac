"""Facts: everything a decision may look at, gathered before it and never looked up inside a rule.

One tree of frozen values with a JSON form. Truths that may be unknown are ``yes``, ``no`` or ``unknown``; numbers that
may be unknown are -1, which no rule accepts. Every default refuses. Nothing here names a participant.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFacts:
    """The person who asks for access (access applicant, not the report filer)."""

    foreign_individual: str = "unknown"
    place_of_access: str = "unknown"
    terms_accepted: bool = False
    is_applicant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientFacts:
    """The institution that would hold the data: class P1 to P7 by place, control and proof."""

    party_class: str = "unknown"
    place: str = "unknown"
    in_gba: bool = False
    kind: str = "unknown"
    restricted: str = "unknown"
    control_changed: str = "unknown"
    role: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """The owner of the information, who provides it; owner and holder are two."""

    owner_chinese: str = "unknown"
    in_gba: bool = False
    critical_infrastructure: str = "unknown"
    branch_listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFilerFacts:
    """Who filed with the authority: another role than who asks for access (rule catalogue, section 17)."""

    of_owner: str = "unknown"
    authorised: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """The dataset as confirmed by a named person."""

    confirmed: bool = False
    hgr: str = "unknown"
    secret: str = "unknown"  # noqa: S105  a question, not a password
    important: str = "unknown"
    region_flag: str = "unknown"
    pedigree_flag: str = "unknown"
    reviewer_flag: str = "unknown"
    provenance: bool = False
    responsible_person: bool = False
    public: str = "unknown"
    public_accession: bool = False
    participants: int = -1
    collection_permit: bool = False
    stored_in: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """The view asked for and its confirmed label."""

    kind: str = "unknown"
    tier: str = "unknown"
    label_confirmed: bool = False
    in_item: bool = False
    exome_or_genome: str = "unknown"
    grade: str = "unknown"
    level: int = -1
    identifiability: str = "unknown"
    personal: str = "unknown"
    sensitive: str = "unknown"
    flow: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeFacts:
    """The stated purpose. ``data_use`` is the answer of DUO matching: match, no, or ask; ``owed`` the DUO codes that
    oblige the recipient, with their parameter, joined by ``;``."""

    joint_research: str = "unknown"
    data_use: str = "ask"
    stated: bool = False
    fee: str = "unknown"
    owed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentFacts:
    """Sizes and digest of consent sets; never people."""

    total: int = -1
    permitted: int = -1
    permitted_digest: str = ""
    public_disclosure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilingFacts:
    """Which filings stand for this dataset, recipient and package at the moment asked about."""

    backup: bool = False
    prior_report: bool = False
    report_covers_package: bool = False
    security_review: bool = False
    cooperation: bool = False
    ethics: bool = False
    pia: bool = False
    dua: bool = False
    mechanism: str = "none"
    cooperation_covers: bool = False
    cooperation_changed: str = "unknown"
    ethics_both_places: bool = False
    backup_holder_is_filer: str = "unknown"
    security_review_outcome: str = "unknown"
    open_use_report: bool = False
    report_before_first_byte: bool = False
    storage_location: bool = False
    entrustment: bool = False
    joint_agreement: bool = False
    important_risk_assessment: bool = False
    authority_approval: bool = False
    pia_days_before_contract: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class CountFacts:
    """Distinct natural persons, cumulative, this release included, with opening balances."""

    exome_genome_people: int = -1
    sensitive_people_this_year: int = -1
    people_this_year: int = -1
    forecast_volume: int = -1
    filed_volume: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFacts:
    """Approvals to file that are bound to the digest of what would be released."""

    people: int = 0
    units: int = 0
    by_applicant: bool = True
    unbound: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFacts:
    """The committee's yes, its period, keys and quota."""

    state: str = "none"
    in_period: bool = False
    keys_bound: bool = False
    releases_left: int = 0
    same_place: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFacts:
    """What was measured on the very output. ``people_k`` and ``min_l`` are 0 where they do not apply.

    ``given_back``: alleles left out of one of the audience's views that another shows. ``signed_apart``: the risk was
    signed by somebody who is none of the approvers.
    """

    measured: bool = False
    required: bool = True
    clean: bool = False
    k: int = 0
    l: int = 0  # noqa: E741  the measure's own name
    linkable: bool = False
    signed: bool = False
    k_wanted: int = 6
    l_wanted: int = 2
    min_count: int = -1
    lr_power_permille: int = -1
    overall_permille: int = -1
    snapshot: bool = False
    substituted: bool = False
    given_back: int = -1
    signed_apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityFacts:
    """How the rows relied upon compare with the ledger, whether the source could be read, who activated the rules."""

    rows_that_differ: int = -1
    source_readable: bool = False
    policy_activated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyFacts:
    """Return to the owner, and transit of material from abroad: who holds for whom, on whose order."""

    recipient_is_owner: str = "unknown"
    order: bool = False
    contract: bool = False
    sealed: bool = False
    origin: str = "unknown"
    domestic_data_added: str = "unknown"
    returns_to_origin: str = "unknown"
    hgr_side_decided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """The physical medium of an export: where it goes, which one it is, who carries it."""

    address: bool = False
    medium: bool = False
    custody: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFacts:
    """The trusted-institution scheme (a proposal, its pack is off): the listed recipient and its mainland partner."""

    claimed: str = "unknown"
    partner_in_zone: str = "unknown"
    partner_qualified: bool = False
    partner_a_years: int = -1
    grade_current: bool = False
    assessed: bool = False
    listed: bool = False
    within_filing: bool = False
    report_overdue: str = "unknown"
    violation: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One request's facts. Defaults are the unknown that refuses."""

    person: PersonFacts = PersonFacts()
    recipient: RecipientFacts = RecipientFacts()
    report_filer: ReportFilerFacts = ReportFilerFacts()
    provider: ProviderFacts = ProviderFacts()
    dataset: DatasetFacts = DatasetFacts()
    view: ViewFacts = ViewFacts()
    purpose: PurposeFacts = PurposeFacts()
    consents: ConsentFacts = ConsentFacts()
    filings: FilingFacts = FilingFacts()
    counts: CountFacts = CountFacts()
    approvals: ApprovalFacts = ApprovalFacts()
    grant: GrantFacts = GrantFacts()
    risk: RiskFacts = RiskFacts()
    integrity: IntegrityFacts = IntegrityFacts()
    custody: CustodyFacts = CustodyFacts()
    media: MediaFacts = MediaFacts()
    trust: TrustFacts = TrustFacts()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, section by section."""
        return {
            name: {field: getattr(part, field) for field in fields}
            for name, fields in _FIELDS.items()
            for part in (getattr(self, name),)
        }

    def digest(self) -> str:
        """SHA-256, hex, over the sorted JSON form."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_json(cls, body: Mapping[str, Mapping[str, Any]]) -> Facts:
        """Read the JSON form. Raises ValueError naming an unknown section or field, or a value of the wrong type."""
        sections = get_type_hints(cls)
        unknown = body.keys() - sections.keys()
        if unknown:
            raise ValueError(f"unknown section: {', '.join(sorted(unknown))}")
        return cls(**{name: _section(sections[name], name, values) for name, values in body.items()})


_FIELDS = {
    name: tuple(field.name for field in dataclasses.fields(kind)) for name, kind in get_type_hints(Facts).items()
}
"""Fields by section; a plain walk is many times faster than ``dataclasses.asdict``, which copies."""

SECTIONS = tuple(_FIELDS)
"""The names of the sections, in the schema's order."""


def _section(kind: type, name: str, values: Mapping[str, Any]) -> Any:
    fields = get_type_hints(kind)
    for field, value in values.items():
        if field not in fields:
            raise ValueError(f"unknown field: {name}.{field}")
        if type(value) is not fields[field]:
            raise ValueError(f"{name}.{field} must be {fields[field].__name__}")
    return kind(**values)


def schema() -> dict[str, Any]:
    """JSON Schema of the facts."""
    words = {str: "string", bool: "boolean", int: "integer"}
    sections = {
        name: {
            "type": "object",
            "additionalProperties": False,
            "description": (kind.__doc__ or "").strip(),
            "properties": {field: {"type": words[of]} for field, of in get_type_hints(kind).items()},
        }
        for name, kind in get_type_hints(Facts).items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Facts",
        "type": "object",
        "additionalProperties": False,
        "properties": sections,
    }
