"""Compiled kernels, each with a plain-Python twin that writes the same bytes or finds the same things.

They are optional: where the package was installed without a compiler, ``has_variants`` and its like are
false and the twins are used.
A kernel gets bytes and gives bytes; it knows no file, no network, no clock and no key.
"""

from __future__ import annotations

try:
    from deid.native import _variants
except ImportError:  # installed without a compiler; the twin does the work
    has_variants = False
else:
    has_variants = True
try:
    from deid.native import _measure
except ImportError:
    has_measure = False
else:
    has_measure = True
try:
    from deid.native import _reads
except ImportError:
    has_reads = False
else:
    has_reads = True
try:
    from deid.native import _fastq
except ImportError:
    has_fastq = False
else:
    has_fastq = True

try:
    from deid.native import _tables
except ImportError:
    has_tables = False
else:
    has_tables = True
try:
    from deid.native import _judging
except ImportError:
    has_judging = False
else:
    has_judging = True
try:
    from deid.native import _bgzf
except ImportError:
    has_bgzf = False
else:
    has_bgzf = True

__all__ = [
    "_bgzf", "_fastq", "_judging", "_measure", "_reads", "_tables", "_variants",
    "has_bgzf", "has_fastq", "has_judging", "has_measure", "has_reads", "has_tables", "has_variants",
]  # fmt: skip
