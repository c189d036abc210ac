"""All or nothing: a value stays or becomes ``*``.

GB/T 37964-2019, Annex A: generalisation (泛化技术), to the root.
"""

from __future__ import annotations

TOP = "*"
"""The group of all values, the last rung of every ladder that is built here."""


def all_or_nothing(value: str | None) -> tuple[str | None, str]:
    """The ladder of a value (or of a missing one): itself, then the group of all."""
    return (value, TOP)
