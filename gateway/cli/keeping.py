"""What a client keeps of a server's ledger: its key and its last checkpoint, and the demand that all goes on from them.

The first key is taken on trust and kept. From then on another key that the kept one did not sign for, a smaller log, or
a log that does not continue the kept checkpoint is an alarm, and nothing kept is overwritten. Everything shown by the
server is checked here: the proof is computed from its tiles and compared with both signed roots.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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
from gateway.verifier.receipt import check_receipt
from gateway.verifier.rotation import LogKeys, read_log_keys, rotation_path


class ServedLog:
    """``ports.LogFiles`` of a server's log, read only."""

    def __init__(self, server: Gateway, prefix: str = "") -> None:
        self._server, self._prefix = server, prefix

    def read(self, path: str) -> bytes | None:
        """One file, or None."""
        return self._server.find_bytes(f"/ledger/{self._prefix}{path}")

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
    _finish_change(folder)
    files = ServedLog(server)
    _follow_years(server, folder, _need(files.read(VKEY), VKEY))
    return _keep(files, folder)


def kept_keys(folder: Path, origin: str) -> LogKeys | None:
    """The keys kept of the server's log of that name, of this year or a former one; None where none was kept."""
    for one in (folder, *sorted(folder.parent.glob(f"{folder.name}.*"))):
        if (one / VKEY).exists():
            first = _key_of((one / VKEY).read_bytes(), one / VKEY)
            if first.name == origin:
                return read_log_keys(first, _reader(one))
    return None


def _reader(folder: Path) -> Callable[[str], bytes | None]:
    return lambda path: (folder / path).read_bytes() if (folder / path).exists() else None


def _follow_years(server: Gateway, folder: Path, served: bytes) -> None:
    """Where the server's log is another year's: from the kept one over each closing entry to it, or an alarm."""
    pinned = folder / VKEY
    number = 0
    while pinned.exists() and pinned.read_bytes() != served:
        number += 1
        former = ServedLog(server, f"former/{number}/")
        shown = former.read(VKEY)
        if shown is None:
            raise Rewritten(f"the server shows another ledger key than the one kept in {pinned}")
        if shown == pinned.read_bytes():
            keys, head = _keep(former, folder)
            _begin_next(folder, _following(former, keys, head))


def _following(former: ServedLog, keys: LogKeys, head: Checkpoint) -> VerifierKey:
    """The key that the last entry of a former log names for the next one."""
    entry = _need(former.read("end"), "closing entry")
    try:
        shown = check_receipt(_need(former.read("end.tlog-proof"), "proof of it"), entry=entry, key=keys)
        if (shown.index + 1, shown.size, shown.type) != (head.size, head.size, "log.end"):
            raise ValueError("the last entry is not a closing one")
        public = json.loads(entry)["public"]
        return VerifierKey(name=str(public["next"]), public_key=bytes.fromhex(public["next_key"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Rewritten(
            f"the server's ledger was changed for another that the old one does not name: {error}"
        ) from None


def _begin_next(folder: Path, key: VerifierKey) -> None:
    """What was kept stays beside; the next log's key takes its place, whole or not at all."""
    fresh = folder.with_name(f"{folder.name}.next")
    _write(fresh / VKEY, f"{key}\n".encode())
    folder.rename(folder.with_name(f"{folder.name}.{sha256((folder / VKEY).read_bytes()).hexdigest()[:16]}"))
    _finish_change(folder)


def _finish_change(folder: Path) -> None:
    """A change that was cut short goes on: without it the next key would be taken on trust."""
    fresh = folder.with_name(f"{folder.name}.next")
    if fresh.exists() and not folder.exists():
        fresh.rename(folder)


def _keep(files: ServedLog, folder: Path) -> tuple[LogKeys, Checkpoint]:
    """Check and keep one log's head."""
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
    return _key_of(served, pinned)


def _key_of(line: bytes, place: Path) -> VerifierKey:
    try:
        return parse_vkey(line.decode("ascii").removesuffix("\n"))
    except ValueError:
        raise BadInput(f"{place}: not a ledger key") from None


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
