"""Nouns that cost a short task nothing, and what a task of variants may load before it begins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from deid.nouns import Noun

WITHOUT = {"dataclasses", "inspect", "typing", "hashlib", "zlib", "numpy", "pysam", "pyarrow", "concurrent.futures"}
"""Modules of which each costs a short task a millisecond to a quarter of a second."""


class Place(Noun):
    """Two fields, one of which may be left out."""

    contig: str
    bins: Mapping[str, int] = MappingProxyType({})


class Span(Place):
    """A field more than the noun it stands on."""

    end: int


def test_fields_are_given_by_name_and_those_left_out_are_as_the_class_says() -> None:
    place = Place(contig="1")
    assert (place.contig, place.bins) == ("1", {})
    assert Span(contig="1", end=2).as_dict() == {"contig": "1", "bins": {}, "end": 2}


@pytest.mark.parametrize("given", [{}, {"bins": {}}, {"contig": "1", "start": 1}, {"contig": "1", "end": 1}])
def test_a_field_that_is_missing_or_unknown_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="missing or unknown"):
        Place(**given)  # type: ignore[arg-type]


def test_nothing_is_written_once_a_noun_is_made() -> None:
    place = Place(contig="1")
    with pytest.raises(AttributeError):
        place.contig = "2"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        del place.contig
    assert place.contig == "1"


def test_a_changed_noun_is_another_and_refuses_what_it_does_not_know() -> None:
    place = Place(contig="1")
    assert place.changed(contig="2") == Place(contig="2") != place
    with pytest.raises(TypeError):
        place.changed(start=1)


def test_equal_are_two_of_one_class_with_equal_fields() -> None:
    assert Place(contig="1") == Place(contig="1", bins={})
    assert Place(contig="1") != Place(contig="1", bins={"DP": 5})
    assert Span(contig="1", end=2) != Place(contig="1")
    assert Place(contig="1") != {"contig": "1", "bins": {}}


def test_what_a_noun_says_of_itself_holds_none_of_its_values() -> None:
    assert "LiMing" not in repr(Place(contig="LiMing"))


def test_a_task_of_variants_begins_without_what_is_slow_to_load() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from deid.variants import core_view, plan_from_steps\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    said = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path = {sys.path!r}\n{code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    loaded = set(said.stdout.split())
    assert "deid.variants.core" in loaded
    assert not WITHOUT & loaded
