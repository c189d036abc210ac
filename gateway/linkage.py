"""The same person recognised without saying who: a keyed hash of the strongest identifier under a custodian's key."""

from __future__ import annotations

import hmac

from gateway.keys import Keys, Purpose, Scope


def linkage_key(keys: Keys, custodian_id: str, identifier: str) -> str:
    """32 hex characters; the same identifier under another custodian's key gives another."""
    # Version 1 for good: a rotated linkage key would count everybody twice.
    scope = Scope(custodian=custodian_id, dataset=None, project=None, version=1)
    key = keys.derive(Purpose.LINKAGE, scope)
    return hmac.digest(key, identifier.strip().upper().encode(), "sha256").hex()[:32]
