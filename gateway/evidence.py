"""Gather everything a decision may look at, in one transaction, and nothing inside a rule.

``gather`` turns rows into ``policies.facts.Facts``: the recipient's class, the consent set (vectorised, beside Cedar),
the filings that stand today for this recipient and package, distinct people counted, approvals bound to their digest,
the grant and the measured risk. Its ``scopes`` name every scope whose rows were relied upon: their epochs are
remembered and their rows held against the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from gateway.canonical import digest
from gateway.counters import known_people
from gateway.env import Env
from gateway.errors import NotFound
from gateway.events import EventDraft
from gateway.measured import risk_facts
from gateway.ports import Row, Tx
from gateway.record import draft
from gateway.times import legal_day, parse
from gateway.verifier.membership import set_commitment
from policies.consent import Permitted, Use, permitted
from policies.counting import controlled_from_outside, party_class
from policies.decide import Decision
from policies.facts import (
    ApprovalFacts,
    ConsentFacts,
    CountFacts,
    DatasetFacts,
    Facts,
    FilingFacts,
    GrantFacts,
    IntegrityFacts,
    PersonFacts,
    ProviderFacts,
    PurposeFacts,
    RecipientFacts,
    ViewFacts,
)
from policies.purposes import Purpose, matches
from policies.vocabulary import Action

APPROVE = "approve-to-file"
GBA = frozenset(
    {"Guangzhou", "Shenzhen", "Zhuhai", "Foshan", "Huizhou", "Dongguan", "Zhongshan", "Jiangmen", "Zhaoqing"}
    | {"Hong Kong", "Macau"}
)
MECHANISMS = ("cac-assessment", "gba-contract", "standard-contract", "certification")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Facts with what they were gathered from."""

    facts: Facts
    scopes: tuple[str, ...]
    custodian_id: str
    grant_id: str | None
    permitted: Permitted
    counters: Mapping[str, frozenset[str]]
    rows: Mapping[str, Any]


def gather(tx: Tx, env: Env, row: Row, *, measured: bool) -> Evidence:
    """Facts for one release row, stored or only imagined. ``measured`` demands the risk of the row's own core view."""
    rows = release_rows(tx, row)
    now = env.clock.now()
    day = legal_day(now)
    purpose = _purpose(rows["application"]["purpose"])
    allowed = _permitted(tx, rows, purpose, day)
    people = _linkage(tx, rows["dataset"]["id"], allowed.ids)
    counters = {"HGR-17": people, f"XB-sensitive-{day.year}": people}
    facts = Facts(
        person=_person(rows, row),
        recipient=_recipient(rows),
        provider=_provider(rows),
        dataset=_dataset(rows["dataset"]),
        view=_view(rows),
        purpose=_purpose_facts(rows, purpose),
        consents=ConsentFacts(total=allowed.total, permitted=len(allowed.ids), permitted_digest=allowed.digest),
        filings=_filings(rows, day, len(allowed.ids)),
        counts=_counts(tx, rows, counters, row, day),
        approvals=_approvals(tx, rows),
        grant=_grant(tx, env, rows, row),
        risk=risk_facts(tx, rows, row, required=measured),
    )
    return Evidence(
        facts=facts,
        scopes=_scopes(rows),
        custodian_id=rows["dataset"]["custodian_id"],
        grant_id=None if rows["grant"] is None else rows["grant"]["id"],
        permitted=allowed,
        counters=counters,
        rows=rows,
    )


def decide_release(env: Env, evidence: Evidence, *, tampered: Sequence[str], source_readable: bool = True) -> Decision:
    """The decision on this evidence, with what the ledger said of the rows."""
    integrity = IntegrityFacts(rows_that_differ=len(tampered), source_readable=source_readable)
    facts = replace(evidence.facts, integrity=integrity)
    decided: Decision = env.policy.decide(Action.RECEIVE_RELEASE, facts, env.clock.now())
    return decided


def approval_digest(tx: Tx, item: Row, application: Row) -> str:
    """What an approval is bound to: the purpose, the evidence, the dataset's content and the views asked for."""
    dataset = tx.get("dataset", item["dataset_id"])
    return digest(
        {
            "purpose": application["purpose"],
            "evidence": application["evidence"],
            "applicant": application["applicant_id"],
            "dataset": None if dataset is None else dataset["content_digest"],
            "views": item["views"],
        }
    )


