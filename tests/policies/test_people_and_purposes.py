"""Consent sets, DUO matching, party classes, labels and gates."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.consent import Use, permitted
from policies.counting import controlled_from_outside, party_class
from policies.gates import table_limits
from policies.labels import propose
from policies.purposes import Purpose

ON = date(2026, 11, 21)
PURPOSE = Purpose(term="DS", diseases=("I45",))
USE = Use(purpose=PURPOSE, place="hong_kong", recipient_kind="academic", recipient_name="Uni", on=ON)
ROW = {
    "birth_date": "1980-01-01", "age_band": "", "signed_on": "2025-01-01", "purposes": "DS", "diseases": "I",
    "places": "mainland;hong_kong", "recipient_kinds": "academic", "named_recipients": "Other;Uni", "sensitive": "yes",
    "provision": "yes", "cross_border": "yes", "guardian": "no", "reconsent_due": "", "withdrawn_on": "",
}  # fmt: skip


def allowed(**changes: str) -> bool:
    return permitted(["p"], [{**ROW, **changes}], USE).ids == ("p",)


def test_a_consent_that_covers_everything_permits() -> None:
    assert allowed()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("withdrawn_on", "2026-11-21"), ("withdrawn_on", "2026-11-20"), ("withdrawn_on", "soon"),
        ("signed_on", "2026-11-22"), ("signed_on", ""), ("purposes", "POA"), ("purposes", ""), ("purposes", "XYZ"),
        ("diseases", "C"), ("places", "mainland"), ("places", ""), ("recipient_kinds", "hospital"),
        ("named_recipients", "Other"), ("named_recipients", ""), ("sensitive", "no"), ("sensitive", ""),
        ("provision", "no"), ("cross_border", "no"), ("cross_border", ""), ("birth_date", "2010-01-01"),
        ("birth_date", ""), ("reconsent_due", "2026-11-21"),
    ],
)  # fmt: skip
def test_each_single_restriction_takes_the_person_out(column: str, value: str) -> None:
    assert not allowed(**{column: value})


def test_a_guardian_signs_for_a_minor_and_an_age_band_will_do() -> None:
    assert allowed(birth_date="2010-01-01", guardian="yes")
    assert allowed(birth_date="", age_band="40-49")
    assert not allowed(birth_date="", age_band="10-17")


def test_a_withdrawal_of_tomorrow_counts_tomorrow() -> None:
    assert allowed(withdrawn_on="2026-11-22")


@given(
    st.lists(st.sampled_from(sorted(ROW)), max_size=6),
    st.lists(st.sampled_from(["", "no", "x", "2020-01-01"]), min_size=6),
)
@settings(max_examples=80, deadline=None)
def test_a_restriction_never_enlarges_the_set(columns: list[str], values: list[str]) -> None:
    rows: list[dict[str, Any]] = [dict(ROW) for _ in range(4)]
    ids = ["a", "b", "c", "d"]
    before = set(permitted(ids, rows, USE).ids)
    for n, (column, value) in enumerate(zip(columns, values, strict=False)):
        if column not in {"reconsent_due", "withdrawn_on", "age_band", "guardian"}:
            rows[n % 4][column] = value
    assert set(permitted(ids, rows, USE).ids) <= before


def test_the_digest_does_not_depend_on_the_order_of_rows() -> None:
    one = permitted(["a", "b"], [ROW, ROW], USE)
    assert one.digest == permitted(["b", "a"], [ROW, ROW], USE).digest
    assert one.digest != permitted(["a"], [ROW], USE).digest


def share(part: float, place: str) -> dict[str, Any]:
    return {"share": part, "place": place}


@pytest.mark.parametrize(
    ("control", "answer"),
    [
        ({"owners": [share(1.0, "mainland")]}, "no"),
        ({"owners": [share(0.5, "overseas"), share(0.5, "mainland")]}, "yes"),
        ({"owners": [share(0.49, "overseas"), share(0.51, "mainland")]}, "no"),
        (
            {
                "owners": [
                    {"share": 0.6, "owners": [share(0.9, "overseas"), share(0.1, "mainland")]},
                    share(0.4, "mainland"),
                ]
            },
            "yes",
        ),
        ({"owners": [share(1.0, "mainland")], "decisive_influence": "foreign"}, "yes"),
        ({"owners": [share(0.6, "mainland")]}, "unknown"),
        ({"owners": [{"share": 1.0}]}, "unknown"),
        ({}, "unknown"),
        (None, "unknown"),
    ],
)
def test_control_through_the_ownership_graph(control: dict[str, Any] | None, answer: str) -> None:
    assert controlled_from_outside(control) == answer


def test_party_classes() -> None:
    chinese, foreign = {"owners": [share(1.0, "mainland")]}, {"owners": [share(1.0, "overseas")]}
    assert party_class("mainland", chinese) == "P1"
    assert party_class("mainland", foreign) == "P2"
    assert party_class("hong_kong", chinese) == "P4", "foreign until the proof is signed off"
    assert party_class("hong_kong", {**chinese, "proof_signed_off": True}) == "P3"
    assert party_class("macau", {**foreign, "proof_signed_off": True}) == "P4"
    assert party_class("overseas", chinese) == "P5"
    assert party_class("mainland", None) == party_class(None, chinese) == "unknown"


def test_labels_and_gates_of_unknown_things_are_the_strictest() -> None:
    assert propose("vcf")["hgr"] == "C1.3"
    assert propose("reads", assay="WES")["hgr"] == "C3.1"
    assert propose("something else")["tier"] == "enclave"
    assert table_limits("controlled") == (6, 1)
    assert table_limits("enclave")[0] > 10**6
