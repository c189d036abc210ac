"""Personal numbers by their form: published examples are found, near misses are not."""

from __future__ import annotations

import pytest

from deid.patterns import find_patterns, is_hkid, is_resident_identity_number


def kinds(text: str) -> list[str]:
    return [match.kind for match in find_patterns(text)]


def test_the_worked_examples_of_the_standards_hold() -> None:
    # GB 11643-1999 annex: 11010519491231002X and 440524188001010014.
    assert is_resident_identity_number("11010519491231002X")
    assert is_resident_identity_number("440524188001010014")
    # The commonly published specimen of the Hong Kong card and the check digit 3 of A123456.
    assert is_hkid("A123456(3)")
    assert is_hkid("AB987654(3)") != is_hkid("AB987654(4)")


def test_every_single_wrong_digit_and_neighbour_swap_is_refused() -> None:
    """The promise of ISO 7064 MOD 11-2."""
    good = "11010519491231002X"
    for at in range(17):
        for digit in "0123456789":
            if digit != good[at]:
                assert not is_resident_identity_number(good[:at] + digit + good[at + 1 :])
    for at in range(16):
        if good[at] != good[at + 1]:
            assert not is_resident_identity_number(good[:at] + good[at + 1] + good[at] + good[at + 2 :])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("身份证11010519491231002X号", "resident-identity-number"),
        ("身份证11010519491231002x。", "resident-identity-number"),
        ("１１０１０５１９４９１２３１００２Ｘ", "resident-identity-number"),
        ("電話A123456(3)先生", "hong-kong-identity-card"),
        ("澳門5123456(7)", "macao-resident-card"),
        ("電話13812345678轉", "mobile-number-mainland"),
        ("+86 138-1234-5678", "mobile-number-mainland"),
        ("电话+852 9123 4567", "telephone-hong-kong"),
        ("致電9123-4567", "telephone-hong-kong"),
        ("+853 6612 3456", "telephone-macao"),
        ("邮箱li.na@example.org联系", "e-mail"),
    ],
)
def test_a_number_beside_chinese_characters_is_found(text: str, kind: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "11010519491331002X",
        "110105194912310021",
        "A123456(4)",
        "12345678901",
        "1381234567",
        "913812345678",
        "chr1:12345-67890",
        "2024-05-06",
    ],
)
def test_near_misses_are_not_personal_numbers(text: str) -> None:
    assert kinds(text) == []
