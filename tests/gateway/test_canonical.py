"""The fast writer of canonical JSON gives the bytes of the library that knows the whole standard, for any value."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical import canonical

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | WORDS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4))


@given(VALUES)
def test_any_value_has_the_bytes_of_the_library(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"b": 1, "a": '\x00\x1f\x7f"\\/\b\f\n\r\t'}, b'{"a":"\\u0000\\u001f\x7f\\"\\\\/\\b\\f\\n\\r\\t","b":1}'),
        ({"ﬀ": 1, "😀": 2}, '{"😀":2,"ﬀ":1}'.encode()),
        ([1.0, 1e21, -0.0], b"[1,1e+21,0]"),
        ({"z": None, "é": True}, '{"z":null,"é":true}'.encode()),
    ],
)
def test_the_corners_of_the_standard_are_as_it_says(value: Any, wanted: bytes) -> None:
    """RFC 8785 sections 3.2.2.2 (escapes), 3.2.2.3 (numbers), 3.2.3 (keys by UTF-16 code units)."""
    assert canonical(value) == wanted


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {1: 2}, object()])
def test_what_is_no_canonical_json_is_refused(value: Any) -> None:
    with pytest.raises(Exception, match=r"."):
        canonical(value)
