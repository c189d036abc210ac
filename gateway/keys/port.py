"""The one port to every secret the gateway holds: what may be asked, not where keys live.

    key-encryption key (kek)          wraps, never leaves
    ├── custodian key                 one per custodian, wrapped
    │   └── derived keys              HKDF by (custodian, purpose, dataset, project, version)
    └── whatever is wrapped           participant secrets, staging keys, salts: each under its own context
    ledger-signing, token, backup, source    independent of all of the above and of each other

Every key has versions counted from 1. Rotation adds one; the older stay readable. A file keeps them today
(``gateway.keys.files``); a PKCS#11 token or a KMS can stand here later, so nothing asks for the kek itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.ports import Signer


class Purpose(StrEnum):
    """All that custodian keys are for; a new use needs a new word here, never a second use of an old one."""

    PSEUDONYMS = "pseudonyms"
    ROW_ORDER = "row-order"
    READ_NAMES = "read-names"
    DATE_SHIFT = "date-shift"
    NOISE = "noise"
    MARKS = "marks"
    LINKAGE = "linkage"
    PARTICIPANT_MAP = "participant-map"


class KeyName(StrEnum):
    """The keys that stand alone."""

    KEK = "kek"
    LEDGER_SIGNING = "ledger-signing"
    TOKEN = "token"  # noqa: S105 - the name of a key, not one
    BACKUP = "backup"
    SOURCE = "source"
    LEDGER_ML_DSA = "ledger-ml-dsa"
    LEDGER_SM2 = "ledger-sm2"


ON_DEMAND = frozenset({KeyName.LEDGER_ML_DSA, KeyName.LEDGER_SM2})
"""Made when the settings first name them, not with the home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whom a derived key is for. ``dataset`` or ``project`` is None where the purpose spans all of them (linkage).

    ``version`` is the version of the custodian's key; what was made under an old version is made again under it.
    """

    custodian: str
    dataset: str | None
    project: str | None
    version: int


class Keys(Protocol):
    """Raises KeysError, or CannotUnwrapError for a blob that does not open."""

    def create_all(self) -> None:
        """Make what is missing; changes no byte of what is there, so it may run twice, also at the same time."""

    def add_custodian(self, custodian: str) -> int:
        """Make the custodian's key where there is none; the newest version."""

    def custodian_version(self, custodian: str) -> int:
        """The newest version of a custodian's key: what new copies are made under."""

    def derive(self, purpose: Purpose, scope: Scope) -> bytes:
        """32 bytes, the same for the same arguments for ever."""

    def wrap(self, context: str, secret: bytes) -> bytes:
        """``secret`` under the newest kek, bound to ``context`` (lead it with the custodian's id)."""

    def unwrap(self, context: str, blob: bytes) -> bytes:
        """What ``wrap`` was given, under whichever kek version it used."""

    def seal_apart(self, context: str, secret: bytes) -> bytes:
        """``secret`` under the newest backup key, for what is kept off this machine; bound to ``context``."""

    def open_apart(self, context: str, blob: bytes) -> bytes:
        """What ``seal_apart`` was given, under whichever version of the backup key it used."""

    def ledger_signer(self, name: str, *, version: int | None = None) -> Signer:
        """The ledger's Ed25519 key under the log's ``name``; the newest version unless told."""

    def ledger_signers(self, name: str) -> Iterator[Signer]:
        """Every key that ever signed or may sign the log, the newest first."""

    def secret(self, name: KeyName, *, version: int | None = None) -> bytes:
        """32 bytes of a key that stands alone (token, backup, source; never the kek or the signing key)."""

    def versions(self, name: KeyName) -> Sequence[int]:
        """All versions, oldest first."""

    def rotate(self, name: KeyName) -> int:
        """Add a version; its number."""

    def adopt(self, name: KeyName, secret: bytes) -> int:
        """Add a version with these 32 bytes, of a key that was announced before it is used; its number."""

    def rotate_custodian(self, custodian: str) -> int:
        """Add a version of a custodian's key; its number."""
