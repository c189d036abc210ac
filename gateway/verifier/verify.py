"""Audit a copy of a ledger folder, every byte of it, and say proven, tampered (and where) or could not tell.

The order: the key; the checkpoint's signature; every entry bundle; every hash tile recomputed from the
entries; the root;
no file that does not belong; then each kept receipt and earlier checkpoint against the same leaves. A file
that the signed
checkpoint promises and that is not there is tampering (somebody removed evidence); a folder, checkpoint or key
that cannot
be read at all is "could not tell". A log rewritten as a whole and signed with the real key passes every inner
check: only
something kept outside (a receipt, an earlier checkpoint) shows it, which is why receipts are handed out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.verifier import tiles
from gateway.verifier.merkle import EMPTY_ROOT, ProofError, fold, leaf_hash, node_hash
from gateway.verifier.note import Checkpoint, NoteError, VerifierKey, parse_vkey, read_checkpoint
from gateway.verifier.proof import read_receipt, verify_receipt

KEY_FILE = "log.vkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``state`` is proven, tampered or unknown; ``place`` is a path in the folder or the name of the kept evidence."""

    state: str
    size: int = 0
    root: str = ""
    place: str = ""
    detail: str = ""
    key_on_trust: bool = False


class _TamperedError(Exception):
    def __init__(self, place: str, detail: str) -> None:
        super().__init__(detail)
        self.place, self.detail = place, detail


class _UnknownError(_TamperedError):
    pass


def verify_log(
    folder: Path, *, key: str | None = None, receipts: Sequence[bytes] = (), since: bytes | None = None
) -> Verdict:
    """Audit ``folder``. ``key`` is a vkey or the name of a file that holds one; without it the folder's own is
    trusted."""
    try:
        vkey = _key(folder, key)
        checkpoint = _checkpoint(folder, vkey)
        leaves = _leaves(folder, checkpoint.size)
        root = _tiles(folder, leaves)
        if root != checkpoint.root:
            raise _TamperedError("checkpoint", "the root of the entries is not the signed root")
        _nothing_else(folder, checkpoint.size)
        _kept(leaves, vkey, receipts, since)
    except _UnknownError as trouble:
        return Verdict(state="unknown", place=trouble.place, detail=trouble.detail, key_on_trust=key is None)
    except _TamperedError as found:
        return Verdict(state="tampered", place=found.place, detail=found.detail, key_on_trust=key is None)
    return Verdict(
        state="proven",
        size=checkpoint.size,
        root=base64.b64encode(checkpoint.root).decode(),
        detail=f"{checkpoint.size} entries, {len(receipts)} receipts",
        key_on_trust=key is None,
    )


def _key(folder: Path, key: str | None) -> VerifierKey:
    try:
        source = folder / KEY_FILE if key is None else Path(key)
        text = source.read_text("utf-8") if key is None or source.is_file() else key
        return parse_vkey(text)
    except (OSError, UnicodeDecodeError, NoteError) as error:
        raise _UnknownError(KEY_FILE, f"no usable key: {_words(error)}") from None


def _checkpoint(folder: Path, vkey: VerifierKey) -> Checkpoint:
    try:
        note = (folder / "checkpoint").read_bytes()
    except OSError as error:
        raise _UnknownError("checkpoint", f"cannot be read: {_words(error)}") from None
    try:
        return read_checkpoint(note, vkey)
    except NoteError as error:
        raise _TamperedError("checkpoint", str(error)) from None


def _read(folder: Path, path: str) -> bytes:
    try:
        return (folder / path).read_bytes()
    except FileNotFoundError:
        raise _TamperedError(path, "promised by the checkpoint, but not there") from None
    except OSError as error:
        raise _UnknownError(path, f"cannot be read: {_words(error)}") from None


def _leaves(folder: Path, size: int) -> list[bytes]:
    leaves: list[bytes] = []
    for path, (_, width) in tiles.bundles(size).items():
        try:
            entries = tiles.unpack(_read(folder, path), width)
        except tiles.BundleError as error:
            raise _TamperedError(path, str(error)) from None
        hashes = [leaf_hash(entry) for entry in entries]
        tile = path.replace("tile/entries/", "tile/0/")
        if b"".join(hashes) != _read(folder, tile):
            raise _TamperedError(path, f"the entries do not match their hash tile {tile}")
        leaves += hashes
    return leaves


