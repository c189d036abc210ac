"""Counts of people: distinct, per exporter, by the right calendar, with what happened outside the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.counting import (
    Exported,
    OpeningBalance,
    Provided,
    counters_of,
    exome_genome_people,
    exported_people,
    legal_year,
    total,
)
from policies.vocabulary import Trilean

YES, NO, UNKNOWN = Trilean.YES, Trilean.NO, Trilean.UNKNOWN
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def sent(person: str, **changes: Any) -> Provided:
    usual = {
        "exporter": "hospital", "at": NOW, "assay": "WGS", "hgr_abroad": YES, "left_mainland": YES, "sensitive": YES,
    }  # fmt: skip
    return Provided(person=person, **{**usual, **changes})


def test_the_500_counter_counts_each_person_once_and_never_starts_again() -> None:
    rows = [sent("a"), sent("a", at=NOW - timedelta(days=900)), sent("b", at=datetime(2019, 5, 1, tzinfo=UTC))]
    assert exome_genome_people(rows, "hospital") == 2


def test_the_500_counter_counts_exomes_and_genomes_and_what_nobody_knows() -> None:
    rows = [sent("a", assay="WES"), sent("b", assay="array"), sent("c", assay="panel"), sent("d", assay="unknown")]
    assert exome_genome_people([*rows, sent("e", assay="something new")], "hospital") == 3
    assert exome_genome_people([sent("a", hgr_abroad=NO), sent("b", hgr_abroad=UNKNOWN)], "hospital") == 1


def test_opening_balances_are_added_in_full() -> None:
    balances = [
        OpeningBalance(counter="HGR-17", exporter="hospital", people=400),
        OpeningBalance(counter="HGR-17", exporter="hospital", people=99, year=2021),
        OpeningBalance(counter="HGR-17", exporter="another", people=1000),
        OpeningBalance(counter="XB-sensitive", exporter="hospital", people=7, year=2026),
        OpeningBalance(counter="XB-sensitive", exporter="hospital", people=3, year=2025),
        OpeningBalance(counter="XB-sensitive", exporter="hospital", people=2),
        OpeningBalance(counter="XB-ordinary", exporter="hospital", people=5, year=2026),
    ]
    assert exome_genome_people([sent("a"), sent("b")], "hospital", balances) == 501
    assert exported_people([sent("a")], "hospital", NOW, balances) == Exported(sensitive=10, ordinary=5)
    with pytest.raises(ValueError, match="never below nothing"):
        OpeningBalance(counter="HGR-17", exporter="hospital", people=-1)
    with pytest.raises(ValueError, match="never below nothing"):
        total(set(), {"a"}, [5, -1])


def test_the_export_year_begins_at_midnight_in_shanghai() -> None:
    last = datetime(2025, 12, 31, 15, 59, 59, tzinfo=UTC)
    first = last + timedelta(seconds=1)
    assert (legal_year(last), legal_year(first)) == (2025, 2026)
    rows = [sent("old", at=last), sent("new", at=first)]
    assert exported_people(rows, "hospital", NOW).sensitive == 1
    assert exported_people(rows, "hospital", last).sensitive == 1
    with pytest.raises(ValueError, match="offset"):
        legal_year(datetime(2026, 1, 1))  # noqa: DTZ001  the missing offset is the point


def test_exports_count_per_exporter_and_over_all_recipients() -> None:
    rows = [sent("a"), sent("b"), sent("c", exporter="another"), sent("d", left_mainland=NO)]
    assert exported_people(rows, "hospital", NOW) == Exported(sensitive=2, ordinary=0)


def test_a_person_with_anything_sensitive_is_sensitive_and_counted_once() -> None:
    rows = [sent("a", sensitive=NO), sent("a", sensitive=YES), sent("b", sensitive=NO), sent("c", sensitive=UNKNOWN)]
    assert exported_people(rows, "hospital", NOW) == Exported(sensitive=2, ordinary=1)


def test_a_release_draws_only_on_the_counters_it_belongs_to() -> None:
    people = {"a", "b"}

    def counts(**changes: Any) -> dict[str, int]:
        usual: dict[str, Any] = {"assay": "WGS", "hgr_abroad": YES, "left_mainland": YES, "year": 2026}
        return {name: len(some) for name, some in counters_of(people, **{**usual, **changes}).items()}

    assert counts() == {"HGR-17": 2, "XB-sensitive-2026": 2}
    assert counts(assay="array") == {"HGR-17": 0, "XB-sensitive-2026": 2}
    assert counts(hgr_abroad=NO) == {"HGR-17": 0, "XB-sensitive-2026": 2}, "a proven Hong Kong institution"
    assert counts(left_mainland=NO) == {"HGR-17": 2, "XB-sensitive-2026": 0}, "a foreign laboratory in the mainland"
    assert counts(hgr_abroad=UNKNOWN, left_mainland=UNKNOWN, assay="") == {"HGR-17": 2, "XB-sensitive-2026": 2}
    assert total({"a", "x"}, people, [10]) == 13


draw_rows = st.lists(
    st.builds(
        sent,
        st.sampled_from("abcdef"),
        assay=st.sampled_from(["WGS", "WES", "array", "unknown"]),
        exporter=st.sampled_from(["hospital", "another"]),
        hgr_abroad=st.sampled_from(list(Trilean)),
        left_mainland=st.sampled_from(list(Trilean)),
        sensitive=st.sampled_from(list(Trilean)),
        at=st.sampled_from([NOW, NOW - timedelta(days=400)]),
    ),
    max_size=12,
)


@given(draw_rows, draw_rows)
@settings(max_examples=60, deadline=None)
def test_more_rows_never_lower_a_count_and_splitting_changes_nothing(one: list[Provided], more: list[Provided]) -> None:
    both = [*one, *more]
    assert exome_genome_people(both, "hospital") >= exome_genome_people(one, "hospital")
    whole, part = exported_people(both, "hospital", NOW), exported_people(one, "hospital", NOW)
    assert whole.sensitive >= part.sensitive
    assert whole.sensitive + whole.ordinary >= part.sensitive + part.ordinary
    assert exported_people([*more, *one, *one], "hospital", NOW) == whole
