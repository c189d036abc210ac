"""Consent sets, DUO matching, party classes, labels and gates."""

from __future__ import annotations

from policies.gates import table_limits
from policies.labels import propose


def test_labels_and_gates_of_unknown_things_are_the_strictest() -> None:
    assert propose("vcf")["hgr"] == "C1.3"
    assert propose("reads", assay="WES")["hgr"] == "C3.1"
    assert propose("something else")["tier"] == "enclave"
    assert table_limits("controlled") == (6, 1)
    assert table_limits("enclave")[0] > 10**6
