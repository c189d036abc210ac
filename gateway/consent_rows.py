"""How consent rows are hashed, and which of them are not what their fact says.

A row's hash is salted; the fact ``consent_set`` carries the digest over all row hashes, so changing any row behind the
gateway's back makes the set differ from its leaf, and the row whose hash no longer fits is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.canonical import canonical
from gateway.ports import Tx


def row_hash(participant_id: str, terms: Mapping[str, Any], withdrawn_recorded_at: str | None, salt: bytes) -> bytes:
    """SHA-256 over salt and the canonical row."""
    body = canonical({"participant": participant_id, "terms": dict(terms), "withdrawn": withdrawn_recorded_at})
    return hashlib.sha256(salt + body).digest()


def set_digest(hashes: Iterable[bytes]) -> str:
    """SHA-256, hex, over the row hashes in order of participant id."""
    total = hashlib.sha256()
    for item in hashes:
        total.update(item)
    return total.hexdigest()


def rows_that_differ(tx: Tx, dataset_id: str) -> list[str]:
    """Places (``consent:<participant id>`` or the whole set) where the rows are not what the fact says."""
    rows = tx.find("consent", dataset_id=dataset_id)
    wrong = [
        f"consent:{row['id']}"
        for row in rows
        if row_hash(row["id"], row["terms"], row["withdrawn_recorded_at"], bytes(row["salt"])) != bytes(row["row_hash"])
    ]
    sets = tx.find("consent_set", dataset_id=dataset_id)
    total = set_digest(bytes(row["row_hash"]) for row in rows)
    if not wrong and (len(sets) != 1 or sets[0]["digest"] != total or sets[0]["rows"] != len(rows)):
        wrong.append(f"consent_set:{dataset_id}")
    return wrong
