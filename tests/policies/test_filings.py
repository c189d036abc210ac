"""Filings as checked data: what each kind must say, in the law's words, and when it stands."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.filings import covers, ends_on, keep_until, kinds, problems, standing

DIGEST = "ab" * 32
GOOD: dict[str, dict[str, Any]] = {
    "backup": {
        "accepted_on": "2026-01-05", "project_on": "2026-01-02", "backup_on": "2026-01-03", "linked_on": "2026-01-04",
        "repository": "GVM", "accessions": {"cohort.vcf.gz": "GVM000001"},
    },
    "prior-report": {
        "accepted_on": "2026-01-10", "backup": "BF2026-1", "purpose": "penetrance of arrhythmia",
        "information": {"name": "variants", "type": "WGS variants", "quantity": "190 people"}, "risk": "low; see PIA 4",
        "storage_location": "https://store.example.org", "package_digest": DIGEST, "people": 190,
    },
    "open-use": {
        "accepted_on": "2026-01-10", "backup": "BF2026-1", "purpose": "article", "information": {"name": "frequencies"},
        "risk": "none found", "database": "GVM",
    },
    "security-review": {"accepted_on": "2026-02-01", "outcome": "passed"},
    "cooperation": {"accepted_on": "2025-01-01", "effective_to": "2028-01-01", "changed": "no"},
    "cac-assessment": {"accepted_on": "2026-01-01", "purpose": "research", "people": 20000},
    "certification": {"accepted_on": "2026-01-01", "certifier": "CCRC"},
    "standard-contract": {"effective_from": "2026-01-05", "effective_to": "2029-01-04"},
    "gba-contract": {"effective_from": "2026-01-05", "effective_to": "2029-01-04"},
    "pia": {"accepted_on": "2026-01-01", "lawful": "yes: article 13(1)", "impact": "medium", "measures": "sealed"},
    "dua": {
        "effective_from": "2026-01-01", "effective_to": "2028-12-31", "sealed_by": ["Harbour Hospital", "University"],
        "clauses": ["no re-identification", "no linkage with outside data", "no onward sharing"],
    },
    "ethics": {"accepted_on": "2025-06-01", "effective_to": "2027-06-01", "issuer": "IRB", "place": "mainland"},
    "entrustment": {"effective_from": "2026-01-01", "effective_to": "2026-12-31", "order": "ORD-7"},
    "joint-agreement": {"effective_from": "2026-01-01", "effective_to": "2026-12-31"},
    "important-data-assessment": {
        "accepted_on": "2026-01-01", "legality": "a", "leakage": "b", "recipient": "c", "contract": "d", "measures": "e",
    },
    "authority-approval": {"accepted_on": "2026-01-01", "authority": "Ministry of Justice"},
    "transit-decision": {"accepted_on": "2026-01-01", "outcome": "may-return", "decided_by": "head of the desk",
                         "reason": "nothing domestic was added"},
    "media": {"accepted_on": "2026-01-01", "address": "1 Harbour Road", "medium": "disk 7", "custody": ["courier A"]},
    "opening-balance": {"accepted_on": "2026-01-01", "counter": "HGR-17", "people": 120},
    "external-release": {"accepted_on": "2026-01-01", "counter": "HGR-17", "people": 12, "channel": "post"},
}  # fmt: skip
NEEDED = [(kind, term) for kind, row in kinds().items() for term in row["needs"]]


def wrong(kind: str, **changed: Any) -> set[str]:
    terms = {name: value for name, value in {**GOOD[kind], **changed}.items() if value is not ...}
    return {problem.term for problem in problems(kind, "N-1", terms, recipient="r")}


def test_every_kind_has_a_good_filing_here_and_a_source() -> None:
    assert GOOD.keys() == kinds().keys()
    for kind, row in kinds().items():
        assert row["source"], kind
        assert wrong(kind) == set(), kind


@pytest.mark.parametrize(("kind", "term"), NEEDED)
def test_a_filing_that_lacks_what_the_law_asks_for_is_not_recorded(kind: str, term: str) -> None:
    assert wrong(kind, **{term: ...}) == {term}
    for nothing in ("", "  ", "n/a", "待定", None, [], {}, -1, True):
        assert term in wrong(kind, **{term: nothing}), nothing


def test_every_problem_is_told_at_once_with_its_law() -> None:
    found = problems("prior-report", "-", {"people": "many", "surprise": 1})
    said = {problem.term for problem in found}
    assert said == {"number", "recipient", "people", "surprise", *kinds()["prior-report"]["needs"]}
    assert all("人类遗传资源管理条例 28" in problem.source for problem in found)


@pytest.mark.parametrize("number", ["", " ", "N/A", "待定", "TBD", "-", "???"])
def test_a_number_that_stands_for_none_is_no_number(number: str) -> None:
    assert [p.term for p in problems("pia", number, GOOD["pia"])] == ["number"]


def test_numbers_are_opaque_unless_the_house_sets_a_form() -> None:
    assert problems("pia", "随便 42/β", GOOD["pia"]) == ()
    assert problems("pia", "BF2026000001", GOOD["pia"], pattern=r"BF\d{10}") == ()
    assert [p.term for p in problems("pia", "BF2026000001x", GOOD["pia"], pattern=r"BF\d{10}")] == ["number"]


def test_a_backup_has_three_steps_in_their_order() -> None:
    assert wrong("backup", backup_on="2026-01-01") == {"backup_on"}
    assert wrong("backup", linked_on="2026-01-02") == {"linked_on"}
    assert wrong("backup", accepted_on="2026-01-03") == {"accepted_on"}


def test_an_agreement_that_lacks_a_ban_or_a_seal_is_not_recorded() -> None:
    for clause in GOOD["dua"]["clauses"]:
        assert wrong("dua", clauses=[c for c in GOOD["dua"]["clauses"] if c != clause]) == {"clauses"}
    assert wrong("dua", sealed_by=["Harbour Hospital"]) == {"sealed_by"}
    assert wrong("dua", sealed_by=["Harbour Hospital", "Harbour Hospital"]) == {"sealed_by"}


def test_a_review_says_passed_refused_or_pending_and_nothing_may_end_before_it_begins() -> None:
    assert wrong("security-review", outcome="fine") == {"outcome"}
    assert wrong("gba-contract", effective_to="2026-01-04") == {"effective_to"}
    assert wrong("gba-contract", effective_to="2026-01-05") == set()
    assert [problem.term for problem in problems("made-up", "1", {})] == ["kind"]


def stands(kind: str, day: str, *, named: str | None = "r", **changed: Any) -> str:
    terms = {name: value for name, value in {**GOOD[kind], **changed}.items() if value is not ...}
    found = standing(kind, terms, date.fromisoformat(day), named=named, recipient="r")
    assert found.stands == (found.why == "stands")
    return found.why


def test_a_filing_stands_from_its_first_to_its_last_day_and_no_longer() -> None:
    assert stands("gba-contract", "2026-01-04") == "not-yet"
    assert stands("gba-contract", "2026-01-05") == "stands"
    assert stands("gba-contract", "2029-01-04") == "stands"
    assert stands("gba-contract", "2029-01-05") == "ended"


def test_a_filing_without_a_readable_date_stands_for_nothing() -> None:
    assert stands("prior-report", "2026-06-01", accepted_on="soon") == "no-date"
    assert stands("prior-report", "2026-06-01", accepted_on=...) == "no-date"
    assert stands("prior-report", "2026-06-01", effective_to="later") == "no-date"
    assert (
        standing("made-up", {"accepted_on": "2026-01-01"}, date(2026, 6, 1), named="r", recipient="r").why == "no-date"
    )


def test_an_assessment_ends_after_three_years_whatever_it_says_of_itself() -> None:
    assert stands("cac-assessment", "2029-01-01") == "stands"
    assert stands("cac-assessment", "2029-01-02") == "ended"
    assert stands("cac-assessment", "2029-01-02", effective_to="2040-01-01") == "ended"
    assert stands("cac-assessment", "2027-01-02", effective_to="2027-01-01") == "ended"
    assert ends_on("certification", {"accepted_on": "2024-02-29"}) == date(2027, 2, 28)


def test_an_ethics_approval_ends_when_its_continuing_review_is_due() -> None:
    assert stands("ethics", "2026-06-02", named=None, review_due="2026-06-01") == "ended"
    assert stands("ethics", "2026-06-01", named=None, review_due="2026-06-01") == "stands"


def test_a_report_serves_the_one_recipient_it_names_and_one_backup_serves_all() -> None:
    for kind, row in kinds().items():
        wanted = "other-recipient" if row.get("per_recipient") else "stands"
        assert stands(kind, "2026-06-01", named=None) == wanted, kind
        assert stands(kind, "2026-06-01", named="another") == "other-recipient", kind
        assert stands(kind, "2026-06-01", named="r") == "stands", kind


def test_a_report_covers_the_frozen_package_its_views_and_no_more_people() -> None:
    terms, views = GOOD["prior-report"], frozenset({"v", "w"})
    assert covers(terms, digest=DIGEST, views=views, view="v", people=190)
    assert covers(terms, digest=DIGEST, views=views, view="v", people=150), "a withdrawal shrinks it without refiling"
    assert not covers(terms, digest=DIGEST, views=views, view="v", people=191)
    assert not covers(terms, digest="cd" * 32, views=views, view="v", people=1)
    assert not covers(terms, digest=None, views=views, view="v", people=1)
    assert not covers(terms, digest=DIGEST, views=views, view="x", people=1)
    assert not covers({**terms, "people": True}, digest=DIGEST, views=views, view="v", people=1)
    assert not covers(terms, digest=DIGEST, views=views, view="v", people=-1)


def test_an_impact_assessment_is_kept_for_three_years() -> None:
    assert keep_until("pia", GOOD["pia"]) == date(2029, 1, 1)
    assert keep_until("dua", GOOD["dua"]) is None


@given(st.sampled_from(sorted(GOOD)), st.dates(date(2020, 1, 1), date(2040, 1, 1)), st.data())
def test_taking_anything_away_never_makes_a_filing_stand(kind: str, day: date, data: st.DataObject) -> None:
    terms = GOOD[kind]
    gone = data.draw(st.sampled_from(sorted(terms)))
    less = {name: value for name, value in terms.items() if name != gone}
    before = standing(kind, terms, day, named="r", recipient="r").stands
    after = standing(kind, less, day, named="r", recipient="r").stands
    assert not after or before or gone in {"effective_to", "review_due"}
    assert problems(kind, "N-1", less, recipient="r"), "and what stands open-ended could not have been recorded so"
