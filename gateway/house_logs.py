"""What stands behind each log of a home: its keys, its files, its journal, its witnesses, joined to one ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from gateway.errors import BadInput
from gateway.home import Home, read_home
from gateway.journal import Journal
from gateway.keys import FileKeys
from gateway.keys.further import LINES, Line, further_line, sm2_line
from gateway.keys.token import TokenKeys, open_token
from gateway.ledger.embedded import LEASE_SECONDS, EmbeddedLedger
from gateway.ledger.files import DiskLogFiles, KeptLog
from gateway.ledger.line import OPEN, RETIRED, Origin
from gateway.ledger.pages import SealedPages
from gateway.ledger.sequencer import Sequencer
from gateway.ledger.side import Memory, SideRoot
from gateway.machine import SystemRandomness
from gateway.origins import LogOrigins, line_of
from gateway.ports import Clock, Randomness, Signer, Tx
from gateway.settings import Settings
from gateway.store.outbox import SqlLease, SqlOutbox
from gateway.store.transactions import SqlUnitOfWork
from gateway.verifier.audit import CHECKPOINT
from gateway.verifier.further import Sm2Key
from gateway.verifier.note import VerifierKey
from gateway.verifier.policy import parse_policy
from gateway.witness import Cosigning
from gateway.witness_http import HttpPost


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """Opens one log of the line."""

    settings: Settings
    keys: FileKeys
    uow: SqlUnitOfWork
    clock: Clock
    home: Home
    journal: Journal | None
    origins: LogOrigins
    halt: Callable[[], None]

    def open(self, one: Origin) -> tuple[EmbeddedLedger, KeptLog]:
        """Its ledger and its files."""
        start, random = one.start or 0, SystemRandomness()
        files = log_files(self.settings, self.home, one, halt=self.halt)
        lease = SqlLease(self.uow, one.name, holder=random.token(16).hex(), clock=self.clock, seconds=LEASE_SECONDS)
        cosigning = open_cosigning(self.settings, files, self.clock)
        sequencer = Sequencer(
            outbox=SqlOutbox(self.uow, one.name, start=start),
            files=files,
            signer=next(self.keys.ledger_signers(one.name)),
            clock=self.clock,
            origin=one.name,
            fence=lease.take,
            floor=lambda: max(self._journalled(one), cosigning.floor() if cosigning else 0),
            signers=partial(signer_of, self.keys, one.name),
            further=[partial(self._further, one.name, kind) for kind in wanted_lines(self.settings)],
        )
        journal = self.journal
        keep = (lambda _size: None) if journal is None else (lambda size: journal.append(start + size))
        pages = SealedPages(self.home.facts(one.number), origin=one.name, seal=self.keys.wrap, unseal=self.keys.unwrap)
        side = self._side(one, files)
        log = EmbeddedLedger(sequencer, files, lease, cosigners=cosigning, journal=keep, pages=pages, side=side)
        return log, files

    def _side(self, one: Origin, files: KeptLog) -> Callable[[int], None]:
        """What keeps the SM3 side root, where the settings want one."""
        if not self.settings.sm3_root:
            return lambda _size: None
        kept = DiskLogFiles(self.home.facts(one.number))
        memory = Memory(kept, one.name, seal=self.keys.wrap, unseal=self.keys.unwrap)
        return SideRoot(files, lambda: self._sm2(one.name), clock=self.clock, memory=memory).advance

    def _sm2(self, name: str) -> tuple[Sm2Key, Line]:
        return sm2_line(name, line_seed(self.keys, "sm2"), SystemRandomness().token)

    def _further(self, name: str, kind: str, text: bytes, now: datetime) -> bytes:
        """Under the key of the moment: it may have been replaced since we began."""
        _, line = further_line(kind, name, line_seed(self.keys, kind), SystemRandomness().token)
        return line(text, now)

    def _journalled(self, one: Origin) -> int:
        """How many entries of this log the journal has."""
        end = 0 if self.journal is None else self.journal.end()
        ceiling = self.origins.ceiling(one.name)
        return (end if ceiling is None else min(end, ceiling)) - (one.start or 0)


def open_origins(home: Home, keys: FileKeys, uow: SqlUnitOfWork, clock: Clock, random: Randomness) -> LogOrigins:
    """The line of logs of a home."""

    def next_key(name: str) -> bytes:
        return next(keys.ledger_signers(name)).public_key

    return LogOrigins(uow, first=home.origin, clock=clock, random=random, next_key=next_key)


def log_files(settings: Settings, home: Home, one: Origin, *, halt: Callable[[], None] = lambda: None) -> KeptLog:
    """Where a log of the home is published: a folder of the home, or the object store of the settings."""
    folder = home.log(one.number)
    if settings.ledger_store is None:
        return DiskLogFiles(folder, halt=halt)
    from gateway.object_store import object_logs  # heavy, and few homes want it

    opened = object_logs(settings.ledger_store, SystemRandomness().token(16).hex())
    return opened(folder.name, home.root / f"{folder.name}.lock")


def begun_logs(settings: Settings, tx: Tx) -> list[tuple[Origin, KeptLog]]:
    """Every log of the home that has a tree and is not retired, the oldest first, each with its files."""
    home = read_home(settings)
    first = Origin(number=1, name=home.origin, start=0, size=0, root=b"", year=0, state=OPEN)
    line = [one for one in line_of(tx) or [first] if one.state != RETIRED and one.start is not None]
    return [(one, log_files(settings, home, one)) for one in line if _has_tree(settings, home, one)]


def _has_tree(settings: Settings, home: Home, one: Origin) -> bool:
    if one.size or one.number == 1:
        return True
    if settings.ledger_store is None:  # asked of the folder, which must not be made by asking
        return (home.log(one.number) / CHECKPOINT).exists()
    return log_files(settings, home, one).read(CHECKPOINT) is not None


def open_keys(settings: Settings, random: Randomness) -> FileKeys:
    """The keys of the home; the log's own in a token where the settings name one."""
    root = settings.home / "keys"
    if settings.pkcs11_module is None:
        return FileKeys(root, random)
    token = open_token(settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file)
    return TokenKeys(root, random, token)


def wanted_lines(settings: Settings) -> list[str]:
    """The further signature lines that the settings name."""
    return [kind for kind in settings.further_lines.split(",") if kind]


def line_seed(keys: FileKeys, kind: str) -> bytes:
    """The secret of a further line's key, made when it is first wanted."""
    name = LINES[kind]
    if not keys.versions(name):
        keys.rotate(name)
    return keys.secret(name)


def signer_of(keys: FileKeys, origin: str, key: VerifierKey) -> Signer | None:
    """The signing key whose public half that is, or None."""
    return next((one for one in keys.ledger_signers(origin) if one.public_key == key.public_key), None)


def open_journal(settings: Settings, home: Home, keys: FileKeys, uow: SqlUnitOfWork) -> Journal | None:
    """The journal of the settings, or None."""
    return None if settings.journal is None else Journal(settings.journal, keys=keys, uow=uow, origin=home.origin)


def open_cosigning(settings: Settings, files: KeptLog, clock: Clock) -> Cosigning | None:
    """The witnesses of the settings' policy, or None. Raises BadInput for a policy that cannot be read."""
    if not settings.witness_policy:
        return None
    try:
        policy = parse_policy(Path(settings.witness_policy).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{settings.witness_policy}: {error}", code="bad_setting") from None
    posts = {name: HttpPost(address) for name, address in policy.addresses.items()}
    return Cosigning(files, policy, posts, clock=clock)
