"""Columns are understood by what they hold before what they are called; nothing is ever proposed to leave by mistake."""

from __future__ import annotations

import io
import random

import pytest

from deid.tables import propose_columns

DRAW = random.Random(3)
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def resident() -> str:
    body = (
        f"440305{DRAW.randint(1950, 2005)}{DRAW.randint(1, 12):02d}{DRAW.randint(1, 28):02d}{DRAW.randint(0, 999):03d}"
    )
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, WEIGHTS, strict=True)) % 11]


CASES = {
    "x1": ("identifier", "resident-identity-number", resident),
    "x2": ("identifier", "mobile-number-mainland", lambda: f"139{DRAW.randrange(10**8):08d}"),
    "x3": ("identifier", "e-mail", lambda: f"u{DRAW.randrange(10**6)}@example.org"),
    "x4": ("identifier", "name", lambda: DRAW.choice("李王张刘陈") + DRAW.choice("娜伟芳敏静") + DRAW.choice("明华")),
    "x5": ("identifier", "address", lambda: f"深圳市南山区科技路{DRAW.randint(1, 99)}号"),
    "x6": ("identifier", "passport", lambda: f"E{DRAW.randrange(10**8):08d}"),
    "x7": ("sensitive", "icd-code", lambda: f"I{DRAW.randint(10, 99)}.{DRAW.randint(0, 9)}"),
    "x8": ("quasi", "date", lambda: f"2024-{DRAW.randint(1, 12):02d}-{DRAW.randint(1, 28):02d}"),
    "x9": ("quasi", "number", lambda: str(DRAW.randint(1, 60))),
    "x10": ("text", "free-text", lambda: f"came back after {DRAW.randint(1, 9)} days with the same complaint"),
    "x11": ("identifier", "unique", lambda: f"ZZ{DRAW.randrange(10**9):x}Q"),
    "x12": ("quasi", "unknown", lambda: DRAW.choice(["aa", "bb"])),
    "姓名": ("identifier", "name", lambda: DRAW.choice(["欧阳某某某", "甲"])),
    "住院号": ("identifier", "record-number", lambda: str(DRAW.randint(1, 9))),
    "PatientID": ("identifier", "record-number", lambda: str(DRAW.randint(1, 9))),
    "出生日期": ("quasi", "date", lambda: "1980"),
    "备注": ("text", "free-text", lambda: "无"),
    "post code": ("quasi", "postcode", lambda: f"5180{DRAW.randint(10, 99)}"),
    "性别": ("quasi", "sex", lambda: DRAW.choice("男女")),
    "primary_diagnosis": ("sensitive", "diagnosis", lambda: DRAW.choice(["a", "b"])),
}


@pytest.mark.parametrize("column", list(CASES))
def test_a_column_is_understood_and_the_reason_shows_no_value(column: str) -> None:
    role, kind, made = CASES[column]
    values = [made() for _ in range(60)]
    source = "\n".join([f'"{column}"', *(f'"{value}"' for value in values)]).encode()
    (found,) = propose_columns(io.BytesIO(source))
    assert (found.column, found.role, found.kind) == (column, role, kind)
    assert not any(value in found.reason for value in values if len(value) > 2)


def test_names_that_only_contain_a_word_are_not_taken_for_it() -> None:
    source = b"usage,imagery\naa,bb\naa,bb\n"
    assert {one.kind for one in propose_columns(io.BytesIO(source))} == {"unknown"}
