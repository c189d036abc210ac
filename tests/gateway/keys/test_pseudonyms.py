"""Names that hold nothing, never meet, and differ for every project."""

from __future__ import annotations

import hmac
import re

import pytest

from gateway.keys import pseudonym
from gateway.keys.pseudonyms import LENGTH

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
SECRETS = [number.to_bytes(16, "big") for number in range(200_000)]


def test_two_hundred_thousand_people_have_as_many_names_of_one_length() -> None:
    names = {pseudonym(KEY, secret) for secret in SECRETS}
    assert len(names) == len(SECRETS)
    assert all(re.fullmatch(r"P[0-9A-HJKMNP-TV-Z]{20}", name) and len(name) == LENGTH for name in names)


def test_every_character_of_the_name_carries_five_bits() -> None:
    """A 100-bit name: the birthday bound for ten million people is n*n / 2^101 < 10^-16."""
    names = [pseudonym(KEY, secret) for secret in SECRETS[:20_000]]
    assert all(len({name[at] for name in names}) == 32 for at in range(1, LENGTH))
    assert (10**7) ** 2 / 2**101 < 1e-16


def test_two_projects_share_no_name() -> None:
    """Invariant 12: two recipients never share pseudonyms."""
    assert not {pseudonym(KEY, s) for s in SECRETS[:1000]} & {pseudonym(OTHER, s) for s in SECRETS[:1000]}


def test_the_name_is_the_first_hundred_bits_of_the_hmac() -> None:
    digest = int.from_bytes(hmac.new(KEY, SECRETS[7], "sha256").digest(), "big") >> 156
    value = 0
    for letter in pseudonym(KEY, SECRETS[7])[1:]:
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    assert value == digest


@pytest.mark.parametrize(("key", "secret"), [(KEY[:31], SECRETS[0]), (KEY, b"short"), (b"", b"")])
def test_a_short_key_or_secret_is_a_mistake(key: bytes, secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        pseudonym(key, secret)
