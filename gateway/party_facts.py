"""Facts of the parties: who asks, the institution that would hold the data, its owner, and who filed.

Each function takes the rows of one release (``gateway.evidence.release_rows``) and looks at nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.ports import Row, Tx
from policies.facts import PersonFacts, ProviderFacts, RecipientFacts, ReportFilerFacts
from policies.parties import controlled_from_outside, party_class, recipient_class, suspends
from policies.vocabulary import PartyClass

GBA = frozenset(
    {"Guangzhou", "Shenzhen", "Zhuhai", "Foshan", "Huizhou", "Dongguan", "Zhongshan", "Jiangmen", "Zhaoqing"}
    | {"Hong Kong", "Macau"}
)


def granted_class(tx: Tx, application: Row) -> str:
    """The recipient's class by its control now, as a grant remembers it (FAQ-3.9)."""
    recipient = tx.get("institution", application["institution_id"])
    return str(class_of(recipient))


def class_of(recipient: Row | None) -> PartyClass:
    """P1 to P7 by place and control; unknown unless two people confirmed the institution."""
    if recipient is None or recipient["state"] != "active":
        return PartyClass.UNKNOWN
    return party_class(recipient["place"], recipient["control"] or {})


def person_facts(rows: Mapping[str, Any], row: Row) -> PersonFacts:
    """Who asks, and from where."""
    return PersonFacts(
        foreign_individual=rows["requester"]["foreign_individual"] or "unknown",
        place_of_access=row["place_of_access"] or rows["recipient"]["place"] or "unknown",
        terms_accepted=bool(rows["application"]["evidence"].get("terms_accepted")),
        is_applicant=row["requester_id"] == rows["application"]["applicant_id"],
    )


def recipient_facts(rows: Mapping[str, Any]) -> RecipientFacts:
    """The institution that would hold the data."""
    recipient = rows["recipient"]
    control = recipient["control"] or {}
    institution = class_of(recipient)
    return RecipientFacts(
        party_class=str(recipient_class(institution, rows["view"]["tier"])),
        place=recipient["place"] or "unknown",
        in_gba=recipient["city"] in GBA,
        kind=recipient["kind"] or "unknown",
        restricted=control.get("restricted", "unknown"),
        control_changed=_control_changed(rows["grant"], control, institution),
        # Who applies acts for itself; an entrusted processor is ordered and never applies.
        role=rows["application"]["purpose"].get("role", "independent"),
    )


def _control_changed(grant: Row | None, control: Mapping[str, Any], now: PartyClass) -> str:
    """Whether the recipient became another class since the grant, or is reported to have (FAQ-3.9).

    The record of control is confirmed as a whole by two people; one that names no change says there was none.
    """
    if not control:
        return "unknown"
    turned = grant is not None and suspends(PartyClass(grant["granted_as"] or "unknown"), now)
    return "yes" if turned else str(control.get("changed", "no"))


def provider_facts(rows: Mapping[str, Any]) -> ProviderFacts:
    """The owner, who alone provides."""
    owner = rows["owner"]
    foreign = controlled_from_outside(owner["control"])
    chinese = {"yes": "no", "no": "yes"}.get(foreign, "unknown") if owner["place"] == "mainland" else "unknown"
    return ProviderFacts(
        owner_chinese=chinese,
        in_gba=owner["city"] in GBA,
        critical_infrastructure=(owner["control"] or {}).get("critical_infrastructure", "unknown"),
        branch_listed=bool((owner["control"] or {}).get("branch_listed")),
    )


def report_filer_facts(rows: Mapping[str, Any]) -> ReportFilerFacts:
    """Who recorded the filings: of the owner, and still active."""
    filers = rows["filers"].values()
    homes = {person["institution_id"] for person in filers}
    return ReportFilerFacts(
        of_owner="unknown" if not homes else "yes" if homes == {rows["owner"]["id"]} else "no",
        authorised="yes" if filers and all(person["state"] == "active" for person in filers) else "no",
    )
