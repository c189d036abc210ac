"""What the filings on record come to for one recipient, item and legal day: the section of the facts that rules read.

A filing that does not stand on that day, serves another recipient or another item counts for nothing
(FAQ-5.6, FAQ-5.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from gateway.filings import holder_of
from gateway.ports import Row
from policies.facts import FilingFacts
from policies.filings import covers, day_of, standing

MECHANISMS = ("cac-assessment", "gba-contract", "standard-contract", "certification")
"""Ways out of the mainland for personal information (XB-02), the one that reaches furthest first."""


def filing_facts(rows: Mapping[str, Any], day: date, people: int) -> FilingFacts:
    """``rows``: filings, recipient, item, package, view and application of one release; ``people`` it would hold."""
    on = standing_filings(rows, day)
    reports = on("prior-report")
    every = [*reports, *on("open-use")]
    mechanism = next((kind for kind in MECHANISMS if on(kind)), "none")
    return FilingFacts(
        backup=bool(on("backup")),
        backup_holder_is_filer=_same_holder(on("backup"), every),
        prior_report=bool(reports),
        report_covers_package=any(_covers(report, rows, people) for report in every),
        # A report that is accepted today stands before any byte of today's release: bytes follow the decision.
        report_before_first_byte=bool(on("open-use")),
        open_use_report=bool(on("open-use")),
        storage_location=any(_terms(f).get("storage_location") or _terms(f).get("database") for f in every),
        security_review=_outcome(on("security-review")) == "passed",
        security_review_outcome=_outcome(on("security-review")),
        ethics=bool(on("ethics")) or _stated_ethics(rows, day),
        ethics_both_places=_both_places(on("ethics"), rows),
        pia=bool(on("pia")),
        pia_days_before_contract=_days_before(on("pia"), on(mechanism)),
        dua=bool(on("dua")),
        entrustment=bool(on("entrustment")),
        joint_agreement=bool(on("joint-agreement")),
        important_risk_assessment=bool(on("important-data-assessment")),
        authority_approval=bool(on("authority-approval")),
        mechanism=mechanism,
        **_cooperation(on("cooperation"), rows),
    )


class Standing(dict[str, list[Row]]):
    """Filings that stand, by kind."""

    def __call__(self, kind: str) -> list[Row]:
        return self.get(kind, [])


def standing_filings(rows: Mapping[str, Any], day: date) -> Standing:
    """Those of the rows' filings that stand on the day, for this recipient and this item."""
    found = Standing()
    recipient = rows["recipient"]["id"]
    item = None if rows["item"] is None else rows["item"]["id"]
    for filing in rows["filings"]:
        held = standing(filing["kind"], _terms(filing), day, named=filing["recipient_id"], recipient=recipient)
        if held.stands and filing["item_id"] in (None, item):
            found.setdefault(filing["kind"], []).append(filing)
    return found


def _terms(filing: Row) -> Mapping[str, Any]:
    return filing["terms"] or {}


def _covers(filing: Row, rows: Mapping[str, Any], people: int) -> bool:
    package = rows["package"]
    return package is not None and covers(
        _terms(filing),
        digest=package["digest"],
        views=frozenset(part["view"] for part in package["parts"]),
        view=rows["view"]["id"],
        people=people,
    )


def _outcome(reviews: Iterable[Row]) -> str:
    """refused, where any review refused; passed, where all passed; else unknown."""
    found = {_terms(review).get("outcome", "unknown") for review in reviews}
    return "refused" if "refused" in found else "passed" if found == {"passed"} else "unknown"


def _stated_ethics(rows: Mapping[str, Any], day: date) -> bool:
    """The opinion that the applicant stated, which the approving stewards saw: a number, and a last day to come."""
    stated = rows["application"]["evidence"].get("ethics", {})
    until = day_of(stated.get("valid_to"))
    return bool(stated.get("number")) and until is not None and until >= day


def _cooperation(found: Sequence[Row], rows: Mapping[str, Any]) -> dict[str, Any]:
    """The approval, whether it names this partner, these outputs and the agreement (HGR-12), and whether it changed."""
    named = [f for f in found if f["recipient_id"] == rows["recipient"]["id"]]
    changed = {_terms(f).get("changed", "unknown") for f in named}
    return {
        "cooperation": bool(found),
        "cooperation_covers": any(
            _terms(f).get("own_outputs") == "yes" and _terms(f).get("agreement") == "yes" for f in named
        ),
        "cooperation_changed": "yes" if "yes" in changed else "no" if changed == {"no"} else "unknown",
    }


def _both_places(found: Sequence[Row], rows: Mapping[str, Any]) -> bool:
    """An opinion of the mainland and one of the recipient's place; one may be accepted for another place too."""
    places = {place for f in found for place in (_terms(f).get("place"), *_terms(f).get("accepted_for", ()))}
    return {"mainland", rows["recipient"]["place"]} <= places


def _same_holder(backups: Sequence[Row], reports: Sequence[Row]) -> str:
    """Whether who filed the report holds the backup it cites; a re-assignment (委托调整) names the new holder."""
    if not backups or not reports:
        return "unknown"
    holders = {backup["number"]: holder_of(backup) for backup in backups}
    held = {holders.get(str(_terms(report).get("backup"))) == report["recorded_by"] for report in reports}
    return "yes" if held == {True} else "no"


def _days_before(assessments: Sequence[Row], contracts: Sequence[Row]) -> int:
    """Days from the last impact assessment to the contract's effect; -1 where one is missing or came after (GBA-04)."""
    effects = [day_of(_terms(f).get("effective_from", _terms(f).get("accepted_on"))) for f in contracts]
    signed = min((day for day in effects if day), default=None)
    if signed is None:
        return -1
    done = [day_of(_terms(f).get("accepted_on")) for f in assessments]
    return min(((signed - day).days for day in done if day is not None and day <= signed), default=-1)