def _tiles(folder: Path, leaves: list[bytes]) -> bytes:
    level, hashes = 0, leaves
    while len(hashes) >= tiles.WIDTH:
        hashes = [
            fold(hashes[i : i + tiles.WIDTH]) for i in range(0, len(hashes) // tiles.WIDTH * tiles.WIDTH, tiles.WIDTH)
        ]
        level += 1
        for n in range(0, len(hashes), tiles.WIDTH):
            part = hashes[n : n + tiles.WIDTH]
            path = tiles.tile_path(level, n // tiles.WIDTH, len(part))
            if b"".join(part) != _read(folder, path):
                raise _TamperedError(path, "the tile does not match the tiles below it")
    return fold(leaves)


def _nothing_else(folder: Path, size: int) -> None:
    expected = {"checkpoint", KEY_FILE, *tiles.layout(size), *tiles.bundles(size)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (not path.is_dir() and name not in expected and not _older_partial(name, size)):
            raise _TamperedError(name, "this file does not belong to the log")
        if not path.is_dir() and name not in expected:
            _check_partial(folder, name)


def _older_partial(name: str, size: int) -> bool:
    """Partial tiles of earlier checkpoints may stay (C2SP tlog-tiles); they are checked as prefixes all the same."""
    stem, mark, width = name.partition(".p/")
    known = {p.partition(".p/")[0] for p in (*tiles.layout(size), *tiles.bundles(size))}
    return (
        bool(mark) and stem in known and width.isdigit() and str(int(width)) == width and 0 < int(width) < tiles.WIDTH
    )


def _check_partial(folder: Path, name: str) -> None:
    stem, _, width = name.partition(".p/")
    old = _read(folder, name)
    wider = sorted((p for p in folder.glob(stem + ".p/*")), key=lambda p: int(p.name))
    full = folder / stem
    newest = (full if full.is_file() else wider[-1]).read_bytes()
    whole = _cut(newest, int(width)) if stem.startswith("tile/entries/") else newest[: tiles.HASH * int(width)]
    if old != whole:
        raise _TamperedError(name, "an earlier partial tile is not a prefix of the present one")


def _cut(bundle: bytes, count: int) -> bytes:
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    return bundle[:at]


def _kept(leaves: list[bytes], vkey: VerifierKey, receipts: Iterable[bytes], since: bytes | None) -> None:
    for n, data in enumerate(receipts, 1):
        place = f"receipt {n}"
        try:
            receipt = read_receipt(data)
            if receipt.index >= len(leaves):
                raise _TamperedError(place, "the log is shorter than the receipt proves")
            old = verify_receipt(receipt, leaves[receipt.index], vkey)
        except NoteError as error:
            raise _TamperedError(place, f"its checkpoint: {error}") from None
        except ProofError as error:
            raise _TamperedError(
                place, f"entry {_index(data)} of the log is not the one the receipt proves ({error})"
            ) from None
        _prefix(leaves, old, place)
    if since is not None:
        try:
            _prefix(leaves, read_checkpoint(since, vkey), "kept checkpoint")
        except NoteError as error:
            raise _TamperedError("kept checkpoint", str(error)) from None


def _prefix(leaves: list[bytes], old: Checkpoint, place: str) -> None:
    if old.size > len(leaves):
        raise _TamperedError(place, f"the log has {len(leaves)} entries, fewer than the {old.size} signed earlier")
    if (_root_of(leaves[: old.size])) != old.root:
        raise _TamperedError(place, f"the first {old.size} entries are not those signed earlier")


def _root_of(leaves: list[bytes]) -> bytes:
    return fold(leaves) if leaves else EMPTY_ROOT


def _index(data: bytes) -> str:
    for line in data.split(b"\n"):
        if line.startswith(b"index "):
            return line[6:].decode("ascii", "replace")
    return "?"


def _words(error: Exception) -> str:
    return error.strerror or "input or output error" if isinstance(error, OSError) else str(error)


__all__ = ["Verdict", "node_hash", "verify_log"]
