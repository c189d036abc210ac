"""A recipient's copy of a matrix: the same numbers under other names, and nothing but a core view is copied."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest

from deid import run
from deid.errors import DeidError
from deid.matrices import MatrixError
from deid.matrices.copying import copy_matrix

CORE = "feature\tc1\tc2\tc3\nENSG00000000001\t1\tNA\t3\nENSG00000000002\t4\t5\t6\n"
NAMES = {"c1": "P-Z", "c2": "P-B", "c3": "P-A"}


def copied(core: str = CORE, names: dict[str, str] = NAMES) -> tuple[Any, list[list[str]]]:
    sink = io.BytesIO()
    counts = copy_matrix(io.BytesIO(core.encode()), sink, names=names)
    return counts, [line.split("\t") for line in gzip.decompress(sink.getvalue()).decode().splitlines()]


def test_columns_follow_the_names_and_keep_their_numbers() -> None:
    counts, lines = copied()
    assert lines == [["feature", "P-A", "P-B", "P-Z"], ["ENSG00000000001", "3", "NA", "1"],
                     ["ENSG00000000002", "6", "5", "4"]]  # fmt: skip
    assert (counts.records_out, counts.participants) == (2, 3)


def test_the_order_of_the_core_view_does_not_show() -> None:
    other = "feature\tc3\tc1\tc2\nENSG00000000001\t3\t1\tNA\nENSG00000000002\t6\t4\t5\n"
    assert copied(other)[1] == copied()[1]


@pytest.mark.parametrize(
    ("core", "names", "code"),
    [
        (CORE.replace("feature", "gene_id"), NAMES, "not_a_core_view"),
        (CORE, {**NAMES, "c4": "P-C"}, "names_differ"),
        (CORE, {"c1": "P-Z", "c2": "P-B"}, "names_differ"),
        (CORE.replace("\tc3", "\tc2"), NAMES, "names_differ"),
        (CORE.replace("\t5", ""), NAMES, "ragged_line"),
        (CORE[:-1], NAMES, "truncated"),
        (CORE, {**NAMES, "c2": "=1"}, "names_invalid"),
        (CORE, {**NAMES, "c2": "p-z"}, "names_collide"),
    ],
)
def test_what_is_not_this_core_view_is_refused(core: str, names: dict[str, str], code: str) -> None:
    with pytest.raises((DeidError, MatrixError)) as refused:
        copied(core, names)
    assert getattr(refused.value, "code", "") == code


def test_the_task_copies_a_matrix() -> None:
    sink = io.BytesIO()
    made = run.copy({"kind": "matrix", "names": NAMES}, {"core": io.BytesIO(CORE.encode())}, {"copy": sink})
    assert made["records_out"] == 2
    assert b"c1" not in gzip.decompress(sink.getvalue())
