"""How consent rows are hashed, which of them are not what their fact says, and the rows as a table that can be asked.

A row's hash is salted; the fact ``consent_set`` carries the digest over all row hashes, so changing any row behind the
gateway's back makes the set differ from its leaf, and the row whose hash no longer fits is named.

A decision over a hundred thousand people reads every row, but proves and prepares them once: what is kept is found
again by the fingerprint of the rows as they are stored, so a row that changed in any way is proven again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from gateway.canonical import canonical
from gateway.ports import Row, Tx
from policies.consent_table import ConsentTable

PEOPLE_KEPT = 2_000_000
"""Most participants whose prepared tables stay in memory; the dataset asked longest ago goes first."""


@dataclass(frozen=True, kw_only=True)
class Consents:
    """The consents of a dataset: a ``table`` to ask, who is whom in counts, ``wrong`` places, the set's ``digest``."""

    table: ConsentTable
    linkage: Mapping[str, str]
    wrong: tuple[str, ...]
    digest: str
    rows: int


def row_hash(
    participant_id: str,
    terms: Mapping[str, Any],
    withdrawn_recorded_at: str | None,
    salt: bytes,
    linkage: str | None = None,
) -> bytes:
    """SHA-256 over salt and the canonical row, with the token that tells the participant apart from others in counts.

    Without ``linkage``: the hash of a row from before the token was covered.
    """
    body = {"participant": participant_id, "terms": dict(terms), "withdrawn": withdrawn_recorded_at}
    if linkage is not None:
        body["linkage"] = linkage
    return hashlib.sha256(salt + canonical(body)).digest()


def set_digest(hashes: Iterable[bytes]) -> str:
    """SHA-256, hex, over the row hashes in order of participant id."""
    total = hashlib.sha256()
    for item in hashes:
        total.update(item)
    return total.hexdigest()


def consents_of(tx: Tx, dataset_id: str) -> Consents:
    """The dataset's consents as they are stored now, each row held against its hash."""
    key = tx.fingerprint("consent", dataset_id=dataset_id) + tx.fingerprint("participant", dataset_id=dataset_id)
    found = _KEPT.get(key)
    if found is None:
        people = tx.pick("participant", ("id", "linkage"), dataset_id=dataset_id)
        found = _proven(tx.find("consent", dataset_id=dataset_id), dict(people))
        _KEPT.put(key, found)
    return found


def rows_that_differ(tx: Tx, dataset_id: str) -> list[str]:
    """Places (``consent:<participant id>`` or the whole set) where the rows are not what the fact says."""
    consents = consents_of(tx, dataset_id)
    if consents.wrong:
        return list(consents.wrong)
    sets = tx.find("consent_set", dataset_id=dataset_id)
    as_said = len(sets) == 1 and (sets[0]["digest"], sets[0]["rows"]) == (consents.digest, consents.rows)
    return [] if as_said else [f"consent_set:{dataset_id}"]


def _proven(rows: list[Row], linkage: Mapping[str, str]) -> Consents:
    # A row that does not fit is asked like any other: its name in ``wrong`` refuses every release.
    terms = [_terms(row) | {"withdrawn_recorded_at": row["withdrawn_recorded_at"]} for row in rows]
    return Consents(
        table=ConsentTable.of_rows([row["id"] for row in rows], terms),
        linkage=linkage,
        wrong=tuple(f"consent:{row['id']}" for row in rows if not _fits(row, linkage.get(row["id"]))),
        digest=set_digest(bytes(row["row_hash"]) for row in rows),
        rows=len(rows),
    )


def _terms(row: Row) -> dict[str, Any]:
    """The terms, or none where somebody put another thing there: none permit nothing."""
    return row["terms"] if isinstance(row["terms"], dict) else {}


def _fits(row: Row, linkage: str | None) -> bool:
    if not isinstance(row["terms"], dict) or linkage is None:
        return False
    covered = row["id"], row["terms"], row["withdrawn_recorded_at"], bytes(row["salt"])
    # The set's digest is in the ledger, so nobody can give a row the older kind of hash.
    return bytes(row["row_hash"]) in (row_hash(*covered, linkage), row_hash(*covered))


class _Kept:
    """What was proven, by fingerprint, for as many people as ``PEOPLE_KEPT``; asked from several threads."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, Consents] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes) -> Consents | None:
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: bytes, found: Consents) -> None:
        with self._lock:
            self._found[key] = found
            while len(self._found) > 1 and sum(one.rows for one in self._found.values()) > PEOPLE_KEPT:
                self._found.popitem(last=False)


_KEPT = _Kept()
