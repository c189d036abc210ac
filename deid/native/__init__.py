"""Compiled kernels, each with a plain-Python twin that writes the same bytes.

They are optional: where the package was installed without a compiler, ``has_variants`` is false and the twin is used.
A kernel gets bytes and gives bytes; it knows no file, no network, no clock and no key.
"""

from __future__ import annotations

try:
    from deid.native import _variants
except ImportError:  # installed without a compiler; the twin does the work
    has_variants = False
else:
    has_variants = True

__all__ = ["_variants", "has_variants"]
