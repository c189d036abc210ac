"""The verdict over a ledger: proven, tampered, or could not tell.

The order: the keys, the checkpoint's signature, the full audit, then what was kept from earlier: receipts and an older
checkpoint. The audit alone catches every changed byte; only something kept outside catches an insider who rewrites the
whole log and signs it again with the real key.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .audit import CHECKPOINT, VKEY, LogFolder, Tree, audit
from .errors import Contradiction, Finding, Inconclusive
from .note import Checkpoint, VerifierKey, parse_note, parse_vkey
from .policy import CannotCheckError, cosigners, parse_policy
from .proof import parse_proof, verify_proof
from .rotation import LogKeys, read_log_keys, rotation_path
from .side import SIDE, check_side

State = Literal["proven", "tampered", "unknown"]
Confirmed = tuple[int, bool, tuple[str, ...], int]
"""How many receipts held, whether a kept checkpoint did, who cosigned, how many logs before this one were proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What can be said; ``size`` and ``root_b64`` are the checkpoint's, None where its signature was not reached.

    ``place`` is a path inside the log, ``receipt N`` or ``since``. ``key_on_trust`` means the key came from the very
    folder that was examined, so the verdict is only as good as that file.
    """

    state: State
    size: int | None = None
    root_b64: str | None = None
    place: str | None = None
    detail: str
    key_on_trust: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One log whose every byte was accounted for; ``unsigned`` entries lie beyond the checkpoint."""

    files: LogFolder
    keys: LogKeys
    checkpoint: Checkpoint
    tree: Tree
    unsigned: int
    side: int | None
    """Entries that the SM3 side root covers; None where there is none."""


def verify_log(
    folder: Path,
    *,
    key: str | None,
    receipts: Sequence[bytes] = (),
    since: bytes | None = None,
    policy: str | None = None,
) -> Verdict:
    """Audit the log in ``folder`` (``checkpoint``, ``tile/...``, ``log.vkey``) under ``key``, a verifier key string.

    Without a key the folder's own is taken on trust. ``policy`` is the text of a tlog-policy: its witnesses must have
    cosigned the checkpoint. Never raises for what it finds: every finding is a verdict.
    """
    verdict = Verdict(state="unknown", detail="", key_on_trust=key is None)
    log = None
    try:
        log = examine(folder, key)
        witnesses = () if policy is None else witnessed(log, policy)
        for number, receipt in enumerate(receipts, start=1):
            check_receipt_of_log(log, receipt, f"receipt {number}")
        if since is not None:
            check_since(log, since)
    except Finding as finding:
        return verdict_of(verdict, finding, log)
    return verdict_of(verdict, (len(receipts), since is not None, witnesses, 0), log)


def examine(folder: Path, key: str | None) -> Examined:
    """One log, proven as far as its folder tells; raises a ``Finding``."""
    files = LogFolder(_existing(folder))
    keys = _choose_keys(files, key)
    if CHECKPOINT not in files.paths:
        raise Inconclusive(CHECKPOINT, "is not there")
    checkpoint = _signed(files.read(CHECKPOINT), keys, place=CHECKPOINT)
    rotations = frozenset(map(rotation_path, range(1, len(keys.keys))))
    try:
        tree, unsigned = audit(files, checkpoint, rotations | {SIDE})
        side = check_side(files, checkpoint.origin, tree.size)
    except Finding as finding:
        finding.signed = checkpoint.size, checkpoint.root
        raise
    return Examined(files=files, keys=keys, checkpoint=checkpoint, tree=tree, unsigned=unsigned, side=side)


def verdict_of(verdict: Verdict, found: Finding | Confirmed, log: Examined | None) -> Verdict:
    """The verdict over the log that was examined last; its size and root where its signature was reached."""
    signed = found.signed if isinstance(found, Finding) else None
    signed = signed if log is None else (log.checkpoint.size, log.checkpoint.root)
    if signed is not None:
        verdict = replace(verdict, size=signed[0], root_b64=base64.b64encode(signed[1]).decode())
    if isinstance(found, Finding):
        state: State = "tampered" if isinstance(found, Contradiction) else "unknown"
        return replace(verdict, state=state, place=found.place, detail=found.detail)
    assert log is not None  # noqa: S101  nothing is confirmed that was not examined
    return replace(verdict, state="proven", detail=_summary(log, found))


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise Inconclusive("log folder", "is not a folder that can be read")
    return folder


