"""Sample sheets, consent tables and identifier columns: small tables from outside, read whole, refused by place.

Each function is a sandbox task over one open table (CSV in UTF-8 or GB18030, or Parquet). Errors name file, row and
column, never a value. What the sheets must agree on is checked where the row is known: ``read_samples`` against the
files' own sample names, ``read_consent`` against the sheet's participants, when ``spec`` gives them.
Columns: INTERFACES "Consent table". What the terms permit is for the policies, not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, BinaryIO

from connectors.errors import ConnectorError
from connectors.objects import shown
from connectors.tabular import NumberedRow, read_rows

SHEET = ("sample", "participant", "file")
CONSENT = (
    "participant", "birth_date", "age_band", "version", "notice", "signed_on", "purposes", "diseases", "places",
    "recipient_kinds", "named_recipients", "sensitive", "provision", "cross_border", "return_of_results", "guardian",
    "reconsent_due", "withdrawn_on",
)  # fmt: skip
CONSENT_NEEDED = ("participant", "signed_on", "purposes")
DATES = ("birth_date", "signed_on", "reconsent_due", "withdrawn_on")
YES_NO = ("sensitive", "provision", "cross_border", "return_of_results", "guardian")
PLACES = frozenset({"mainland", "hong_kong", "macau", "overseas"})
KINDS = frozenset({"academic", "hospital", "company"})
# GA4GH Data Use Ontology, release 2021-02-23: every shorthand and its id.
DUO = {
    "NRES": "0000004", "HMB": "0000006", "DS": "0000007", "POA": "0000011", "RS": "0000012", "NMDS": "0000015",
    "GSO": "0000016", "NPUNCU": "0000018", "PUB": "0000019", "COL": "0000020", "IRB": "0000021", "GS": "0000022",
    "MOR": "0000024", "TS": "0000025", "US": "0000026", "PS": "0000027", "IS": "0000028", "RTN": "0000029",
    "GRU": "0000042", "CC": "0000043", "NPOA": "0000044", "NPU": "0000045", "NCU": "0000046",
}  # fmt: skip
_TERMS = frozenset(DUO) | {f"DUO:{number}" for number in DUO.values()}
_DISEASE_TERMS = frozenset({"DS", f"DUO:{DUO['DS']}"})
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# ICD-10: a letter of a chapter, a category (I45) or below it (I45.8).
_DISEASE = re.compile(r"[A-Z](?:[0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?)?")
_BAND = re.compile(r"[0-9]{1,3}(?:-[0-9]{1,3}|\+)")

Inputs = Mapping[str, BinaryIO]
_Check = Callable[[str], bool]


def read_samples(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """The sample sheet: {"rows": [{sample, participant, file}]}.

    spec {"path"}, and optionally "files": file -> its sample names ([] where a format names none).
    """
    del outputs
    path = str(spec["path"])
    rows = read_rows(path, inputs["file"], required=SHEET, allowed=SHEET)
    seen: set[tuple[str, str]] = set()
    for row in rows:
        _plain(path, row, SHEET)
        pair = row.cells["file"], row.cells["sample"]
        if pair in seen:
            raise _refusal("duplicate_sample", path, row, "sample", "this sample stands twice for its file")
        seen.add(pair)
    if "files" in spec:
        _check_files(path, rows, spec["files"])
    return {"rows": [row.cells for row in rows]}


def read_consent(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """The consent table: {"rows": [...]}, one per participant; dates, answers and closed vocabularies are checked.

    spec {"path"}, and optionally "participants": those of the sample sheet; anybody else's consent is refused.
    """
    del outputs
    path = str(spec["path"])
    rows = read_rows(path, inputs["file"], required=CONSENT_NEEDED, allowed=CONSENT)
    if not {"birth_date", "age_band"} & rows[0].cells.keys():
        raise ConnectorError("missing_column", f"{path}: row 1: a column birth_date or age_band is needed")
    known = frozenset(spec["participants"]) if "participants" in spec else None
    seen: set[str] = set()
    for row in rows:
        _plain(path, row, CONSENT_NEEDED)
        person = row.cells["participant"]
        if person in seen:
            raise _refusal("duplicate_participant", path, row, "participant", "a second consent of this participant")
        if known is not None and person not in known:
            raise _refusal("unknown_participant", path, row, "participant", "the sample sheet lacks this participant")
        seen.add(person)
        _check_terms(path, row)
    return {"rows": [row.cells for row in rows]}


def read_columns(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """The named columns of a table, row by row. spec {"path", "columns"}."""
    del outputs
    path, columns = str(spec["path"]), tuple(spec["columns"])
    rows = read_rows(path, inputs["file"], required=columns, allowed=None)
    return {"rows": [{column: row.cells[column] for column in columns} for row in rows]}


def read_identifiers(spec: Mapping[str, Any], inputs: Inputs, outputs: Inputs) -> dict[str, Any]:
    """{"values": column -> its distinct values, sorted}, without empty cells: what the leak check looks for."""
    rows = read_columns(spec, inputs, outputs)["rows"]
    cells = {column: {row[column].strip() for row in rows} - {""} for column in spec["columns"]}
    return {"values": {column: sorted(values) for column, values in cells.items()}}


def _check_files(path: str, rows: Sequence[NumberedRow], files: Mapping[str, Sequence[str]]) -> None:
    named = {file: frozenset(samples) for file, samples in files.items()}
    sheet: dict[str, set[str]] = {}
    for row in rows:
        file, sample = row.cells["file"], row.cells["sample"]
        if file not in named:
            raise _refusal("unknown_file", path, row, "file", "the manifest lacks this file")
        if named[file] and sample not in named[file]:
            raise _refusal("unknown_sample", path, row, "sample", f"{shown(file)} has no such sample")
        sheet.setdefault(file, set()).add(sample)
    for file, samples in named.items():
        if absent := len(samples - sheet.get(file, set())):
            raise ConnectorError("missing_sample", f"{path}: {absent} samples of {shown(file)} are not in the sheet")


def _check_terms(path: str, row: NumberedRow) -> None:
    for column in row.cells:
        test, words = _CHECKS.get(column, (None, ""))
        cell = row.cells[column]
        if test is not None and cell and not test(cell):
            raise _refusal("bad_date" if column in DATES else "bad_value", path, row, column, words)
    if _DISEASE_TERMS & set(_parts(row.cells["purposes"])) and not _parts(row.cells.get("diseases", "")):
        raise _refusal("bad_value", path, row, "diseases", "DS needs the diseases it is for")


def _is_day(cell: str) -> bool:
    try:
        return bool(_DAY.fullmatch(cell)) and bool(date.fromisoformat(cell))
    except ValueError:
        return False


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _among(words: Iterable[str]) -> tuple[_Check, str]:
    known = frozenset(words)
    return lambda cell: bool(_parts(cell)) and known.issuperset(_parts(cell)), f"use only {', '.join(sorted(known))}"


_CHECKS: Mapping[str, tuple[_Check, str]] = {
    **dict.fromkeys(DATES, (_is_day, "write dates as 2026-01-31")),
    **dict.fromkeys(YES_NO, (frozenset({"yes", "no"}).__contains__, "write yes or no")),
    "places": _among(PLACES),
    "recipient_kinds": _among(KINDS),
    "purposes": (_among(_TERMS)[0], "use terms of the Data Use Ontology, such as DS;NCU or DUO:0000007"),
    "diseases": (lambda cell: all(map(_DISEASE.fullmatch, _parts(cell))), "write ICD-10 codes, such as I45;I47.2"),
    "age_band": (lambda cell: bool(_BAND.fullmatch(cell)), "write bands as 40-49 or 90+"),
}


def _plain(path: str, row: NumberedRow, columns: Sequence[str]) -> None:
    """Filled, without blanks around it or characters that do not show: ids that look alike must be alike."""
    for column in columns:
        cell = row.cells[column]
        if not cell.strip():
            raise ConnectorError("empty_cell", f"{path}: row {row.number}, column {column} is empty")
        if cell != cell.strip() or not cell.isprintable():
            raise _refusal("bad_cell", path, row, column, "there are blanks around it or characters that do not show")


def _refusal(code: str, path: str, row: NumberedRow, column: str, words: str) -> ConnectorError:
    return ConnectorError(code, f"{path}: row {row.number}, column {column}: {words}")
