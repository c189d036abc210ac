"""Measure what remains: risk of a table of people, computed on the very bytes that would leave.

Classes are groups of rows equal on all quasi-identifiers (a missing value is a value of its own). Prosecutor risk of a
row is one over the size of its class: ``prosecutor_max`` is 1/k, ``prosecutor_mean`` is classes/rows; ``marketer`` (the
share of rows a marketer links right on average) is the same number and stands under both names because readers look for
either. Journalist risk needs a population table and is absent. θ of a class is 1/size (GB/T 42460-2023 annex D.1.5);
levels 2 and 3 differ by whether the overall risk stays below the limit passed in. Limits are arguments: this module
knows no tier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deid.abreast import abreast, each_thread
from deid.errors import TableError
from deid.tables.classes import Classes, Sensitive, combine, group
from deid.tables.columnar import Column
from deid.tables.measures import distinct, equal
from deid.tables.reading import Coder


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """GB/T 42460-2023 D.1: no class over ``tau``; overall = (max or mean) θ × context, accepted below ``accept``."""

    tau: float
    accept: float = 0.05
    context: float = 1.0
    by: str = "mean"


def assess_table(
    released: BinaryIO, *, quasi: Sequence[str], sensitive: Sequence[str] = (), limits: RiskLimits | None = None
) -> dict[str, Any]:
    """Risk of a Parquet file. Raises TableError when it cannot be read or lacks a column."""
    columns = read_released(released, wanted=[*quasi, *sensitive])
    return assess_columns(columns, quasi=quasi, sensitive=sensitive, limits=limits)


def assess_columns(
    columns: Mapping[str, Column],
    *,
    quasi: Sequence[str],
    sensitive: Sequence[str] = (),
    limits: RiskLimits | None = None,
) -> dict[str, Any]:
    """Risk of columns as ``read_released`` gives them."""
    found = measure_table(columns, quasi=quasi, sensitive=sensitive)
    found["row_uniques"] = measure_uniques(columns)
    # Two projects hold the same rows under other names: a linker who joins them on every column is right this often.
    found["linkable_by_values"] = _classes(columns)[1] / len(next(iter(columns.values())).codes)
    if limits is not None:
        found |= grade(found, limits)
    return found


def read_released(released: BinaryIO, *, wanted: Sequence[str]) -> dict[str, Column]:
    """Every column of a Parquet file but the first. Raises TableError when it cannot be read or lacks a wanted one.

    The first is the participant's (``core_table`` writes it so): it is unique by design; the rest should not be.
    """
    try:
        content = pa.py_buffer(released.read())
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names[1:]
        names = [name for name in file.schema_arrow.names if name in names or name in wanted]
        for name in wanted:
            if name not in names:
                raise TableError(f"released table: has no column {name!r}", code="table_column_missing")
        opened = each_thread(lambda: pq.ParquetFile(pa.BufferReader(content)))
        made = abreast(lambda name: _column(opened(), name), names, rows=file.metadata.num_rows)
        return dict(zip(names, made, strict=True))
    except (pa.ArrowException, OSError):
        raise TableError("released table: not a readable Parquet file", code="table_unreadable") from None


def measure_table(columns: Mapping[str, Column], *, quasi: Sequence[str], sensitive: Sequence[str]) -> dict[str, Any]:
    """Class sizes, k, l, t and the attacker models on columns in memory."""
    classes, count = _classes({name: columns[name] for name in quasi})
    rows = len(classes)
    if not rows:
        raise TableError("released table: has no row, so no risk can be measured", code="table_empty")
    sizes = np.bincount(classes, minlength=count)
    histogram = np.bincount(sizes)
    found: dict[str, Any] = {
        "k": int(sizes.min()),
        "classes": count,
        "prosecutor_max": float(1 / sizes.min()),
        "prosecutor_mean": count / rows,
        "marketer": count / rows,
        "uniques": int(histogram[1]) if len(histogram) > 1 else 0,
        "theta": [{"size": int(size), "classes": int(histogram[size])} for size in np.flatnonzero(histogram).tolist()],
        "discernibility": int((sizes.astype(np.int64) ** 2).sum()),
    }
    if sensitive:
        found["l"], found["t"] = {}, {}
        at = Classes(of=classes, count=count, weights=np.ones(rows, np.int64))
        for name in sensitive:
            column = Sensitive(name=name, codes=columns[name].codes, count=len(columns[name].values))
            found["l"][name] = int(distinct(at, column).min())
            found["t"][name] = round(float(equal(at, column).max()), 12)
    return found


def measure_uniques(columns: Mapping[str, Column]) -> int:
    """Rows that no other row equals on all these columns."""
    if not columns:
        return 0
    classes, count = _classes(columns)
    return int((np.bincount(classes, minlength=count) == 1).sum())


def grade(found: Mapping[str, Any], limits: RiskLimits) -> dict[str, Any]:
    """Overall risk and level by GB/T 42460-2023: a class over τ makes it 1. Direct identifiers are taken as gone."""
    theta = found["prosecutor_max"] if limits.by == "max" else found["prosecutor_mean"]
    overall = 1.0 if found["prosecutor_max"] > limits.tau else theta * limits.context
    return {"gbt42460_overall": overall, "gbt42460_level": 3 if overall < limits.accept else 2}


def _classes(columns: Mapping[str, Column]) -> tuple[Any, int]:
    if not columns:
        raise TableError("released table: no quasi-identifier was named, so there is nothing to measure")
    listed = list(columns.values())
    keys = combine([column.codes for column in listed], [len(column.values) for column in listed], len(listed[0].codes))
    return group(keys)


def _column(file: Any, name: str) -> Column:
    """Block by block, so that the text of one block is held and the codes of all."""
    coder = Coder()
    coder.add(pa.array([], pa.string()))
    for batch in file.iter_batches(columns=[name]):
        coder.add(batch.column(0))
    return coder.column(missing=frozenset())