def _choose_keys(files: LogFolder, given: str | None) -> LogKeys:
    """The log's keys. A given one must be among them: each vouches for its neighbours, so one kept key is enough."""
    wanted = parse_given(given) if given is not None else None
    if VKEY not in files.paths and wanted is None:
        raise Inconclusive(VKEY, "is not there and no key was given")
    found = _first_key(files) if VKEY in files.paths else wanted
    assert found is not None  # noqa: S101  one of the two is there
    place = [VKEY]

    def read(path: str) -> bytes | None:
        place.append(path)
        return files.read(path) if path in files.paths else None

    try:
        keys = read_log_keys(found, read)
    except ValueError as error:
        raise Contradiction(place[-1], str(error)) from None
    if wanted is not None and wanted not in keys.keys:
        raise Contradiction(VKEY, "is not the key that was given")
    return keys


def _first_key(files: LogFolder) -> VerifierKey:
    line = files.read(VKEY)
    try:
        found = parse_vkey(line.decode("ascii").removesuffix("\n"))
    except ValueError as error:
        raise Contradiction(VKEY, str(error)) from None
    if line != f"{found}\n".encode():
        raise Contradiction(VKEY, "is not one line with one key")
    return found


def parse_given(given: str) -> VerifierKey:
    try:
        return parse_vkey(given.strip())
    except ValueError as error:
        raise Inconclusive("given key", str(error)) from None


def _signed(data: bytes, keys: LogKeys, *, place: str) -> Checkpoint:
    try:
        return keys.verify(data)
    except ValueError as error:
        raise Contradiction(place, str(error)) from None


def witnessed(log: Examined, text: str) -> tuple[str, ...]:
    """The policy's witnesses that cosigned the checkpoint, and they are enough."""
    try:
        policy = parse_policy(text)
    except ValueError as error:
        raise Inconclusive("policy", str(error)) from None
    try:
        found = cosigners(parse_note(log.files.read(CHECKPOINT)), policy)
    except CannotCheckError as error:
        raise Inconclusive(CHECKPOINT, str(error)) from None
    except ValueError as error:
        raise Contradiction(CHECKPOINT, str(error)) from None
    if not policy.satisfied(found):
        raise Inconclusive(CHECKPOINT, f"is cosigned by {len(found)} witnesses of the policy, and that is not enough")
    return found


def check_receipt_of_log(log: Examined, receipt: bytes, place: str) -> None:
    """A receipt must be signed, fit the log as it was then, and prove the entry that stands there now."""
    try:
        proof = parse_proof(receipt)
        checkpoint = log.keys.verify(proof.signed_checkpoint)
    except ValueError as error:
        # What cannot be shown to be ours proves nothing either way, but the log is not proven over it.
        raise Inconclusive(place, str(error)) from None
    _check_prefix(log, checkpoint, place)
    if proof.index >= checkpoint.size:
        raise Inconclusive(place, "its index lies outside its own checkpoint")
    try:
        verify_proof(receipt, key=log.keys, leaf=log.tree.levels[0][proof.index])
    except ValueError as error:
        raise Inconclusive(place, f"{error}, although its checkpoint is the log's") from None


def check_since(log: Examined, kept: bytes) -> None:
    """The log still begins with what a checkpoint kept from earlier signs."""
    try:
        checkpoint = log.keys.verify(kept)
    except ValueError as error:
        raise Inconclusive("since", str(error)) from None
    _check_prefix(log, checkpoint, "since")


def _check_prefix(log: Examined, older: Checkpoint, place: str) -> None:
    """The log still begins with everything it once signed."""
    tree, head = log.tree, log.checkpoint
    if older.size > head.size:
        raise Contradiction(place, f"signs {older.size} entries, but the log now has {head.size}: entries were removed")
    if tree.root(older.size) != older.root:
        raise Contradiction(
            place, f"signs a root over the first {older.size} entries that the log no longer has: it was rewritten"
        )


def _summary(log: Examined, confirmed: Confirmed) -> str:
    receipts, since, witnesses, former = confirmed
    rotations = len(log.keys.sizes)
    parts = [f"all {log.checkpoint.size} entries and all tiles lie under the signed root"]
    if former:
        parts.append(f"{former} log{'s' if former > 1 else ''} before it, whole, each followed by the next")
    if rotations:
        parts.append(f"{rotations} change{'s' if rotations > 1 else ''} of key, each signed by both keys")
    if log.side is not None:
        parts.append(f"the SM3 root over {log.side} entries is theirs (its SM2 key is taken on trust)")
    if receipts:
        parts.append(f"{receipts} receipt{'s' if receipts > 1 else ''} confirmed")
    if since:
        parts.append("only appended to since the kept checkpoint")
    if witnesses:
        parts.append(f"cosigned by {', '.join(witnesses)}")
    elif not receipts and not since:
        parts.append("nothing kept from earlier was given, so a log rewritten and signed again would look the same")
    if log.unsigned:
        parts.append(f"{log.unsigned} further entries are not signed yet and prove nothing")
    return "; ".join(parts)
