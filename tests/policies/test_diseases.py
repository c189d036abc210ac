"""Diseases below diseases: ICD-10 by chapter, block and code, MONDO where a mapping is supplied."""

from __future__ import annotations

import pytest

from policies.diseases import Mondo, span, within


@pytest.mark.parametrize(
    ("code", "root"),
    [
        ("I45.8", "I45"), ("I458", "I45"), ("I45.8", "I45.-"), ("I45", "I30-I52"), ("I45", "I00-I99"), ("I45", "I"),
        ("i45.8", "I45.8"), ("I45", "chapter IX"), ("D50", "chapter III"), ("C50.1", "C00-C97"), ("C50", "C50-C50"),
        ("I30-I52", "I00-I99"), ("X40", "V01-X59"), ("ICD10:I45", "I45"), ("E11.9", "E10-E14"), ("A39.0+", "A39"),
    ],
)  # fmt: skip
def test_a_disease_lies_below_its_code_block_and_chapter(code: str, root: str) -> None:
    assert within(code, ["Z99", root])


@pytest.mark.parametrize(
    ("code", "root"),
    [
        ("I45", "I45.8"), ("I46", "I45"), ("I4", "I45"), ("I4", "I"), ("", ""), ("I45", ""), ("", "I"), ("I", "I45"),
        ("A00", "chapter IX"), ("A00", "I"), ("I45", "chapter I"), ("D50", "chapter II"), ("D50", "C00-D48"),
        ("I45", "I45-I46"), ("I00-I99", "I30-I52"), ("I99", "I95-I99x"), ("O99", "0"), ("U99", "U99"), ("I45", "C"),
        ("I45.8; C50", "I"), ("B99", "B98"), ("I45.8", "I45.80"), ("heart", "heart"),
    ],
)  # fmt: skip
def test_what_is_not_below_or_cannot_be_read_is_not_within(code: str, root: str) -> None:
    assert not within(code, [root])


def test_each_category_of_a_chapter_lies_in_it_and_in_no_other() -> None:
    chapters = ["A00-B99", "C00-D48", "D50-D89", "E00-E90", "I00-I99", "U00-U99"]
    for number in range(100):
        for letter in "ABCDEIU":
            code = f"{letter}{number:02}"
            found = [chapter for chapter in chapters if within(code, [chapter])]
            assert found == ([] if span(code) is None else found[:1])


MONDO = Mondo(
    parents={"MONDO:0000002": frozenset({"MONDO:0000001"}), "MONDO:0000003": frozenset({"MONDO:0000002"})},
    exact={"MONDO:0000002": frozenset({"I45"})},
)


def test_mondo_ids_nest_where_a_mapping_is_supplied_and_nowhere_else() -> None:
    assert within("MONDO:0000003", ["MONDO:0000001"], MONDO)
    assert within("MONDO_0000003", ["I45"], MONDO), "below a term that means exactly I45"
    assert within("I45.8", ["MONDO:0000002"], MONDO)
    assert not within("I45", ["MONDO:0000001"], MONDO), "nothing says which codes the broader term covers"
    assert not within("MONDO:0000001", ["MONDO:0000003"], MONDO)
    assert not within("MONDO:0000003", ["MONDO:0000001"]), "without a mapping only the same id matches"
    assert within("MONDO:0000003", ["MONDO:0000003"])


def test_a_circle_in_a_mapping_ends() -> None:
    circle = Mondo(
        parents={"MONDO:0000001": frozenset({"MONDO:0000002"}), "MONDO:0000002": frozenset({"MONDO:0000001"})}
    )
    assert within("MONDO:0000001", ["MONDO:0000002"], circle)
