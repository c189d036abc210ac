"""The dataset manifest (YAML): read strictly, every error with its place. Runs as a sandbox task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import yaml

from connectors.errors import ConnectorError

REQUIRED = {
    "dataset": str, "title": dict, "owner": str, "holder": str, "responsible_person": str, "origin_of_material": str,
    "provenance": dict, "hgr": dict, "population": dict, "samples": str, "data_use": list, "consent": str,
    "files": list, "views": list,
}  # fmt: skip
OPTIONAL = {
    "diseases": list, "identifiers": dict, "secret": str, "important": str, "synthetic": bool, "investigators": list,
    "stored_in": str, "public": str, "public_accession": str, "collection_permit": str, "domestic_data_added": str,
}  # fmt: skip
PROVENANCE = ("laboratory", "platform", "kit", "pipeline", "reference_build")
FLAGS = ("region_flag", "pedigree_flag")
VIEW = ("name", "recipe", "tier", "files")
KINDS = frozenset({"vcf", "table", "reads", "fastq", "matrix", "frequencies", "reference"})
TIERS = frozenset({"open", "registered", "controlled", "enclave"})


def read_manifest(
    spec: Mapping[str, Any], inputs: Mapping[str, BinaryIO], outputs: Mapping[str, BinaryIO]
) -> dict[str, Any]:
    """The manifest as plain data. Unknown flags become "unknown", which later holds; nothing is guessed."""
    del outputs
    path = str(spec.get("path", "manifest.yaml"))
    try:
        body = yaml.safe_load(inputs["file"].read())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "its text"
        raise ConnectorError("bad_yaml", f"{path}: {where} is not readable as YAML") from None
    if not isinstance(body, dict):
        raise ConnectorError("bad_manifest", f"{path}: a manifest is a mapping of keys")
    _keys(path, body)
    _files(path, body)
    body["population"] = {**dict.fromkeys((*FLAGS, "reviewer_flag"), "unknown"), **body["population"]}
    for flag in (*FLAGS, "reviewer_flag"):
        _trilean(path, f"population.{flag}", body["population"][flag])
    for key in ("secret", "important", "public", "domestic_data_added"):
        body.setdefault(key, "unknown")
        _trilean(path, key, body[key])
    return body


def _keys(path: str, body: Mapping[str, Any]) -> None:
    for key in REQUIRED:
        if key not in body:
            raise ConnectorError("missing_key", f"{path}: the key {key} is missing")
    for key, value in body.items():
        kind: Any = REQUIRED.get(key) or OPTIONAL.get(key)
        if kind is None:
            raise ConnectorError("unknown_key", f"{path}: unknown key {str(key)[:40]}")
        if not isinstance(value, kind):
            raise ConnectorError("bad_value", f"{path}: {key} must be a {kind.__name__}")
    if not {"en", "zh-Hans", "zh-Hant"} >= set(body["title"]) or "en" not in body["title"]:
        raise ConnectorError("bad_value", f"{path}: title takes en, zh-Hans and zh-Hant, and needs en")


def _files(path: str, body: Mapping[str, Any]) -> None:
    named = set()
    for n, entry in enumerate(body["files"], 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str) or entry.get("kind") not in KINDS:
            raise ConnectorError("bad_value", f"{path}: files, entry {n}: needs path and a known kind")
        named.add(entry["path"])
    for n, view in enumerate(body["views"], 1):
        if not isinstance(view, dict) or any(key not in view for key in VIEW) or view["tier"] not in TIERS:
            raise ConnectorError("bad_value", f"{path}: views, entry {n}: needs name, recipe, a known tier and files")
        if not isinstance(view["files"], list) or not set(view["files"]) <= named:
            raise ConnectorError("bad_value", f"{path}: views, entry {n}: names a file that is not under files")


def _trilean(path: str, key: str, value: object) -> None:
    if value not in {"yes", "no", "unknown"}:
        raise ConnectorError("bad_value", f"{path}: {key} must be 'yes', 'no' or 'unknown' (in quotes)")
