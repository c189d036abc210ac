"""Consent sets, DUO matching, party classes, labels and gates."""

from __future__ import annotations

from typing import Any

import pytest

from policies.counting import controlled_from_outside, party_class
from policies.gates import table_limits
from policies.labels import propose


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
