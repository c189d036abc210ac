"""A FASTQ view is ours record by record, or the line is named."""

from __future__ import annotations

import io

import pytest

from deid.fastq import FastqError, FastqOptions, assess_view, core_view, plan_from_steps

OURS = b"@AAAAAAAAAAAAAA\nACGT\n+\n!#AI\n"


def test_a_view_is_ours():
    sink = io.BytesIO()
    core_view(
        plan_from_steps(()), io.BytesIO(b"@x y\nACGN\n+x\n!#AI\n" * 9), sink, key=bytes(16), options=FastqOptions()
    )
    found = assess_view(io.BytesIO(sink.getvalue()))
    assert (found.records, found.quality_levels) == (9, 2)


@pytest.mark.parametrize(
    "record",
    [
        b"@AAAAAAAAAAAAAA LiMing\nA\n+\nI\n", b"@LiMing\nA\n+\nI\n", b"@AAAAAAAAAAAAAA\nA\n+LiMing\nI\n",
        b"@AAAAAAAAAAAAAA\nAC\n+\nI\n", b"@AAAAAAAAAAAA:A\nA\n+\nI\n",
    ],
)  # fmt: skip
def test_a_record_of_another_form_is_named_by_its_line(record):
    with pytest.raises(FastqError) as caught:
        assess_view(io.BytesIO(OURS * 3 + record + OURS))
    assert caught.value.code == "not_ours"
    assert caught.value.line == 13
    assert "LiMing" not in str(caught.value)
