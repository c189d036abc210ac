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
from gateway.consent_rows import consents_of
from gateway.counters import known_people
from gateway.custody_facts import custody_facts, media_facts
from gateway.env import Env
from gateway.errors import NotFound
from gateway.filing_facts import filing_facts
from gateway.flows import flow_counts
from gateway.lawbook import SCOPE, in_force
from gateway.measured import risk_facts
from gateway.party_facts import person_facts, provider_facts, recipient_facts, report_filer_facts
from gateway.ports import Row, Tx
from gateway.thing_facts import READ, dataset_facts, purpose_facts, stated, view_facts
from gateway.times import legal_day, parse
from gateway.vault import open_vault
from policies.consent import Permitted, Use, permitted_of
from policies.counting import HGR, counters_of, sensitive_counter, total
from policies.decide import Decision, Policy
from policies.facts import ApprovalFacts, ConsentFacts, CountFacts, Facts, GrantFacts, IntegrityFacts
from policies.parties import gives_hgr_abroad, leaves_mainland, person_class
from policies.purposes import Purpose
from policies.vocabulary import Action, PartyClass

APPROVE = "approve-to-file"
APART = frozenset({"reads", "fastq"})
"""Kinds whose files hold a few people each: a view of them is about those in its files, not about the whole dataset."""
OUTSIDE = frozenset({"opening-balance", "external-release"})
"""Filings that tell of people provided before this gateway stood, or beside it (rule catalogue, section 17)."""


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
    policy: Policy
    policy_activated: bool
    action: Action


def gather(tx: Tx, env: Env, row: Row, *, measured: bool) -> Evidence:
    """Facts for one release row, stored or only imagined. ``measured`` demands the risk of the row's own core view."""
    rows, law = release_rows(tx, row), in_force(tx, env)
    now = env.clock.now()
    day = legal_day(now)
    purpose = stated(rows)
    allowed = _permitted(tx, env, rows, _use(rows, purpose, day, row["place_of_access"]))
    people = _linkage(tx, rows["dataset"]["id"], allowed.ids)
    counters = _counters(rows, row, people, day)
    risk = risk_facts(tx, rows, row, required=measured)
    facts = Facts(
        person=person_facts(rows, row),
        recipient=recipient_facts(rows),
        report_filer=report_filer_facts(rows),
        provider=provider_facts(rows),
        dataset=dataset_facts(rows["dataset"], rows["holder"]),
        view=view_facts(rows, risk),
        purpose=purpose_facts(rows, purpose, approval_digest(tx, rows["item"], rows["application"])),
        consents=ConsentFacts(total=allowed.total, permitted=len(allowed.ids), permitted_digest=allowed.digest),
        filings=filing_facts(rows, day, len(allowed.ids)),
        counts=_counts(tx, rows, counters, row, day),
        approvals=_approvals(tx, rows),
        grant=_grant(tx, env, rows, row),
        risk=risk,
        media=media_facts(rows, day),
    )
    facts = replace(facts, custody=custody_facts(rows, facts.grant.keys_bound))
    return Evidence(
        facts=facts,
        scopes=_scopes(rows),
        custodian_id=rows["dataset"]["custodian_id"],
        grant_id=None if rows["grant"] is None else rows["grant"]["id"],
        permitted=allowed,
        counters=counters,
        rows=rows,
        policy=law.policy,
        policy_activated=law.activated,
        action=Action(row["action"] or Action.RECEIVE_RELEASE),
    )


def release_facts(evidence: Evidence, *, tampered: Sequence[str], source_readable: bool = True) -> Facts:
    """The whole facts: what was gathered, with what the ledger said of the rows."""
    integrity = IntegrityFacts(
        rows_that_differ=len(tampered),
        source_readable=source_readable,
        policy_activated=evidence.policy_activated,
    )
    return replace(evidence.facts, integrity=integrity)


def decide_release(env: Env, evidence: Evidence, *, tampered: Sequence[str], source_readable: bool = True) -> Decision:
    """The decision on this evidence, by the rules that judge here."""
    facts = release_facts(evidence, tampered=tampered, source_readable=source_readable)
    return evidence.policy.decide(evidence.action, facts, env.clock.now())


def rules_against(env: Env, evidence: Evidence, action: Action, *, tampered: Sequence[str]) -> Decision:
    """What the law says of another act than the release, on the same evidence."""
    return evidence.policy.decide(action, release_facts(evidence, tampered=tampered), env.clock.now())


