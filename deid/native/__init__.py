"""Compiled kernels, each with a plain-Python twin that writes the same bytes or finds the same things.

They are optional: where the package was installed without a compiler, ``has_variants`` and its like are
false and the twins are used. Each is loaded when it is first asked for: a short task uses two of the eight.
A kernel gets bytes and gives bytes; it knows no file, no network, no clock and no key.
"""

from __future__ import annotations

from deid.nouns import TYPE_CHECKING

if TYPE_CHECKING:
    from deid.native import _bgzf, _cram, _fastq, _judging, _measure, _reads, _tables, _variants

    has_bgzf: bool
    has_cram: bool
    has_fastq: bool
    has_judging: bool
    has_measure: bool
    has_reads: bool
    has_tables: bool
    has_variants: bool

__all__ = [
    "_bgzf", "_cram", "_fastq", "_judging", "_measure", "_reads", "_tables", "_variants",
    "has_bgzf", "has_cram", "has_fastq", "has_judging", "has_measure", "has_reads", "has_tables", "has_variants",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """The kernel of that name, or whether it is there; what was found stays."""
    if name not in __all__:
        raise AttributeError(name)
    from importlib import import_module

    kernel = name.removeprefix("has")
    try:
        globals()[kernel] = import_module(f"deid.native.{kernel}")
    except ImportError:  # installed without a compiler; the twin does the work
        globals()["has" + kernel] = False
    else:
        globals()["has" + kernel] = True
    if name not in globals():
        raise AttributeError(f"{name}: the package was installed without it")
    return globals()[name]
