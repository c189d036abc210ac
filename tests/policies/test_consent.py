"""Consent: each single restriction takes a person out, and nothing that is taken away lets one in."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.consent import Use, permitted, permitted_of, set_digest
from policies.consent_table import ConsentTable
from policies.purposes import Purpose

ON = date(2026, 11, 21)
USE = Use(
    purpose=Purpose(term="DS", diseases=("I45",)),
    place="hong_kong",
    recipient_kind="academic",
    recipient_name="Uni",
    on=ON,
)
ROW = {
    "birth_date": "1980-01-01", "age_band": "", "version": "2", "notice": "N2", "signed_on": "2025-01-01",
    "purposes": "DS", "diseases": "I", "places": "mainland;hong_kong", "recipient_kinds": "academic",
    "named_recipients": "Other;Uni", "sensitive": "yes", "provision": "yes", "cross_border": "yes", "guardian": "no",
    "reconsent_due": "", "withdrawn_on": "", "withdrawn_recorded_at": "",
}  # fmt: skip


def using(**changes: Any) -> Use:
    return Use(**{name: changes.get(name, getattr(USE, name)) for name in Use.__slots__})


def allowed(use: Use = USE, **changes: str) -> bool:
    return permitted(["p"], [{**ROW, **changes}], use).ids == ("p",)


def test_a_consent_that_covers_everything_permits() -> None:
    assert allowed()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("withdrawn_on", "2026-11-21", "withdrawn"), ("withdrawn_on", "2026-11-20", "withdrawn"),
        ("withdrawn_on", "soon", "withdrawn"), ("withdrawn_recorded_at", "2026-11-01", "withdrawn"),
        ("withdrawn_recorded_at", "illegible", "withdrawn"), ("signed_on", "2026-11-22", "not-signed"),
        ("signed_on", "", "not-signed"), ("purposes", "POA", "purpose"), ("purposes", "", "purpose"),
        ("purposes", "XYZ", "purpose"), ("purposes", "DS;RS", "purpose-to-ask"), ("diseases", "C", "purpose"),
        ("version", "", "version"), ("notice", "", "version"), ("places", "mainland", "place"), ("places", "", "place"),
        ("recipient_kinds", "hospital", "recipient-kind"), ("named_recipients", "Other", "recipient-not-named"),
        ("named_recipients", "", "recipient-not-named"), ("sensitive", "no", "sensitive"), ("sensitive", "", "sensitive"),
        ("provision", "no", "provision"), ("cross_border", "no", "cross-border"), ("cross_border", "", "cross-border"),
        ("birth_date", "2010-01-01", "guardian"), ("birth_date", "", "guardian"), ("birth_date", "long ago", "guardian"),
        ("birth_date", "2030-01-01", "guardian"), ("reconsent_due", "2026-11-21", "reconsent"),
        ("reconsent_due", "one day", "reconsent"),
    ],
)  # fmt: skip
def test_each_single_restriction_takes_the_person_out_and_says_why(column: str, value: str, reason: str) -> None:
    found = permitted(["p"], [{**ROW, column: value}], USE)
    assert found.ids == ()
    assert found.excluded == {reason: 1}


@pytest.mark.parametrize("column", [column for column in ROW if column not in {"age_band", "guardian", "reconsent_due", "withdrawn_on", "withdrawn_recorded_at"}])  # fmt: skip
def test_a_column_that_is_not_there_excludes(column: str) -> None:
    row = {name: cell for name, cell in ROW.items() if name != column}
    assert permitted(["p"], [row], USE).ids == ()
    assert permitted(["p"], [{**ROW, column: None}], USE).ids == ()


def test_a_cell_that_is_no_text_excludes() -> None:
    for column, cell in (
        ("places", ["hong_kong"]),
        ("purposes", {"term": "GRU"}),
        ("sensitive", True),
        ("version", 0.0),
    ):
        found = permitted(["p", "q"], [{**ROW, column: cell}, ROW], USE).ids
        assert found == (("p", "q") if column == "version" else ("q",))


def test_a_withdrawal_takes_effect_at_the_earlier_of_stated_and_recorded() -> None:
    assert allowed(withdrawn_on="2026-11-22")
    assert not allowed(withdrawn_on="2027-06-01", withdrawn_recorded_at="2026-11-21")
    assert not allowed(withdrawn_on="2026-01-01", withdrawn_recorded_at="2027-06-01")
    assert allowed(withdrawn_on="2027-06-01", withdrawn_recorded_at="2026-11-22T00:00:00+08:00")
    assert not allowed(withdrawn_recorded_at="2026-11-21T15:59:00+00:00"), "still the 21st in Shanghai"
    assert allowed(withdrawn_recorded_at="2026-11-21T16:00:00+00:00"), "the 22nd in Shanghai"
    assert not allowed(withdrawn_recorded_at="2026-11-22T00:00:00"), "a time without an offset cannot be read"


def test_consent_to_the_mainland_is_none_to_being_seen_from_abroad() -> None:
    inside = using(place="mainland")
    assert allowed(inside, places="mainland", cross_border="no")
    abroad = using(place="mainland", accessed_from="hong_kong")
    assert not allowed(abroad, places="mainland;hong_kong", cross_border="no")
    assert not allowed(abroad, places="mainland")
    assert allowed(abroad)


def test_only_a_notice_that_named_the_recipient_counts_when_the_notices_are_known() -> None:
    assert allowed(using(notices=frozenset({"2", "3"})))
    assert not allowed(using(notices=frozenset({"1"})))
    assert not allowed(using(notices=frozenset()))


def test_separate_consents_are_asked_for_unless_shown_not_to_be_needed() -> None:
    assert allowed(using(sensitive=False), sensitive="no")
    assert allowed(using(provision=False), provision="no")
    assert not allowed(using(sensitive=False), provision="no")


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"birth_date": "2013-11-22"}, False),  # 12
        ({"birth_date": "2013-11-22", "guardian": "yes"}, True),
        ({"birth_date": "2010-01-01"}, False),  # 16
        ({"birth_date": "2010-01-01", "guardian": "yes"}, True),
        ({"birth_date": "2008-11-22", "guardian": "yes"}, True),  # 18 tomorrow
        ({"birth_date": "2008-11-21", "guardian": "yes"}, False),  # 18 today, signed as a minor
        ({"birth_date": "2008-11-21", "guardian": "no"}, False),
        ({"birth_date": "2008-11-20", "signed_on": "2026-11-20"}, True),  # signed again as an adult
        ({"birth_date": "2008-11-20", "signed_on": "2026-11-19", "guardian": "yes"}, False),
        ({"birth_date": "2008-02-29", "signed_on": "2026-02-28", "guardian": "yes"}, False),
        ({"birth_date": "2008-02-29", "signed_on": "2026-03-01"}, True),
        ({"birth_date": "", "age_band": "40-49"}, True),
        ({"birth_date": "", "age_band": "90+"}, True),
        ({"birth_date": "", "age_band": "18-24"}, True),
        ({"birth_date": "", "age_band": "17-24"}, False),
        ({"birth_date": "", "age_band": "10-17", "guardian": "yes"}, False),  # nothing says when it ends
        ({"birth_date": "", "age_band": "10-17", "guardian": "yes", "reconsent_due": "2027-01-01"}, True),
        ({"birth_date": "", "age_band": "10-17", "guardian": "no", "reconsent_due": "2027-01-01"}, False),
        ({"birth_date": "", "age_band": "adult"}, False),
        ({"birth_date": "", "age_band": "49-40"}, False),
        ({"birth_date": "illegible", "age_band": "40-49"}, False),
    ],
)
def test_guardians_sign_for_minors_and_majority_asks_anew(changes: dict[str, str], answer: bool) -> None:
    assert allowed(**changes) is answer


def versions(*rows: dict[str, str]) -> tuple[str, ...]:
    return permitted(["p"] * len(rows), [{**ROW, **row} for row in rows], USE).ids


def test_the_version_signed_last_governs() -> None:
    broad, narrow = {"signed_on": "2024-01-01"}, {"signed_on": "2025-06-01", "places": "mainland"}
    assert versions(broad, narrow) == versions(narrow, broad) == ()
    assert versions({**narrow, "signed_on": "2023-01-01"}, broad) == ("p",)
    assert versions(broad, {**narrow, "signed_on": "2026-11-22"}) == ("p",), "not yet signed on that day"
    assert versions(broad, {**narrow, "signed_on": "2024-01-01"}) == (), "of two on one day both must permit"


def test_a_withdrawal_ends_older_versions_and_not_a_consent_given_after_it() -> None:
    gone = {"signed_on": "2024-01-01", "withdrawn_on": "2025-03-01"}
    assert versions(gone, {"signed_on": "2025-03-02"}) == ("p",)
    assert versions(gone, {"signed_on": "2025-03-01"}) == ()
    assert versions({**gone, "withdrawn_on": "illegible"}, {"signed_on": "2025-03-02"}) == ()


def test_a_participant_with_several_rows_counts_once() -> None:
    found = permitted(["a", "b", "a"], [ROW, {**ROW, "places": ""}, ROW], USE)
    assert (found.ids, found.total, found.excluded) == (("a",), 2, {"place": 1})


def test_the_digest_is_that_of_the_sorted_ids_whatever_the_order_of_rows() -> None:
    one = permitted(["b", "a"], [ROW, ROW], USE)
    assert one.ids == ("a", "b")
    assert one.digest == permitted(["a", "b"], [ROW, ROW], USE).digest == set_digest(["b", "a"])
    assert one.digest == hashlib.sha256(b"a\nb").hexdigest()
    assert one.digest != permitted(["a"], [ROW], USE).digest
    assert permitted([], [], USE).ids == ()


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 ids"):
        permitted(["a", "b"], [ROW], USE)


CELLS = {
    "birth_date": ["1980-01-01", "2010-01-01", "2013-05-05", "2008-11-21", "", "x"],
    "age_band": ["", "40-49", "10-17"],
    "version": ["2", "1", ""],
    "signed_on": ["2025-01-01", "2024-05-05", "2026-11-22", ""],
    "purposes": ["DS", "GRU", "HMB", "POA", "DS;NCU", "GRU;RS", ""],
    "diseases": ["I", "I45", "C", ""],
    "places": ["mainland;hong_kong", "hong_kong", "mainland", ""],
    "named_recipients": ["Uni", "Other;Uni", "Other", ""],
    "sensitive": ["yes", "no", ""],
    "cross_border": ["yes", "no", ""],
    "guardian": ["yes", "no", ""],
    "reconsent_due": ["", "2026-11-21", "2027-01-01"],
    "withdrawn_on": ["", "2026-11-21", "2026-12-01", "x"],
    "withdrawn_recorded_at": ["", "2026-11-21T10:00:00+08:00", "x"],
}
some_rows = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.fixed_dictionaries({}, optional={name: st.sampled_from(cells) for name, cells in CELLS.items()}),
    ),
    max_size=5,
)


def people(rows: list[tuple[str, dict[str, str]]], use: Use = USE) -> set[str]:
    return set(permitted([name for name, _ in rows], [{**ROW, **row} for _, row in rows], use).ids)


@given(some_rows, st.data())
@settings(max_examples=80, deadline=None)
def test_a_removed_consent_never_enlarges_the_set(rows: list[tuple[str, dict[str, str]]], data: st.DataObject) -> None:
    before = people(rows)
    gone = data.draw(st.sampled_from("abcdef"))
    assert people([row for row in rows if row[0] != gone]) == before - {gone}
    taken = data.draw(
        st.sampled_from(["purposes", "places", "named_recipients", "sensitive", "cross_border", "version"])
    )
    assert people([(name, {**row, taken: ""}) for name, row in rows]) == set()


@given(some_rows, st.data())
@settings(max_examples=80, deadline=None)
def test_an_added_restriction_never_enlarges_the_set(
    rows: list[tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    before = people(rows)
    column, value = data.draw(
        st.sampled_from(
            [
                ("withdrawn_on", "2026-11-21"),
                ("withdrawn_recorded_at", "2026-01-01"),
                ("reconsent_due", "2026-11-20"),
                ("purposes", "DS;RS"),
                ("purposes", "DS;GS=mainland"),
                ("provision", "no"),
                ("signed_on", ""),
            ]
        )
    )
    chosen = data.draw(st.sets(st.sampled_from("abcdef")))
    after = people([(name, {**row, column: value} if name in chosen else row) for name, row in rows])
    if column != "signed_on":  # an unsigned version no longer governs, so an older one of the same person may
        assert after <= before
    assert after - chosen == before - chosen, "one participant's row says nothing about another"


@given(some_rows)
@settings(max_examples=50, deadline=None)
def test_a_wider_use_never_permits_more(rows: list[tuple[str, dict[str, str]]]) -> None:
    inside = using(place="mainland")
    assert people(rows, using(place="mainland", accessed_from="overseas")) <= people(rows, inside)
    assert people(rows, using(notices=frozenset({"2"}))) <= people(rows)
    assert people(rows) <= people(rows, using(sensitive=False, provision=False))


@given(some_rows, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_rows_changes_nothing(rows: list[tuple[str, dict[str, str]]], dice: Any) -> None:
    mixed = list(rows)
    dice.shuffle(mixed)
    one = permitted([name for name, _ in rows], [{**ROW, **row} for _, row in rows], USE)
    assert one == permitted([name for name, _ in mixed], [{**ROW, **row} for _, row in mixed], USE)


def test_a_table_prepared_once_answers_as_its_rows_do() -> None:
    rows = [{**ROW, "places": place} for place in ("hong_kong", "mainland", "")]
    table = ConsentTable.of_columns(["a", "b", "c"], {name: [row[name] for row in rows] for name in ROW})
    assert permitted_of(table, USE) == permitted(["a", "b", "c"], rows, USE)
    assert permitted_of(table, using(place="mainland")).ids == ("b",)


@given(some_rows, st.data())
@settings(max_examples=50, deadline=None)
def test_some_of_the_participants_answer_as_a_table_of_only_them(
    rows: list[tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    names = [name for name, _ in rows]
    some = data.draw(st.sets(st.sampled_from(names))) if names else set()
    table = ConsentTable.of_rows(names, [{**ROW, **row} for _, row in rows]).among(some)
    theirs = [(name, row) for name, row in rows if name in some]
    assert permitted_of(table, USE) == permitted([name for name, _ in theirs], [{**ROW, **r} for _, r in theirs], USE)
