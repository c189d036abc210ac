"""What a client keeps of a server's ledger: its key and its last checkpoint, and the demand that all goes on from them.

The first key is taken on trust and kept. From then on another key that the kept one did not sign for, a smaller log, or
a log that does not continue the kept checkpoint is an alarm, and nothing kept is overwritten. Everything shown by the
server is checked here: the proof is computed from its tiles and compared with both signed roots.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from gateway.cli.session import Gateway
from gateway.errors import BadInput, LedgerUnavailable, Rewritten
from gateway.ledger.log import TreeFiles
from gateway.ports import LogFiles
from gateway.settings import load_settings
from gateway.verifier import merkle
from gateway.verifier.audit import CHECKPOINT, VKEY
from gateway.verifier.note import Checkpoint, VerifierKey, parse_vkey
from gateway.verifier.rotation import LogKeys, read_log_keys, rotation_path


class ServedLog:
    """``ports.LogFiles`` of a server's log, read only."""

    def __init__(self, server: Gateway) -> None:
        self._server = server

    def read(self, path: str) -> bytes | None:
        """One file, or None."""
        return self._server.find_bytes(f"/ledger/{path}")

    def write(self, path: str, data: bytes) -> None:
        """Never."""
        del path, data
        raise BadInput("a served log is only read")


def kept_folder(server: str) -> Path:
    """Where this server's key and last checkpoint lie, beside the session."""
    return load_settings().session_file.parent / "ledgers" / sha256(server.encode()).hexdigest()[:32]


def keep_up(server: Gateway, folder: Path) -> tuple[LogKeys, Checkpoint]:
    """The server's keys and its checkpoint, which continues the one kept in ``folder``; it is kept in its place.

    Raises Rewritten where it does not, LedgerUnavailable where the server cannot show it.
    """
    files = ServedLog(server)
    key = read_keys(_pinned_key(files, folder), files)
    signed = _need(files.read(CHECKPOINT), CHECKPOINT)
    head = _verified(signed, key, "the server's checkpoint")
    kept_file = folder / CHECKPOINT
    if kept_file.exists():
        kept = _verified(kept_file.read_bytes(), key, str(kept_file))
        _demand_continuation(files, kept, head)
    for number in range(1, len(key.keys)):
        path = rotation_path(number)
        _write(folder / path, _need(files.read(path), path))
    _write(kept_file, signed)
    return key, head


def read_keys(first: VerifierKey, files: LogFiles) -> LogKeys:
    """The kept key and those that took its place, each signed for by the one before. Raises Rewritten."""
    try:
        return read_log_keys(first, files.read)
    except ValueError as error:
        raise Rewritten(
            f"the server's ledger changed its key in a way that the old key did not sign: {error}"
        ) from None


def _demand_continuation(files: ServedLog, kept: Checkpoint, head: Checkpoint) -> None:
    if head.size < kept.size:
        raise Rewritten(
            f"the server's ledger has {head.size} entries, and {kept.size} were kept of it: some were removed"
        )
    if kept.size == 0:
        return
    try:
        proof = TreeFiles(files, head.size).consistency(kept.size)
        merkle.verify_consistency(sizes=(kept.size, head.size), roots=(kept.root, head.root), proof=proof)
    except ValueError:
        raise Rewritten(
            f"the server's ledger does not continue the checkpoint of size {kept.size} that was kept of it"
        ) from None


def _pinned_key(files: ServedLog, folder: Path) -> VerifierKey:
    served = _need(files.read(VKEY), VKEY)
    pinned = folder / VKEY
    if not pinned.exists():
        _write(pinned, served)
    if pinned.read_bytes() != served:
        raise Rewritten(f"the server shows another ledger key than the one kept in {pinned}")
    try:
        return parse_vkey(served.decode("ascii").removesuffix("\n"))
    except ValueError:
        raise BadInput(f"{pinned}: not a ledger key") from None


def _verified(signed: bytes, key: LogKeys, what: str) -> Checkpoint:
    try:
        return key.verify(signed)
    except ValueError as error:
        raise Rewritten(f"{what}: {error}") from None


def _need(data: bytes | None, name: str) -> bytes:
    if data is None:
        raise LedgerUnavailable(f"the server shows no {name}")
    return data


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: half a kept checkpoint would be a false alarm."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
