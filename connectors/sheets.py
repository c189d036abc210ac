"""Sample sheets, consent tables and identifier columns: small tables from outside, read whole, refused by place.

Each function is a sandbox task over one open CSV (UTF-8 or GB18030). Errors name file, row and column, never a value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, BinaryIO

from connectors.errors import ConnectorError

SHEET = ("sample", "participant", "file")
CONSENT = (
    "participant", "birth_date", "age_band", "version", "notice", "signed_on", "purposes", "diseases", "places",
    "recipient_kinds", "named_recipients", "sensitive", "provision", "cross_border", "return_of_results", "guardian",
    "reconsent_due", "withdrawn_on",
)  # fmt: skip
DATES = ("birth_date", "signed_on", "reconsent_due", "withdrawn_on")
YES_NO = ("sensitive", "provision", "cross_border", "return_of_results", "guardian")
PLACES = frozenset({"mainland", "hong_kong", "macau", "overseas"})
KINDS = frozenset({"academic", "hospital", "company"})
Inputs = Mapping[str, BinaryIO]


def read_samples(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """The sample sheet as rows of sample, participant, file."""
    del outputs
    path = str(spec["path"])
    rows = _rows(path, inputs["file"], required=SHEET, allowed=SHEET)
    for number, row in rows:
        _filled(path, number, row, SHEET)
    return {"rows": [row for _, row in rows]}


def read_consent(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """The consent table as rows; dates, yes/no cells and closed vocabularies are checked."""
    del outputs
    path = str(spec["path"])
    rows = _rows(path, inputs["file"], required=("participant", "signed_on", "purposes"), allowed=CONSENT)
    seen: set[str] = set()
    for number, row in rows:
        _filled(path, number, row, ("participant", "signed_on", "purposes"))
        if row["participant"] in seen:
            raise ConnectorError("duplicate_participant", f"{path}: row {number}, column participant: a second consent")
        seen.add(row["participant"])
        _check_consent(path, number, row)
    return {"rows": [row for _, row in rows]}


def read_columns(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """The named columns of a table, row by row: for identifiers that the leak check must look for."""
    del outputs
    path, columns = str(spec["path"]), tuple(spec["columns"])
    rows = _rows(path, inputs["file"], required=columns, allowed=None)
    return {"rows": [{column: row[column] for column in columns} for _, row in rows]}


def _check_consent(path: str, number: int, row: Mapping[str, str]) -> None:
    for column in DATES:
        if row.get(column):
            try:
                date.fromisoformat(row[column])
            except ValueError:
                raise ConnectorError(
                    "bad_date", f"{path}: row {number}, column {column}: write dates as 2026-01-31"
                ) from None
    for column in YES_NO:
        if row.get(column, "") not in {"yes", "no", ""}:
            raise ConnectorError("bad_value", f"{path}: row {number}, column {column}: write yes or no")
    for column, known in (("places", PLACES), ("recipient_kinds", KINDS)):
        cells = [cell.strip() for cell in row.get(column, "").split(";") if cell.strip()]
        if not set(cells) <= known:
            words = ", ".join(sorted(known))
            raise ConnectorError("bad_value", f"{path}: row {number}, column {column}: use only {words}")


def _filled(path: str, number: int, row: Mapping[str, str], columns: Sequence[str]) -> None:
    for column in columns:
        if not row[column].strip():
            raise ConnectorError("empty_cell", f"{path}: row {number}, column {column} is empty")


def _rows(
    path: str, source: BinaryIO, *, required: Sequence[str], allowed: Sequence[str] | None
) -> list[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(_text(path, source.read())), strict=True)
    try:
        names = next(reader, None)
        if not names:
            raise ConnectorError("empty_file", f"{path}: the file is empty")
        for column in required:
            if column not in names:
                raise ConnectorError("missing_column", f"{path}: row 1: the column {column} is missing")
        if allowed is not None and (extra := set(names) - set(allowed)):
            raise ConnectorError("unknown_column", f"{path}: row 1: unknown column {sorted(extra)[0][:40]}")
        rows = []
        for number, cells in enumerate(reader, 2):
            if len(cells) != len(names):
                raise ConnectorError(
                    "ragged_row", f"{path}: row {number} has {len(cells)} cells, the header has {len(names)}"
                )
            rows.append((number, dict(zip(names, cells, strict=True))))
    except csv.Error:
        raise ConnectorError("bad_csv", f"{path}: line {reader.line_num} is not readable as CSV") from None
    if not rows:
        raise ConnectorError("no_rows", f"{path}: there are no rows below the header")
    return rows


def _text(path: str, raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ConnectorError("bad_encoding", f"{path}: the text is neither UTF-8 nor GB18030")
