"""No two uses share a derived key, and none drifts from RFC 5869."""

from __future__ import annotations

import hashlib
import hmac
from itertools import combinations, product

import pytest

from gateway.keys import Purpose, Scope
from gateway.keys.derivation import derived_key, label

KEY = bytes(range(32))
SCOPE = Scope(custodian="h1", dataset="d1", project="p1", version=1)


def test_no_two_uses_share_a_key_even_under_one_custodian_key() -> None:
    """Invariant 12, and 20: leave any part out of the label and two of these meet."""
    scopes = product(["h1", "h2"], ["d1", "d2", "", None], ["p1", "p2", "", None], [1, 2])
    made = [
        derived_key(KEY, purpose, Scope(custodian=c, dataset=d, project=p, version=v))
        for (c, d, p, v) in scopes
        for purpose in Purpose
    ]
    assert len(set(made)) == len(made) == 2 * 4 * 4 * 2 * len(Purpose)


def test_parts_that_run_together_stay_apart() -> None:
    texts = ["", "a", "ab", "b", "+", "-", "a-", "a+\0\0\0\1b"]
    labels = [
        label(Purpose.NOISE, Scope(custodian=c, dataset=d, project=p, version=1))
        for c, d, p in product(texts, [*texts, None], [*texts, None])
    ]
    assert len(set(labels)) == len(labels)
    assert not any(one != two and one.startswith(two) for one, two in combinations(labels[:200], 2))


def test_the_custodian_leads_the_label() -> None:
    at = label(Purpose.PSEUDONYMS, SCOPE)
    assert at.index(b"h1") < at.index(b"pseudonyms") < at.index(b"d1") < at.index(b"p1")


def test_it_is_hkdf_sha256_as_rfc_5869_says() -> None:
    extracted = hmac.digest(bytes(32), KEY, "sha256")
    expanded = hmac.new(extracted, label(Purpose.MARKS, SCOPE) + b"\x01", hashlib.sha256).digest()
    assert derived_key(KEY, Purpose.MARKS, SCOPE) == expanded


def test_it_stays_what_it_was() -> None:
    """Changing this value renames every participant of every running project."""
    assert derived_key(KEY, Purpose.PSEUDONYMS, SCOPE).hex() == GOLDEN


@pytest.mark.parametrize("scope", [("", 1), ("h1", 0)])
def test_a_scope_without_custodian_or_version_is_a_mistake(scope: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="custodian and a version"):
        derived_key(KEY, Purpose.NOISE, Scope(custodian=scope[0], dataset="d", project="p", version=scope[1]))


GOLDEN = "15f58bad9642ab6c56fa2f5bf324828244f3147099df3938cada736161f27d38"