def opening_event(tx: Tx, env: Env, evidence: Evidence, row: Row, decision: Decision) -> EventDraft:
    """The outbound-provision event (对外提供或开放使用) of a permitted release; its fields follow the catalogue,
    section 12."""
    copy = tx.get("copy", row["copy_id"])
    if copy is None:
        raise NotFound("copy")
    rows, salt = evidence.rows, env.random.token(16)
    public = {
        **_common(evidence, row, decision),
        "view_identity": row["core_view_id"],
        "copy": copy["id"],
        "grant": evidence.grant_id,
        "passed": list(decision.passed),
        "obligations": [owed["rule"] for owed in decision.obligations],
        "permitted_root": set_commitment(evidence.permitted.ids, salt).hex(),
        "provision_type": "provide",
        "channel": "network",
        "files": [entry["etag"] for entry in copy["files"]],
        "key_versions": {"custodian": copy["files"][0]["key_version"] if copy["files"] else 0},
        "witnessed": env.ledger.witnessed,
        "address_learnt": "demo" if env.demo else "declared",
    }
    personal = {
        "recipient": rows["application"]["institution_id"],
        "person": row["requester_id"],
        "party_class": evidence.facts.recipient.party_class,
        "purpose": rows["application"]["purpose"],
        "people": len(evidence.permitted.ids),
        "people_cumulative": evidence.facts.counts.exome_genome_people,
        "filings": [{"kind": f["kind"], "number": f["number"]} for f in rows["filings"]],
        "owner": rows["dataset"]["owner_id"],
        "responsible_person": rows["dataset"]["responsible_person"],
        "label": rows["view"]["label"],
        "consent_scope": evidence.permitted.digest,
        "volume": sum(entry["size"] for entry in copy["files"]),
        "place_of_access": row["place_of_access"],
        "permitted_salt": salt.hex(),
    }
    return draft(
        env, kind="open", type="release.open", custodian_id=row["custodian_id"], public=public, personal=personal
    )


def refusal_event(env: Env, evidence: Evidence, row: Row, decision: Decision) -> EventDraft:
    """A hold or deny, with every rule that failed."""
    public = {
        **_common(evidence, row, decision),
        "outcome": str(decision.effect),
        "rules": [reason["rule"] for reason in decision.reasons],
    }
    personal = {
        "recipient": evidence.rows["application"]["institution_id"],
        "person": row["requester_id"],
        "purpose": evidence.rows["application"]["purpose"],
    }
    return draft(
        env, kind="refuse", type="release.refuse", custodian_id=row["custodian_id"], public=public, personal=personal
    )


def _common(evidence: Evidence, row: Row, decision: Decision) -> dict[str, Any]:
    return {
        "release": row["id"],
        "dataset": row["dataset_id"],
        "view": row["view_id"],
        "policy_version": decision.policy_version,
        "facts_digest": evidence.facts.digest(),
        "tier": evidence.rows["view"]["tier"],
    }


