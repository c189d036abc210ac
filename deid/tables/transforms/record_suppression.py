"""Record suppression: people no model can protect are left out.

GB/T 37964-2019, Annex A: suppression, records (记录抑制).
"""

from __future__ import annotations

from deid.errors import ModelError
from deid.tables.columnar import Codes, Mask


def kept_records(bad: Mask, of: Codes) -> Mask:
    """True for each row whose combination (``of``) is not ``bad``. Raises ModelError when nobody would be left."""
    kept: Mask = ~bad[of]
    if not kept.any():
        raise ModelError(
            "table: the models would suppress every row; use coarser hierarchies or fewer quasi-identifiers"
        )
    return kept
