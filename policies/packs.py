"""Read a policy folder: law/<pack>/*.cedar with their schema, texts, limits and the words of the law by date.

Packs that are switched off by default bind nobody until the operator names them. A pack may set limits of its own
(limits.toml beside its rules), which count while it is switched on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

from policies.engine import PolicyError

OFF_PACKS = frozenset({"trusted-institutions", "revision-2026", "hong-kong-branch-pilot"})
"""A proposal, a reported draft whose text was not found, and a pilot known from the press."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The texts of one policy folder, as files say them."""

    packs: Mapping[str, Mapping[str, str]]
    schema: str
    words: Mapping[str, Any]
    limits: Mapping[str, Mapping[str, Any]]
    authorities: tuple[Mapping[str, Any], ...] = field(default=())

    def limit_values(self) -> dict[str, int | bool]:
        """The values that rules read as ``context.limits``."""
        return {name: row["value"] for name, row in self.limits.items() if row.get("rule")}


def read_sources(root: Traversable, packs: frozenset[str] = frozenset()) -> Sources:
    """The folder ``root`` with its ordinary packs and those of ``packs``. Raises PolicyError on an unknown pack."""
    folders = {pack.name: pack for pack in (root / "law").iterdir() if pack.is_dir()}
    if packs - folders.keys():
        raise PolicyError(
            f"no pack {', '.join(sorted(packs - folders.keys()))}; there are: {', '.join(sorted(folders))}"
        )
    chosen = {name: pack for name, pack in sorted(folders.items()) if name not in OFF_PACKS or name in packs}
    limits = _toml(root / "tables" / "limits.toml")
    for name, pack in chosen.items():
        limits = _with_values(limits, name, pack / "limits.toml")
    return Sources(
        packs={name: _cedar(pack) for name, pack in chosen.items()},
        schema=(root / "law" / "schema.cedarschema").read_text("utf-8"),
        words=_toml(root / "texts" / "rules.toml"),
        limits=limits,
        authorities=tuple(_toml(root / "tables" / "authorities.toml")["hgr"]),
    )


def _cedar(pack: Traversable) -> dict[str, str]:
    found = sorted((file for file in pack.iterdir() if file.name.endswith(".cedar")), key=lambda file: file.name)
    return {file.name: file.read_text("utf-8") for file in found}


def _with_values(limits: dict[str, Any], pack: str, file: Traversable) -> dict[str, Any]:
    if not file.is_file():
        return limits
    values = _toml(file)
    for name, value in values.items():
        if name not in limits or type(value) is not type(limits[name]["value"]):
            raise PolicyError(f"pack {pack}: {name} is not a limit of that type")
    return {**limits, **{name: {**limits[name], "value": value} for name, value in values.items()}}


def _toml(file: Traversable) -> dict[str, Any]:
    return tomllib.loads(file.read_text("utf-8"))
