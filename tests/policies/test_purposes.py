"""Data use terms against purposes: the whole truth table, written out by hand from the DUO README and DUOS' cases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.purposes import Purpose, judge, matches, stated_purpose, terms_of, topics

SICK = ("I45",)
PURPOSES = {
    "general": Purpose(term="GRU"),
    "health": Purpose(term="HMB"),
    "disease": Purpose(term="DS", diseases=SICK),
    "other disease": Purpose(term="DS", diseases=("C50",)),
    "one of two": Purpose(term="DS", diseases=("I45", "C50")),
    "ancestry": Purpose(term="POA"),
    "methods": Purpose(term="HMB", methods_only=True),
    "methods on the disease": Purpose(term="DS", diseases=SICK, methods_only=True),
    "care": Purpose(term="CC", diseases=SICK),
    "unknown": Purpose(term="nonsense"),
    "empty": Purpose(term=""),
}
# One letter per purpose above, in order: y match, n no, a ask a person.
MAIN = {
    (): "nnnnnnnnnnn",
    ("NRES",): "yyyyyyyyyaa",
    ("GRU",): "yyyyyyyynaa",
    ("HMB",): "nyyyynyynaa",
    ("DS",): "nnynnnnynaa",
    ("POA",): "nnnnnyyynaa",
    # A narrower permission beside a broader one: what only the broader covers is for a person to say.
    ("GRU", "HMB"): "ayyyyayynaa",
    ("GRU", "DS"): "aayaaaaynaa",
    ("HMB", "DS"): "nayaanaynaa",
    ("NRES", "GRU"): "yyyyyyyyaaa",
    ("GRU", "POA"): "aaaaayyynaa",
    ("HMB", "POA"): "nyyyyyyynaa",
    ("DS", "POA"): "nnynnyyynaa",
    ("GRU", "CC"): "yyyyyyyyyaa",
    ("HMB", "CC"): "nyyyynyyyaa",
    ("DS", "CC"): "nnynnnnyyaa",
    ("POA", "CC"): "nnnnnyyynaa",
}
ANSWERS = {"y": "match", "n": "no", "a": "ask"}


@pytest.mark.parametrize("permission", MAIN)
@pytest.mark.parametrize("name", PURPOSES)
def test_each_permission_answers_each_purpose_as_the_truth_table_says(permission: tuple[str, ...], name: str) -> None:
    wanted = ANSWERS[MAIN[permission][list(PURPOSES).index(name)]]
    diseases = SICK if "DS" in permission else ()
    found = judge(permission, diseases, PURPOSES[name])
    assert found.answer == wanted
    assert all(finding.why for finding in found.findings)


GENETIC = Purpose(term="HMB", genetic="yes")
FULL = Purpose(
    term="HMB", genetic="yes", collaborates="yes", months=12, place="hong_kong", person="ann", project="p1",
    institution="Uni",
)  # fmt: skip
PLAIN = Purpose(term="HMB")
MODIFIERS: list[tuple[str, Purpose, str]] = [
    ("NPU", Purpose(term="HMB", not_for_profit=True), "match"),
    ("NPU", Purpose(term="HMB", not_for_profit=False), "no"),
    ("NPU", Purpose(term="HMB", commercial=True), "ask"),
    ("NCU", Purpose(term="HMB", commercial=False), "match"),
    ("NCU", Purpose(term="HMB", commercial=True), "no"),
    ("NCU", Purpose(term="HMB", not_for_profit=False), "match"),
    ("NPUNCU", PLAIN, "match"),
    ("NPUNCU", Purpose(term="HMB", commercial=True), "no"),
    ("NPUNCU", Purpose(term="HMB", not_for_profit=False), "no"),
    ("NMDS", PLAIN, "match"),
    ("NMDS", Purpose(term="HMB", methods_only=True), "no"),
    ("NPOA", PLAIN, "match"),
    ("NPOA", Purpose(term="POA"), "no"),
    ("GSO", GENETIC, "match"),
    ("GSO", Purpose(term="HMB", genetic="no"), "no"),
    ("GSO", PLAIN, "ask"),
    ("COL", FULL, "match"),
    ("COL", Purpose(term="HMB", collaborates="no"), "no"),
    ("COL", PLAIN, "ask"),
    ("GS=mainland,hong_kong", FULL, "match"),
    ("GS=mainland", FULL, "no"),
    ("GS", FULL, "ask"),
    ("GS=Europe", FULL, "ask"),
    ("GS=mainland", PLAIN, "ask"),
    ("TS=12", FULL, "match"),
    ("TS=11", FULL, "no"),
    ("TS", FULL, "ask"),
    ("TS=12", PLAIN, "ask"),
    ("TS=soon", FULL, "ask"),
    ("MOR=2027-01-01", FULL, "match"),
    ("MOR", FULL, "ask"),
    ("US=ann,bob", FULL, "match"),
    ("US=bob", FULL, "no"),
    ("US", FULL, "ask"),
    ("US=ann", PLAIN, "ask"),
    ("PS=p1", FULL, "match"),
    ("PS=p2", FULL, "no"),
    ("PS", FULL, "ask"),
    ("IS=Uni", FULL, "match"),
    ("IS=Other", FULL, "no"),
    ("IS", FULL, "ask"),
    ("PUB", PLAIN, "match"),
    ("RTN", PLAIN, "match"),
    ("IRB", PLAIN, "match"),
    ("CC", PLAIN, "match"),
    ("RS", FULL, "ask"),
    ("RS=only cardiologists", FULL, "ask"),
    ("GRU-CC", FULL, "ask"),
    ("RU", FULL, "ask"),
    ("DUO:0000002", FULL, "ask"),
    ("DUO:0000003", FULL, "ask"),
    ("DUO:9999999", FULL, "ask"),
    ("whatever", FULL, "ask"),
]


@pytest.mark.parametrize(("term", "purpose", "answer"), MODIFIERS)
def test_each_modifier_answers_as_the_truth_table_says(term: str, purpose: Purpose, answer: str) -> None:
    assert matches(["GRU", term], [], purpose) == answer


def test_every_term_of_the_ontology_has_a_row_in_the_truth_table() -> None:
    current = [
        "NRES",
        "GRU",
        "HMB",
        "DS",
        "POA",
        "RS",
        "NMDS",
        "GSO",
        "NPUNCU",
        "NPU",
        "NCU",
        "PUB",
        "COL",
        "IRB",
        "GS",
        "MOR",
        "TS",
        "US",
        "PS",
        "IS",
        "RTN",
        "CC",
        "NPOA",
    ]
    shown = {term.partition("=")[0] for term, _, _ in MODIFIERS} | {term for row in MAIN for term in row}
    assert set(current) <= shown


@pytest.mark.parametrize("topic", topics())
def test_a_delicate_topic_is_read_by_a_person(topic: str) -> None:
    assert matches(["NRES"], [], Purpose(term="HMB", topics=(topic,))) == "ask"
    assert matches(["POA"], [], Purpose(term="HMB", topics=(topic,))) == "no", "a certain no is not softened"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("DUO:0000044", "NPOA"), ("DUO:00000044", "NPOA"), ("DUO_00000044", "NPOA"), ("duo:0000042", "GRU"),
        ("http://purl.obolibrary.org/obo/DUO_0000018", "NPUNCU"), (" hmb ", "HMB"), ("DUO:0000440", "DUO:0000440"),
        ({"term": "DUO:0000007", "value": "I45"}, "DS"),
    ],
)  # fmt: skip
def test_a_term_is_read_in_each_way_it_is_written(written: Any, code: str) -> None:
    assert [term.code for term in terms_of([written])] == [code]


def test_the_stricter_conjunction_is_not_opened_by_its_children() -> None:
    """In duo.owl NPU and NCU are subclasses of NPUNCU: reasoning by is-a would open what NPUNCU forbids."""
    sold = Purpose(term="HMB", commercial=True)
    assert matches(["GRU", "NPU", "NPUNCU"], [], sold) == "no"
    assert matches(["GRU", "NPU"], [], sold) == "ask"
    assert matches(["GRU", "NCU"], [], Purpose(term="HMB", not_for_profit=False)) == "match"


def test_duos_short_circuit_is_not_copied() -> None:
    """DUOS V4 answers approve for GRU after failures were collected, and for unset data use."""
    assert matches(["GRU", "NMDS"], [], Purpose(term="HMB", methods_only=True)) == "no"
    assert matches([], [], Purpose(term="HMB")) == matches(["NCU"], [], Purpose(term="HMB")) == "no"


def test_a_match_names_what_it_obliges_to_and_a_refusal_nothing() -> None:
    assert judge(["GRU", "PUB", "MOR=2027-01-01"], [], PLAIN).obligations == ("PUB", "MOR=2027-01-01")
    assert judge(["POA", "PUB"], [], PLAIN).obligations == ()


def test_a_disease_beside_the_code_counts_like_one_in_its_own_column() -> None:
    assert matches(["DS=I45"], [], Purpose(term="DS", diseases=("I45.8",))) == "match"
    assert matches([{"term": "DS", "value": "I45,I46"}], [], Purpose(term="DS", diseases=("I46",))) == "match"
    assert matches(["DS"], [], Purpose(term="DS", diseases=("I45",))) == "no", "a disease that was never named"


def test_what_an_application_leaves_out_opens_least() -> None:
    bare = stated_purpose({"term": "HMB"}, place="mainland")
    assert matches(["GRU", "NCU"], [], bare) == matches(["GRU", "NPU"], [], bare) == "no"
    assert matches(["GRU", "GSO"], [], bare) == matches(["GRU", "TS=12"], [], bare) == "ask"
    full = stated_purpose({"term": "HMB", "commercial": False, "not_for_profit": True, "genetic": "yes", "months": 6})
    assert matches(["GRU", "NPUNCU", "GSO", "TS=12"], [], full) == "match"
    assert matches(["GRU", "NCU"], [], stated_purpose({"term": "HMB", "commercial": "no"})) == "no", "not a truth value"


RESTRICTIONS = sorted({term for term, _, _ in MODIFIERS} - {"CC"})


@given(
    st.sampled_from([list(row) for row in MAIN]),
    st.lists(st.sampled_from(RESTRICTIONS), max_size=4),
    st.sampled_from(RESTRICTIONS),
    st.sampled_from([*PURPOSES.values(), FULL, GENETIC]),
)
@settings(max_examples=150, deadline=None)
def test_one_more_restriction_never_opens(main: list[str], some: list[str], more: str, purpose: Purpose) -> None:
    order = ["match", "ask", "no"]
    before = matches([*main, *some], SICK, purpose)
    after = matches([*main, *some, more], SICK, purpose)
    assert order.index(after) >= order.index(before)


@given(st.permutations(["GRU", "NCU", "GS=mainland", "COL", "RS"]), st.sampled_from([*PURPOSES.values(), FULL]))
@settings(max_examples=60, deadline=None)
def test_the_order_of_terms_does_not_matter(terms: list[str], purpose: Purpose) -> None:
    assert matches(terms, [], purpose) == matches(sorted(terms), [], purpose)
