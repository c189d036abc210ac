"""Prefixes: the first characters of a hierarchical code stay.

GB/T 37964-2019, Annex A: generalisation (泛化技术).
"""

from __future__ import annotations


def prefix_of(value: str, length: int) -> str:
    """The first ``length`` characters; a shorter value stays whole."""
    return value[:length]