def release_rows(tx: Tx, row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {
        "item": tx.get("item", row["item_id"]),
        "dataset": tx.get("dataset", row["dataset_id"]),
        "view": tx.get("view", row["view_id"]),
        "requester": tx.get("person", row["requester_id"]),
    }
    if None in found.values():
        raise NotFound("item, dataset, view or person")
    found["application"] = tx.get("application", found["item"]["application_id"])
    found["recipient"] = tx.get("institution", found["application"]["institution_id"])
    found["owner"] = tx.get("institution", found["dataset"]["owner_id"])
    package_id = found["item"]["package_id"]
    found["package"] = None if package_id is None else tx.get("package", package_id)
    found["filings"] = tx.find("filing", dataset_id=row["dataset_id"], state="recorded")
    found["approvals"] = tx.find("approval", item_id=row["item_id"], act=APPROVE, state="given")
    grants = tx.find("access_grant", item_id=row["item_id"])
    active = [grant for grant in grants if grant["state"] == "active"]
    found["grant"] = (active or grants)[-1] if grants else None
    found["filers"] = {
        person["id"]: person for person in tx.find("person", id=sorted({f["recorded_by"] for f in found["filings"]}))
    }
    return found


def _scopes(rows: Mapping[str, Any]) -> tuple[str, ...]:
    people = {rows["requester"]["id"], *(approval["person_id"] for approval in rows["approvals"]), *rows["filers"]}
    things = {rows["item"]["id"], rows["application"]["id"], rows["dataset"]["id"]}
    return tuple(sorted(people | things | {rows["recipient"]["id"], rows["owner"]["id"]}))


def _purpose(stated: Mapping[str, Any]) -> Purpose:
    return Purpose(
        term=str(stated.get("term", "")),
        diseases=tuple(stated.get("diseases", ())),
        commercial=bool(stated.get("commercial", True)),
        not_for_profit=bool(stated.get("not_for_profit", False)),
        methods_only=bool(stated.get("methods_only", False)),
    )


def _permitted(tx: Tx, rows: Mapping[str, Any], purpose: Purpose, day: date) -> Permitted:
    consents = tx.find("consent", dataset_id=rows["dataset"]["id"])
    use = Use(
        purpose=purpose,
        place=rows["recipient"]["place"] or "unknown",
        recipient_kind=rows["recipient"]["kind"] or "unknown",
        recipient_name=(rows["recipient"]["name"] or {}).get("en", ""),
        on=day,
    )
    return permitted([row["id"] for row in consents], [row["terms"] for row in consents], use)


def _linkage(tx: Tx, dataset_id: str, ids: Sequence[str]) -> frozenset[str]:
    chosen = set(ids)
    return frozenset(row["linkage"] for row in tx.find("participant", dataset_id=dataset_id) if row["id"] in chosen)


def _person(rows: Mapping[str, Any], row: Row) -> PersonFacts:
    return PersonFacts(
        foreign_individual=rows["requester"]["foreign_individual"] or "unknown",
        place_of_access=row["place_of_access"] or rows["recipient"]["place"] or "unknown",
        terms_accepted=bool(rows["application"]["evidence"].get("terms_accepted")),
        is_applicant=row["requester_id"] == rows["application"]["applicant_id"],
    )


def _recipient(rows: Mapping[str, Any]) -> RecipientFacts:
    recipient = rows["recipient"]
    control = recipient["control"] or {}
    active = recipient["state"] == "active"
    return RecipientFacts(
        party_class=str(party_class(recipient["place"], control)) if active else "unknown",
        place=recipient["place"] or "unknown",
        in_gba=recipient["city"] in GBA,
        kind=recipient["kind"] or "unknown",
        restricted=control.get("restricted", "unknown"),
    )


def _provider(rows: Mapping[str, Any]) -> ProviderFacts:
    owner = rows["owner"]
    foreign = controlled_from_outside(owner["control"])
    chinese = {"yes": "no", "no": "yes"}.get(foreign, "unknown") if owner["place"] == "mainland" else "unknown"
    filers = {person["institution_id"] for person in rows["filers"].values()}
    return ProviderFacts(
        owner_chinese=chinese,
        in_gba=owner["city"] in GBA,
        filer_of_owner="unknown" if not filers else "yes" if filers == {owner["id"]} else "no",
    )


def _dataset(dataset: Row) -> DatasetFacts:
    manifest = dataset["manifest"]
    population = manifest.get("population", {})
    source = manifest.get("provenance", {})
    return DatasetFacts(
        confirmed=dataset["state"] == "confirmed",
        hgr="yes" if manifest.get("hgr", {}).get("subtype") else "unknown",
        secret=manifest.get("secret", "unknown"),
        important=manifest.get("important", "unknown"),
        region_flag=population.get("region_flag", "unknown"),
        pedigree_flag=population.get("pedigree_flag", "unknown"),
        reviewer_flag=population.get("reviewer_flag", "unknown"),
        provenance=all(source.get(key) for key in ("laboratory", "platform", "pipeline", "reference_build")),
    )


def _view(rows: Mapping[str, Any]) -> ViewFacts:
    view = rows["view"]
    assay = rows["dataset"]["manifest"].get("hgr", {}).get("category")
    return ViewFacts(
        kind=view["kind"] or "unknown",
        tier=view["tier"] or "unknown",
        label_confirmed=view["state"] == "confirmed",
        in_item=view["id"] in rows["item"]["views"],
        exome_or_genome={"WGS": "yes", "WES": "yes", "array": "no", "panel": "no"}.get(assay, "unknown"),
    )


def _purpose_facts(rows: Mapping[str, Any], purpose: Purpose) -> PurposeFacts:
    manifest = rows["dataset"]["manifest"]
    return PurposeFacts(
        joint_research=rows["application"]["purpose"].get("joint_research", "unknown"),
        data_use=matches(manifest.get("data_use", ()), manifest.get("diseases", ()), purpose),
        stated=bool(purpose.term),
    )


def _filings(rows: Mapping[str, Any], day: date, people: int) -> FilingFacts:
    standing = [filing for filing in rows["filings"] if _stands(filing, rows, day)]
    kinds = {filing["kind"] for filing in standing}
    ethics = rows["application"]["evidence"].get("ethics", {})
    return FilingFacts(
        backup="backup" in kinds,
        prior_report="prior-report" in kinds,
        report_covers_package=any(_covers(f, rows, people) for f in standing if f["kind"] == "prior-report"),
        security_review="security-review" in kinds,
        cooperation="cooperation" in kinds,
        ethics="ethics" in kinds or (bool(ethics.get("number")) and _until(ethics.get("valid_to"), day)),
        pia="pia" in kinds,
        dua="dua" in kinds,
        mechanism=next((kind for kind in MECHANISMS if kind in kinds), "none"),
    )


def _stands(filing: Row, rows: Mapping[str, Any], day: date) -> bool:
    """For this recipient and item, accepted, begun and not ended on the legal day (FAQ-5.6, FAQ-5.8)."""
    terms = filing["terms"] or {}
    recipient = filing["recipient_id"] in (None, rows["recipient"]["id"])
    needs_recipient = filing["kind"] in {"prior-report", "dua", *MECHANISMS} and filing["recipient_id"] is None
    begun = _from(terms.get("accepted_on"), day) and _from(terms.get("effective_from", terms.get("accepted_on")), day)
    ended = terms.get("effective_to") is not None and not _until(terms["effective_to"], day)
    ours = filing["item_id"] in (None, rows["item"]["id"])
    return recipient and not needs_recipient and begun and not ended and ours


def _covers(filing: Row, rows: Mapping[str, Any], people: int) -> bool:
    """Release only a subset of what was filed: the frozen package, this view, no more people."""
    terms, package = filing["terms"] or {}, rows["package"]
    same = package is not None and terms.get("package_digest") == package["digest"]
    views = {part["view"] for part in package["parts"]} if package else set()
    return same and rows["view"]["id"] in views and people <= int(terms.get("people", 0))


def _from(text: str | None, day: date) -> bool:
    return text is not None and date.fromisoformat(text[:10]) <= day


def _until(text: str | None, day: date) -> bool:
    return text is not None and date.fromisoformat(text[:10]) >= day


def _counts(tx: Tx, rows: Mapping[str, Any], counters: Mapping[str, frozenset[str]], row: Row, day: date) -> CountFacts:
    custodian = rows["dataset"]["custodian_id"]
    opening = dict.fromkeys(counters, 0)
    for filing in tx.find("filing", custodian_id=custodian, kind="opening-balance", state="recorded"):
        terms = filing["terms"] or {}
        if terms.get("counter") in opening:
            opening[terms["counter"]] += int(terms.get("people", 0))
    totals = {
        name: len(known_people(tx, custodian, name, but=row["id"]) | people) + opening[name]
        for name, people in counters.items()
    }
    return CountFacts(
        exome_genome_people=totals["HGR-17"], sensitive_people_this_year=totals[f"XB-sensitive-{day.year}"]
    )


def _approvals(tx: Tx, rows: Mapping[str, Any]) -> ApprovalFacts:
    wanted = approval_digest(tx, rows["item"], rows["application"])
    bound = [approval for approval in rows["approvals"] if approval["digest"] == wanted]
    return ApprovalFacts(
        people=len({approval["person_id"] for approval in bound}),
        units=len({approval["unit"] for approval in bound}),
        by_applicant=any(approval["person_id"] == rows["application"]["applicant_id"] for approval in bound),
        unbound=len(rows["approvals"]) - len(bound),
    )


def _grant(tx: Tx, env: Env, rows: Mapping[str, Any], row: Row) -> GrantFacts:
    place = row["place_of_access"]
    same = "unknown" if place is None else "yes" if place == rows["recipient"]["place"] else "no"
    grant = rows["grant"]
    if grant is None:
        return GrantFacts(same_place=same)
    now = env.clock.now()
    keys = [tx.get("recipient_key", grant[name]) for name in ("encryption_key_id", "signing_key_id")]
    used = [use for use in tx.find("quota_use", grant_id=grant["id"]) if use["release_id"] != row["id"]]
    return GrantFacts(
        state=grant["state"],
        in_period=parse(grant["valid_from"]) <= now < parse(grant["valid_to"]),
        keys_bound=all(
            key is not None and key["state"] == "active" and key["person_id"] == grant["person_id"] for key in keys
        ),
        releases_left=int(grant["quotas"].get("releases", 0)) - len(used),
        same_place=same,
    )