def approval_digest(tx: Tx, item: Row, application: Row) -> str:
    """What an approval is bound to: purpose, evidence, the dataset's content and permission, the views asked for."""
    dataset = tx.get("dataset", item["dataset_id"])
    manifest = {} if dataset is None else dataset["manifest"]
    return digest(
        {
            "purpose": application["purpose"],
            "evidence": application["evidence"],
            "applicant": application["applicant_id"],
            "dataset": None if dataset is None else dataset["content_digest"],
            "data_use": [manifest.get("data_use"), manifest.get("diseases")],
            "views": item["views"],
        }
    )


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
    found["holder"] = tx.get("institution", found["dataset"]["holder_id"])
    package_id = found["item"]["package_id"]
    found["package"] = None if package_id is None else tx.get("package", package_id)
    found["filings"] = tx.find("filing", dataset_id=row["dataset_id"], state="recorded")
    found["approvals"] = tx.find("approval", item_id=row["item_id"], act=APPROVE, state="given")
    grants = tx.find("access_grant", item_id=row["item_id"])
    active = [grant for grant in grants if grant["state"] == "active"]
    found["readings"] = tx.find("approval", item_id=row["item_id"], act=READ, state="given")
    found["grant"] = (active or grants)[-1] if grants else None
    found["filers"] = {
        person["id"]: person for person in tx.find("person", id=sorted({f["recorded_by"] for f in found["filings"]}))
    }
    return found


def _scopes(rows: Mapping[str, Any]) -> tuple[str, ...]:
    given = [*rows["approvals"], *rows["readings"]]
    people = {rows["requester"]["id"], *(approval["person_id"] for approval in given), *rows["filers"]}
    things = {rows["item"]["id"], rows["application"]["id"], rows["dataset"]["id"]}
    return tuple(
        sorted({SCOPE} | people | things | {rows["recipient"]["id"], rows["owner"]["id"], rows["dataset"]["holder_id"]})
    )


def _use(rows: Mapping[str, Any], purpose: Purpose, day: date, accessed_from: str | None) -> Use:
    return Use(
        purpose=purpose,
        place=rows["recipient"]["place"] or "unknown",
        recipient_kind=rows["recipient"]["kind"] or "unknown",
        recipient_name=(rows["recipient"]["name"] or {}).get("en", ""),
        on=day,
        accessed_from=accessed_from or "",
    )


def _permitted(tx: Tx, env: Env, rows: Mapping[str, Any], use: Use) -> Permitted:
    table = consents_of(tx, rows["dataset"]["id"]).table
    if rows["view"]["kind"] in APART:
        people = open_vault(tx, env, rows["dataset"]["id"])["people"]
        objects = set(rows["view"]["objects"])
        table = table.among({person for person, entry in people.items() if entry["samples"].keys() & objects})
    return permitted_of(table, use)


def _linkage(tx: Tx, dataset_id: str, ids: Sequence[str]) -> frozenset[str]:
    chosen = set(ids)
    return frozenset(linkage for person, linkage in consents_of(tx, dataset_id).linkage.items() if person in chosen)


def _counters(rows: Mapping[str, Any], row: Row, people: frozenset[str], day: date) -> dict[str, frozenset[str]]:
    """The people this release adds to each counter: none to those of giving abroad when nothing goes abroad."""
    foreign = rows["requester"]["foreign_individual"] or "unknown"
    place = row["place_of_access"] or rows["recipient"]["place"] or "unknown"
    institution = PartyClass(recipient_facts(rows).party_class)
    person = person_class(foreign, place, rows["view"]["tier"])
    return counters_of(
        people,
        assay=rows["dataset"]["manifest"].get("hgr", {}).get("category", "unknown"),
        hgr_abroad=gives_hgr_abroad(institution, person, foreign),
        left_mainland=leaves_mainland(institution, person),
        year=day.year,
    )


def _counts(tx: Tx, rows: Mapping[str, Any], counters: Mapping[str, frozenset[str]], row: Row, day: date) -> CountFacts:
    custodian = rows["dataset"]["custodian_id"]
    opening: dict[str, list[int]] = {name: [] for name in counters}
    outside = [f for f in tx.find("filing", custodian_id=custodian, state="recorded") if f["kind"] in OUTSIDE]
    for filing in outside:
        terms = filing["terms"] or {}
        if terms.get("counter") in opening:
            opening[terms["counter"]].append(int(terms.get("people", 0)))
    totals = {
        name: total(known_people(tx, custodian, name, but=row["id"]), people, opening[name])
        for name, people in counters.items()
    }
    return CountFacts(
        exome_genome_people=totals[HGR],
        sensitive_people_this_year=totals[sensitive_counter(day.year)],
        # Everybody in sequencing data is a person with sensitive information: the two counts are one.
        people_this_year=totals[sensitive_counter(day.year)],
        **flow_counts(tx, rows, row, day),
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
