"""A seeded table of made-up people for benchmarks: ten quasi-identifiers with hierarchies, one sensitive column.

Columns depend on each other as they do in a hospital (age with marital state and occupation, place with postcode), so
that classes are neither all unique nor all alike. Equal seed and rows, equal table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WIDTHS = {
    "age": (5, 10, 20, 40),
    "sex": (),
    "postcode": (10, 100),
    "birth_place": (5, 25),
    "ethnicity": (8,),
    "marital": (3,),
    "education": (3, 9),
    "occupation": (4, 12),
    "admitted": (4, 12),
    "insurance": (2,),
}
SIZES = {
    "age": 90,
    "sex": 2,
    "postcode": 600,
    "birth_place": 120,
    "ethnicity": 56,
    "marital": 5,
    "education": 12,
    "occupation": 40,
    "admitted": 36,
    "insurance": 6,
}


def make_people(path: Path, rows: int, seed: int = 1, row_group: int = 1 << 20) -> None:
    """Write ``rows`` people as Parquet, block by block, so that ten million need little memory."""
    draw = np.random.default_rng(seed)
    writer = None
    for first in range(0, rows, row_group):
        count = min(row_group, rows - first)
        table = pa.table({"id": pa.array(_ids(first, count)), **_columns(draw, count)})
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def _ids(first: int, count: int) -> list[str]:
    return [f"H{number:08d}" for number in range(first, first + count)]


def _columns(draw: np.random.Generator, count: int) -> dict[str, pa.Array]:
    age = np.clip(draw.normal(52, 18, count).astype(int), 0, 89)
    place = np.minimum(draw.zipf(1.4, count) - 1, 119)
    found = {
        "age": age,
        "sex": draw.integers(0, 2, count),
        "postcode": (place * 5 + draw.integers(0, 5, count)) % 600,
        "birth_place": np.where(draw.random(count) < 0.7, place, draw.integers(0, 120, count)),
        "ethnicity": np.where(draw.random(count) < 0.9, 0, draw.integers(0, 56, count)),
        "marital": np.where(age < 25, 0, draw.integers(0, 5, count)),
        "education": np.minimum(draw.poisson(4, count), 11),
        "occupation": np.where(age > 65, 0, draw.integers(0, 40, count)),
        "admitted": draw.integers(0, 36, count),
        "insurance": draw.integers(0, 6, count),
        "diagnosis": np.minimum(draw.zipf(1.7, count) - 1, 29),
    }
    return {name: _texts(name, codes) for name, codes in found.items()}


def _texts(name: str, codes: np.ndarray) -> pa.Array:
    values = pa.array([f"{number:03d}" for number in range(600)])
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values).cast(pa.string())


def hierarchy(name: str) -> bytes:
    """The hierarchy file of one column: ranges of codes, each width a multiple of the one before."""
    lines = []
    for number in range(SIZES[name]):
        rungs = [f"{number // width * width:03d}-{number // width * width + width - 1:03d}" for width in WIDTHS[name]]
        lines.append(";".join([f"{number:03d}", *rungs, "*"]))
    return "\n".join(lines).encode()


def recipe(k: int, method: str, more: str = "") -> str:
    """The recipe for this table."""
    return (
        "recipe: people\nversion: 1\nkind: table\ntier: controlled\ncolumns:\n"
        "  id: {role: identifier, transform: pseudonym}\n  diagnosis: {role: sensitive}\n"
        + "".join(f"  {name}: {{role: quasi, transform: {{generalise: {name}.csv}}}}\n" for name in SIZES)
        + f"models: [{{k-anonymity: {{k: {k}}}}}]\nsearch: {{method: {method}}}\n{more}"
    )
