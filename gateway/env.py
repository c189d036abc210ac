"""Everything a use case may touch, handed to it as one value by ``gateway.bootstrap``. Only protocols and
plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from gateway.ports import Clock, Randomness, Reached, Signer, UnitOfWork
from gateway.verifier.rotation import LogKeys, Rotation
from policies.decide import Policy


class FactsOfLog(Protocol):
    """What the log itself says of fact rows, read from its bundles and never from the database."""

    @property
    def size(self) -> int:
        """Entries read so far."""

    def latest(self, table: str, row_id: str) -> tuple[int, bytes] | None:
        """(version, commitment root) of the newest fact entry about that row."""

    def rows_in(self, scope: str) -> set[tuple[str, str]]:
        """Every (table, row id) that ever had a fact in that scope."""


class Ledger(Protocol):
    """The log as the use cases see it."""

    @property
    def origin(self) -> str:
        """Checkpoint origin; one per gateway and year."""

    def sync(self) -> int:
        """Sequence and publish whatever waits; the published size. Raises LedgerUnavailable, and then nothing
        leaves."""

    @property
    def witnessed(self) -> bool:
        """Whether hand-over waits for the witnesses' cosignatures."""

    def confirm(self) -> int:
        """``sync``, and the size up to which hand-over may rely on the log: in witnessed mode the cosigned one."""

    def keys(self) -> LogKeys:
        """The keys of the log, the present one last."""

    def rotate(self, signer: Signer) -> Rotation:
        """From the present size on that signer's key signs."""

    def facts(self) -> FactsOfLog:
        """The facts of the log up to its published size."""

    def receipt(self, position: int) -> bytes:
        """A ``.tlog-proof`` for the entry at ``position`` under the present checkpoint."""

    def file(self, path: str) -> bytes | None:
        """One file of the published log, or None. Raises ValueError for a path that no log has."""


class Sandbox(Protocol):
    """Runs one named task on outside bytes in a fresh child without keys and network."""

    def __call__(
        self,
        task: str,
        spec: Mapping[str, Any],
        *,
        inputs: Mapping[str, BinaryIO],
        outputs: Mapping[str, BinaryIO],
    ) -> Any:
        """The task's JSON result."""


class Objects(Protocol):
    """The files of one dataset's source, read-only."""

    def open(self, path: str) -> BinaryIO:
        """The file, positioned at its start."""

    def list(self) -> list[str]:
        """Every plain file, relative, sorted."""

    def checksum(self, path: str) -> str:
        """SHA-256, hex, read now."""

    def size(self, path: str) -> int:
        """Bytes."""


class Policies(Protocol):
    """The installed rules."""

    def __call__(self, packs: frozenset[str]) -> Policy:
        """Them with these packs switched on, parsed once. Raises PolicyError on a pack that is not there."""


class OpenObjects(Protocol):
    """Opens a dataset's source by the root it was registered with."""

    def __call__(self, root: str) -> Objects:
        """The objects under ``root``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A signed-in person, as every use case receives them. Roles are read anew on each request."""

    person_id: str
    institution_id: str
    unit: str
    roles: frozenset[str]
    place_of_access: str
    session_id: str | None = None

    def has(self, *roles: str) -> bool:
        """Whether the person holds any of the roles."""
        return not self.roles.isdisjoint(roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Env:
    """The ports, joined. ``demo`` homes refuse real datasets and listen on loopback only."""

    uow: UnitOfWork
    clock: Clock
    random: Randomness
    ledger: Ledger
    keys: Any
    sandbox: Sandbox
    staging: Any
    copies: Any
    objects: OpenObjects
    policies: Policies
    reached: Reached
    demo: bool
    settings: Mapping[str, Any] = field(default_factory=dict)

    def new_id(self) -> str:
        """128 random bits as hex: nothing derived, nothing sequential."""
        return self.random.token(16).hex()
