"""Prove a ledger without the gateway: needs Python 3.11 and the ``cryptography`` package, nothing else.

    python verify_ledger.py DIR [--key VKEY-OR-FILE] [--receipt FILE]... [--since CHECKPOINT] [--policy FILE]
                               [--former DIR]... [--json]

Exit 0: proven. 1: tampered, and the place is named. 2: could not tell. It reads only, asks no network, and never prints
what an entry says. Made from gateway/verifier; do not change it here.

Read in this order: the tree (RFC 6962), the signed note (C2SP), which key may sign what, the files (C2SP tlog-tiles), a
receipt (C2SP tlog-proof), the witnesses (C2SP tlog-cosignature), the audit of every byte, the verdict, the line of
logs of former years. SM2 and SM3 matter only where the house signs a second tree with them.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SM3, Hash

# What an audit can meet, in one small tree.


class Finding(Exception):
    """One sentence about one ``place`` (a path inside the log, or the name of a receipt)."""

    code = "finding"

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(f"{place}: {detail}")
        self.place = place
        self.detail = detail
        self.signed: tuple[int, bytes] | None = None
        """Size and root of the checkpoint, where its signature was reached."""


class Contradiction(Finding):
    """The evidence cannot all be true: somebody or something changed it."""

    code = "tampered"


class Inconclusive(Finding):
    """There is not enough to tell."""

    code = "unknown"


# The Merkle tree of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1.1), SHA-256.

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one log entry (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbouring subtrees (RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over a number of hashes that is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """Roots of the largest perfect subtrees, from left to right: what a tree of this size hangs from."""
    found: list[bytes] = []
    start = 0
    while start < len(hashes):
        width = 1 << ((len(hashes) - start).bit_length() - 1)
        found.append(perfect_root(hashes[start : start + width]))
        start += width
    return found


def fold(from_peaks: Sequence[bytes]) -> bytes:
    """Root of the tree with these peaks; of none, the root of the empty tree."""
    if not from_peaks:
        return EMPTY_ROOT
    result = from_peaks[-1]
    for peak in reversed(from_peaks[:-1]):
        result = node_hash(peak, result)
    return result


def root(hashes: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    return fold(peaks(hashes))


def verify_inclusion(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """``leaf`` (a leaf hash) stands at ``index`` of the tree of ``size`` under ``root``, or ``ValueError``."""
    verify_subtree_inclusion(index=index, bounds=(0, size), leaf=leaf, proof=proof, root=root)


def verify_subtree_inclusion(
    *, index: int, bounds: tuple[int, int], leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """The same inside the subtree over leaves ``bounds[0]`` to ``bounds[1]`` (exclusive)."""
    start, end = bounds
    _need_subtree(start, end)
    _need(start <= index < end, "the index lies outside the tree")
    _need_hashes([leaf, root, *proof])
    first, last = index - start, end - start - 1
    result = leaf
    for sibling in proof:
        _need(last > 0, "the proof is too long")
        if first & 1 or first == last:
            result = node_hash(sibling, result)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        first, last = first >> 1, last >> 1
    _need(last == 0, "the proof is too short")
    _need(result == root, "the proof does not lead to the root")


def _need_subtree(start: int, end: int) -> None:
    """``start`` must be a multiple of the width rounded up to a power of two."""
    _need(0 <= start < end, "the subtree is empty")
    _need(start % (1 << (end - start - 1).bit_length()) == 0, "no subtree has these bounds")


def _need_hashes(values: Sequence[bytes]) -> None:
    _need(all(len(value) == HASH_SIZE for value in values), "a hash is not 32 bytes long")


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


# Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint, Ed25519 (signature type 0x01).

ED25519 = b"\x01"
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A log's public key under its name (the origin)."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name || 0x0A || type || key) (signed-note, "Signatures")."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public_key).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Text that ends in a newline, and who signed it."""

    text: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's head: ``size`` entries under ``root`` (32 bytes); ``text`` is what was signed."""

    origin: str
    size: int
    root: bytes
    text: bytes


def parse_vkey(line: str) -> VerifierKey:
    """A public key string ``name+hex id+base64``; its id must be its own (signed-note, "Signatures")."""
    parts = line.split("+", 2)
    if len(parts) != 3:
        raise ValueError("a verifier key has the form name+id+key")
    name, key_id, encoded = parts
    raw = strict_base64(encoded)
    if raw[:1] != ED25519 or len(raw) != 33:
        raise ValueError("the verifier key is not an Ed25519 key")
    _need_key_name(name)
    key = VerifierKey(name=name, public_key=raw[1:])
    if key_id != key.key_id.hex():
        raise ValueError("the verifier key's id is not the hash of its name and key")
    return key


def parse_note(data: bytes) -> Note:
    """Split a signed note; every byte of ``data`` is accounted for."""
    if len(data) > MAX_NOTE_BYTES:
        raise ValueError("the note is longer than any note we know")
    if any(byte < 0x20 and byte != 0x0A for byte in data):
        raise ValueError("the note holds a control character")
    data.decode("utf-8", errors="strict")
    split = data.rfind(b"\n\n")
    if split < 0 or not data.endswith(b"\n"):
        raise ValueError("the note has no signature block")
    lines = data[split + 2 : -1].split(b"\n")
    if len(lines) > MAX_SIGNATURES:
        raise ValueError("the note has too many signatures")
    return Note(text=data[: split + 1], signatures=tuple(_parse_signature(line) for line in lines))


def verify_note(note: Note, key: VerifierKey) -> None:
    """The note carries a good signature of ``key``, and no bad one."""
    ours = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if not ours:
        raise ValueError("the note is not signed by this key")
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    for one in ours:
        try:
            public_key.verify(one.value, note.text)
        except InvalidSignature:
            raise ValueError("the signature does not verify") from None


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a signed checkpoint without judging its signatures."""
    return read_checkpoint_text(parse_note(data).text)


def read_checkpoint_text(text: bytes) -> Checkpoint:
    """Origin, size, root (tlog-checkpoint, "Note text"); extension lines are allowed and not looked at."""
    lines = text.decode().split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise ValueError("a checkpoint has an origin, a size and a root")
    origin, size, encoded = lines[:3]
    if not _DECIMAL.fullmatch(size):
        raise ValueError("the tree size is not a plain decimal number")
    root = strict_base64(encoded)
    if len(root) != 32:
        raise ValueError("the root is not 32 bytes long")
    return Checkpoint(origin=origin, size=int(size), root=root, text=text)


def checkpoint_text(*, origin: str, size: int, root: bytes) -> bytes:
    """The bytes a log signs."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def strict_base64(text: str) -> bytes:
    """Standard base64 with padding; any other spelling of the same bytes is refused (RFC 4648 section 3.5)."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not standard base64") from None
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 in a form that is not canonical")
    return raw


def decimal(text: str) -> int:
    """An ASCII decimal without leading zeros."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a plain decimal number")
    return int(text)


def _parse_signature(line: bytes) -> Signature:
    parts = line.decode().split(" ")
    if len(parts) != 3 or parts[0] != "\u2014":
        raise ValueError("a signature line is malformed")
    _need_key_name(parts[1])
    raw = strict_base64(parts[2])
    if len(raw) < 5:
        raise ValueError("a signature is too short")
    return Signature(name=parts[1], key_id=raw[:4], value=raw[4:])


def _need_key_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise ValueError("a key name is empty or holds a space or a plus sign")


# Which key may sign which sizes of a log: rotations, each signed by the key that goes and the key that comes.

ROTATION_HEAD = "tongguan/key-rotation@v1"
MAX_ROTATIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The ``number``-th change of key, at ``size`` entries; both keys bear the log's name."""

    number: int
    size: int
    old: VerifierKey
    new: VerifierKey

    @property
    def text(self) -> bytes:
        """What both keys sign."""
        lines = (ROTATION_HEAD, f"origin {self.old.name}", f"number {self.number}", f"size {self.size}")
        return "\n".join([*lines, f"old {self.old}", f"new {self.new}", ""]).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """All keys of one log in their order, and the sizes at which one followed another."""

    keys: tuple[VerifierKey, ...]
    sizes: tuple[int, ...] = ()

    @property
    def current(self) -> VerifierKey:
        """The key that signs now."""
        return self.keys[-1]

    def may_sign(self, number: int, size: int) -> bool:
        """Whether the key of that number may sign a head of that size."""
        after = number == 0 or size >= self.sizes[number - 1]
        before = number == len(self.sizes) or size <= self.sizes[number]
        return after and before

    def verify(self, data: bytes) -> Checkpoint:
        """The checkpoint that a key of this log signed within its sizes, and none signed badly or outside them."""
        note = parse_note(data)
        checkpoint = read_checkpoint_text(note.text)
        signed = False
        for number, key in enumerate(self.keys):
            if not any((one.name, one.key_id) == (key.name, key.key_id) for one in note.signatures):
                continue
            verify_note(note, key)
            if not self.may_sign(number, checkpoint.size):
                raise ValueError(f"key {number + 1} of the log may not sign a head of {checkpoint.size} entries")
            signed = True
        if not signed:
            raise ValueError("the note is not signed by this key")
        if checkpoint.origin != self.current.name:
            raise ValueError("the checkpoint is of another log than its key")
        return checkpoint


def log_keys(key: VerifierKey | LogKeys) -> LogKeys:
    """A single key is a log that never changed its key."""
    return key if isinstance(key, LogKeys) else LogKeys(keys=(key,))


def rotation_path(number: int) -> str:
    """Where a log keeps its ``number``-th rotation."""
    return f"rotation/{number}"


def parse_rotation(data: bytes) -> Rotation:
    """Read one strictly and check both signatures; ``ValueError`` where any byte is out of place."""
    note = parse_note(data)
    lines = note.text.decode().split("\n")
    words = [line.split(" ") for line in lines[1:-1]]
    if lines[0] != ROTATION_HEAD or [one[0] for one in words] != ["origin", "number", "size", "old", "new"]:
        raise ValueError("not a rotation of keys")
    if any(len(one) != 2 for one in words):
        raise ValueError("a line of the rotation has more than a name and a value")
    origin, number, size, old, new = (one[1] for one in words)
    made = Rotation(number=decimal(number), size=decimal(size), old=parse_vkey(old), new=parse_vkey(new))
    if made.text != note.text or {made.old.name, made.new.name} != {origin} or made.old == made.new:
        raise ValueError("the rotation does not name two keys of one log")
    if len(note.signatures) != 2:
        raise ValueError("a rotation has two signatures, and no others")
    for key in (made.old, made.new):
        verify_note(note, key)
    return made


def read_log_keys(first: VerifierKey, read: Callable[[str], bytes | None]) -> LogKeys:
    """The keys that followed ``first``; ``read`` gives a file of the log, None where there is none.

    Raises ValueError for a rotation that is not signed by both, does not follow, or goes back in size.
    """
    keys, sizes = [first], list[int]()
    for number in range(1, MAX_ROTATIONS + 1):
        data = read(rotation_path(number))
        if data is None:
            return LogKeys(keys=tuple(keys), sizes=tuple(sizes))
        made = parse_rotation(data)
        if made.number != number or made.old != keys[-1] or made.new in keys or made.size < (sizes or [0])[-1]:
            raise ValueError(f"rotation {number} does not follow the one before it")
        keys.append(made.new)
        sizes.append(made.size)
    raise ValueError("the log has more rotations than any log we know")


# Where a log keeps its hashes and entries: C2SP tlog-tiles, paths relative to the log's folder.

WIDTH = 256
MAX_ENTRY = 0xFFFF
MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]|[1-5][0-9]|6[0-3])/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """``width`` hashes of ``level`` from number 256 * ``index``; level None means entries."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """``tile/<L>/<N>[.p/<W>]`` (tlog-tiles, "Merkle Tree" and "Log entries")."""
        suffix = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{self._stem}{suffix}"

    @property
    def partials(self) -> str:
        """The folder that holds the partial versions of this tile."""
        return f"{self._stem}.p"

    @property
    def first(self) -> int:
        """Number of its first hash within its level."""
        return self.index * WIDTH

    @property
    def _stem(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        return f"tile/{level}/{encode_index(self.index)}"


def encode_index(index: int) -> str:
    """1234067 becomes ``x001/x234/067``."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups))


def parse_path(path: str) -> Tile:
    """The tile a path names; only the one canonical spelling is taken."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError("not a path of this format")
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    tile = Tile(level=level, index=index, width=int(match["width"] or WIDTH))
    if tile.width > WIDTH or tile.path != path:
        raise ValueError("not the canonical path of its tile")
    return tile


def level_tiles(level: int | None, size: int) -> Iterator[Tile]:
    """The tiles of one level in a tree of ``size`` entries, the last one partial where it is."""
    hashes = size >> (8 * (level or 0))
    for index in range(hashes // WIDTH):
        yield Tile(level=level, index=index)
    if hashes % WIDTH:
        yield Tile(level=level, index=hashes // WIDTH, width=hashes % WIDTH)


def promised_tiles(size: int) -> Iterator[Tile]:
    """Every bundle and tile that a checkpoint of ``size`` promises."""
    yield from level_tiles(None, size)
    level = 0
    while size >> (8 * level):
        yield from level_tiles(level, size)
        level += 1


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Exactly ``width`` entries and no byte more."""
    entries: list[bytes] = []
    position = 0
    while position < len(data):
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        if end > len(data) or len(data) - position < 2:
            raise ValueError(f"entry {len(entries)} of the bundle is cut short")
        entries.append(data[position + 2 : end])
        position = end
    if len(entries) != width:
        raise ValueError(f"the bundle holds {len(entries)} entries instead of {width}")
    return entries


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """Exactly ``width`` hashes and no byte more."""
    if len(data) != width * HASH_SIZE:
        raise ValueError(f"the tile is {len(data)} bytes long instead of {width * HASH_SIZE}")
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


# Receipts: C2SP tlog-proof, one file that proves offline that an entry stands in the log.

_MAGIC = b"c2sp.org/tlog-proof@v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Entry ``index`` stands under ``checkpoint``; ``signed_checkpoint`` is its file, byte for byte."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    signed_checkpoint: bytes
    extra: bytes = b""


def parse_proof(data: bytes) -> Proof:
    """Read a receipt strictly; ``ValueError`` where any byte is out of place."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a tlog-proof file")
    head, blank, signed = data.removeprefix(_MAGIC).partition(b"\n\n")
    if not blank:
        raise ValueError("the receipt ends before its checkpoint")
    lines = head.decode("ascii", errors="strict").split("\n")
    extra = b""
    if lines[0].startswith("extra "):
        extra = strict_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise ValueError("the extra line is empty")
    if not lines or not lines[0].startswith("index "):
        raise ValueError("the receipt names no index")
    path = tuple(strict_base64(line) for line in lines[1:])
    if any(len(one) != HASH_SIZE for one in path):
        raise ValueError("a hash of the receipt is not 32 bytes long")
    return Proof(
        index=decimal(lines[0].removeprefix("index ")),
        path=path,
        checkpoint=parse_checkpoint(signed),
        signed_checkpoint=signed,
        extra=extra,
    )


def verify_proof(data: bytes, *, key: VerifierKey | LogKeys, leaf: bytes) -> Proof:
    """The receipt is signed by ``key`` and proves the entry with this leaf hash; ``ValueError`` where not."""
    proof = parse_proof(data)
    checkpoint = log_keys(key).verify(proof.signed_checkpoint)
    verify_inclusion(index=proof.index, size=checkpoint.size, leaf=leaf, proof=proof.path, root=checkpoint.root)
    return proof


# Whose word a reader wants besides the log's: C2SP tlog-cosignature (types 0x04, 0x06) and tlog-policy.

COSIGNATURE = b"\x04"
ML_DSA = b"\x06"
_KEY_BYTES = {COSIGNATURE: 32, ML_DSA: 1312}
_VALUE_BYTES = {COSIGNATURE: 8 + 64, ML_DSA: 8 + 2420}
NO_QUORUM = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness's public key under its name (tlog-cosignature, "Format")."""

    name: str
    public_key: bytes
    algorithm: bytes = COSIGNATURE

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name || 0x0A || type || key)."""
        return sha256(self.name.encode() + b"\n" + self.algorithm + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.algorithm + self.public_key).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """At least ``needed`` of ``members`` (witnesses or groups)."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A log, its witnesses, and which of them must have cosigned."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, WitnessKey]
    groups: Mapping[str, Group]
    quorum: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Submission prefixes of the witnesses that have one; the others are asked by file."""

    def satisfied(self, cosigned: Collection[str]) -> bool:
        """Whether these witnesses are enough."""
        return self.quorum == NO_QUORUM or self._holds(self.quorum, cosigned)

    def _holds(self, name: str, cosigned: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._holds(member, cosigned) for member in group.members) >= group.needed


def parse_witness_key(line: str) -> WitnessKey:
    """``name+id+base64(type || key)``, of type 0x04 (Ed25519) or 0x06 (ML-DSA-44); its id must be its own."""
    parts = line.split("+", 2)
    raw = strict_base64(parts[2]) if len(parts) == 3 else b""
    if len(raw) - 1 != _KEY_BYTES.get(raw[:1]) or not parts[0] or any(c.isspace() for c in parts[0]):
        raise ValueError("a witness key has the form name+id+key, of type 0x04 or 0x06")
    key = WitnessKey(name=parts[0], public_key=raw[1:], algorithm=raw[:1])
    if parts[1] != key.key_id.hex():
        raise ValueError("the witness key's id is not the hash of its name and key")
    return key


def parse_policy(text: str) -> Policy:
    """Read a policy file; names are used only after they were defined, so there are no circles (tlog-policy)."""
    logs: list[VerifierKey] = []
    witnesses: dict[str, WitnessKey] = {}
    groups: dict[str, Group] = {}
    addresses: dict[str, str] = {}
    quorum: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        known = {*witnesses, *groups}
        try:
            match words:
                case ["log", vkey, *_]:
                    logs.append(parse_vkey(vkey))
                case ["witness", name, vkey, *address] if name not in known and name != NO_QUORUM:
                    witnesses[name] = parse_witness_key(vkey)
                    addresses |= {name: address[0]} if address else {}
                case ["group", name, needed, *members] if name not in known and name != NO_QUORUM:
                    groups[name] = _group(needed, members, known)
                case ["quorum", name] if quorum is None and (name in known or name == NO_QUORUM):
                    quorum = name
                case _:
                    raise ValueError("not a line of a policy, or a name defined twice or not yet")
        except ValueError as error:
            raise ValueError(f"policy line {number}: {error}") from None
    if quorum is None:
        raise ValueError("the policy names no quorum")
    if len({key.public_key for key in witnesses.values()}) < len(witnesses):
        raise ValueError("two witnesses of the policy have one key: one party would count twice")
    return Policy(logs=tuple(logs), witnesses=witnesses, groups=groups, quorum=quorum, addresses=addresses)


def cosigners(note: Note, policy: Policy) -> tuple[str, ...]:
    """The policy's witnesses that cosigned this note; ``ValueError`` where one of them signed badly."""
    return tuple(name for name, key in policy.witnesses.items() if cosigned_at(note, key) is not None)


def cosigned_at(note: Note, key: WitnessKey) -> int | None:
    """Seconds since 1970 at which this witness cosigned; None where it did not."""
    latest: int | None = None
    for one in note.signatures:
        if (one.name, one.key_id) == (key.name, key.key_id):
            latest = max(latest or 0, verify_cosignature(note.text, key, one.value))
    return latest


def verify_cosignature(text: bytes, key: WitnessKey, value: bytes) -> int:
    """The time a good cosignature states; ``ValueError`` where it is not good."""
    if len(value) != _VALUE_BYTES[key.algorithm]:
        raise ValueError(f"a cosignature of this type is {_VALUE_BYTES[key.algorithm]} bytes long")
    time = int.from_bytes(value[:8], "big")
    try:
        _public_key(key).verify(value[8:], cosigned_message(text, time, key))
    except InvalidSignature:
        raise ValueError(f"the cosignature of {key.name} does not verify") from None
    return time


def cosigned_message(text: bytes, time: int, key: WitnessKey | None = None) -> bytes:
    """What a witness signs for a checkpoint's text (tlog-cosignature, "Ed25519" and "ML-DSA-44 signed message")."""
    if key is None or key.algorithm == COSIGNATURE:
        return b"cosignature/v1\ntime %d\n" % time + text
    head = read_checkpoint_text(text)
    name, origin = key.name.encode(), head.origin.encode()
    names = len(name).to_bytes(1, "big") + name + time.to_bytes(8, "big") + len(origin).to_bytes(1, "big") + origin
    return b"subtree/v1\n\0" + names + bytes(8) + head.size.to_bytes(8, "big") + head.root


def _public_key(key: WitnessKey) -> Any:
    """A verifier that cannot check a signature refuses it: an old ``cryptography`` has no ML-DSA."""
    if key.algorithm == COSIGNATURE:
        return Ed25519PublicKey.from_public_bytes(key.public_key)
    try:
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
    except ImportError:
        raise ValueError("this version of cryptography cannot check ML-DSA-44") from None
    return MLDSA44PublicKey.from_public_bytes(key.public_key)


def _group(needed: str, members: Iterable[str], known: set[str]) -> Group:
    listed = tuple(members)
    wanted = {"all": len(listed), "any": 1}.get(needed) or int(needed)
    if not listed or not 1 <= wanted <= len(listed) or len(set(listed)) < len(listed) or not known >= set(listed):
        raise ValueError("a group needs known members, each once, and a number between one and all of them")
    return Group(needed=wanted, members=listed)


# The full audit: every entry hashed, every tile byte recomputed, every file accounted for.

CHECKPOINT = "checkpoint"
VKEY = "log.vkey"
UNFINISHED = ".tmp"
END_MARK = b'"type":"log.end"'


class LogFolder:
    """The files of one log, listed once; only regular files count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths = frozenset(_walk(folder))

    def read(self, path: str, limit: int = MAX_NOTE_BYTES) -> bytes:
        """A whole file of at most ``limit`` bytes."""
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise Inconclusive(path, f"cannot be read ({error.strerror})") from None
        if len(data) > limit:
            raise Contradiction(path, "is longer than its format allows")
        return data

    def entries(self, bundle: Tile) -> list[bytes]:
        """The entries of one bundle."""
        data = self.read(bundle.path, MAX_BUNDLE)
        try:
            return parse_bundle(data, bundle.width)
        except ValueError as error:
            raise Contradiction(bundle.path, str(error)) from None

    def hashes(self, tile: Tile) -> list[bytes]:
        """The hashes of one tile."""
        data = self.read(tile.path, WIDTH * HASH_SIZE)
        try:
            return parse_tile(data, tile.width)
        except ValueError as error:
            raise Contradiction(tile.path, str(error)) from None


@dataclass(slots=True)
class Tree:
    """``levels[n]`` are the roots of all complete subtrees of 256**n entries, from left to right."""

    levels: list[list[bytes]]

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.levels[0])

    def append(self, hashes: Iterable[bytes]) -> None:
        """Add leaf hashes at the right."""
        self.levels[0].extend(hashes)
        level = 0
        while len(self.levels[level]) >= WIDTH:
            if level + 1 == len(self.levels):
                self.levels.append([])
            row, above = self.levels[level], self.levels[level + 1]
            for start in range(len(above) * WIDTH, len(row) - WIDTH + 1, WIDTH):
                above.append(perfect_root(row[start : start + WIDTH]))
            level += 1

    def root(self, size: int) -> bytes:
        """Root of the first ``size`` entries."""
        from_left: list[bytes] = []
        for level in range(len(self.levels) - 1, -1, -1):
            hashes = size >> (8 * level)
            from_left += peaks(self.levels[level][hashes - hashes % WIDTH : hashes])
        return fold(from_left)

    def expected(self, tile: Tile) -> list[bytes]:
        """What the tile must hold as far as this tree reaches; for a bundle, its leaf hashes."""
        level = tile.level or 0
        return self.levels[level][tile.first : tile.first + tile.width] if level < len(self.levels) else []


def audit(folder: LogFolder, checkpoint: Checkpoint, known: frozenset[str] = frozenset()) -> tuple[Tree, int]:
    """The tree the checkpoint signs, and how many further entries lie there unsigned; raises a ``Finding``.

    ``known`` files were checked by whoever calls and are no part of the tree.
    """
    for tile in promised_tiles(checkpoint.size):
        if tile.path not in folder.paths:
            raise Contradiction(tile.path, "is missing, although the checkpoint promises it")
    tree = Tree(levels=[[]])
    for bundle in level_tiles(None, checkpoint.size):
        entries = folder.entries(bundle)
        _need_no_end(entries, bundle, checkpoint.size)
        tree.append(map(leaf_hash, entries))
    if tree.root(checkpoint.size) != checkpoint.root:
        raise _blame(folder, tree, checkpoint)
    _extend(folder, tree)
    for path in sorted(folder.paths - {CHECKPOINT, VKEY} - known):
        _compare(folder, tree, path)
    return tree, tree.size - checkpoint.size


def _blame(folder: LogFolder, tree: Tree, checkpoint: Checkpoint) -> Contradiction:
    """The entries do not give the signed root: the place where they part from the tiles, or else the checkpoint."""
    for tile in promised_tiles(checkpoint.size):
        if tile.level is None:
            continue
        expected, found = tree.expected(tile), folder.hashes(tile)
        if found == expected:
            continue
        number = next(n for n, (one, other) in enumerate(zip(expected, found, strict=True)) if one != other)
        if tile.level == 0:
            bundle = Tile(level=None, index=tile.index, width=tile.width)
            return Contradiction(
                bundle.path, f"entry {tile.first + number} is not the one in {tile.path}, nor under the signed root"
            )
        return Contradiction(tile.path, f"hash {number} is not the root of the tile below")
    return Contradiction(CHECKPOINT, "the signed root is not the root of the entries")


def _need_no_end(entries: Sequence[bytes], bundle: Tile, size: int) -> None:
    """A closing entry is the last one: whoever has an ended log's key still cannot make it longer."""
    for number, entry in enumerate(entries, start=bundle.first):
        if number + 1 != size and END_MARK in entry and is_end(entry):
            raise Contradiction(bundle.path, f"entry {number} ends the log, and others follow it")


def is_end(entry: bytes) -> bool:
    """Whether that is a log's closing entry."""
    try:
        return bool(json.loads(entry)["type"] == "log.end")
    except (ValueError, KeyError, TypeError):
        return False


def _extend(folder: LogFolder, tree: Tree) -> None:
    """Take in entries beyond the signed size: a copy made between two checkpoints has them."""
    while (bundle := _widest(folder, tree.size // WIDTH)) is not None and bundle.first + bundle.width > tree.size:
        entries = folder.entries(bundle)
        _need_no_end(entries, bundle, bundle.first + len(entries))
        hashes = [leaf_hash(entry) for entry in entries]
        known = tree.size - bundle.first
        if hashes[:known] != tree.levels[0][bundle.first :]:
            raise Contradiction(bundle.path, "does not continue the signed entries")
        tree.append(hashes[known:])


def _widest(folder: LogFolder, index: int) -> Tile | None:
    for width in range(WIDTH, 0, -1):
        bundle = Tile(level=None, index=index, width=width)
        if bundle.path in folder.paths:
            return bundle
    return None


def _compare(folder: LogFolder, tree: Tree, path: str) -> None:
    """One file of the folder holds exactly what the tree says."""
    if path.startswith(f"{UNFINISHED}/"):
        return
    try:
        tile = parse_path(path)
    except ValueError:
        raise Contradiction(path, "does not belong to a log") from None
    expected = tree.expected(tile)
    if len(expected) < tile.width:
        raise Contradiction(path, "lies beyond the end of the log")
    if tile.level is not None:
        found = folder.hashes(tile)
    elif tile.first + tile.width == tree.size or tile.width == WIDTH:
        return  # hashed already: the tree was built from this very file
    else:
        found = [leaf_hash(entry) for entry in folder.entries(tile)]
    if found != expected:
        number = next(n for n, (one, other) in enumerate(zip(expected, found, strict=True)) if one != other)
        raise Contradiction(path, f"hash {number} does not match the entries under the signed root")


def _walk(folder: Path) -> Iterable[str]:
    """Paths of all regular files; a link or a device has no place in a log."""
    for parent, folders, files in os.walk(folder, onerror=_unreadable):
        for name in [*folders, *files]:
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Contradiction(relative, "is neither a file nor a folder")
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _unreadable(error: OSError) -> None:
    raise Inconclusive("log folder", f"cannot be listed ({error.strerror})")


# SM2 signatures with SM3 (GB/T 32918.2, curve of GB/T 32918.5, hash of GB/T 32905), for a second line beside Ed25519.

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SIGNER = b"1234567812345678"
Point = tuple[int, int] | None


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """The signature (r || s, 64 bytes) is good, or ``ValueError`` (GB/T 32918.2 section 7.1)."""
    point = read_point(public_key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not (0 < r < ORDER and 0 < s < ORDER):
        raise ValueError("an SM2 signature is two numbers below the order")
    t = (r + s) % ORDER
    found = add(multiply(s, G), multiply(t, point))
    if t == 0 or found is None or (digest(public_key, message) + found[0]) % ORDER != r:
        raise ValueError("the SM2 signature does not verify")


def digest(public_key: bytes, message: bytes) -> int:
    """e = SM3(Z || message), Z binding the signer's identifier, the curve and the key (section 5.5)."""
    numbers = b"".join(one.to_bytes(32, "big") for one in (A, B, *G))
    z = sm3((8 * len(SIGNER)).to_bytes(2, "big") + SIGNER + numbers + public_key[1:])
    return int.from_bytes(sm3(z + message), "big")


def read_point(public_key: bytes) -> tuple[int, int]:
    """65 bytes, 04 || x || y, on the curve."""
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    if len(public_key) != 65 or public_key[0] != 4 or max(x, y) >= P or (y * y - x * x * x - A * x - B) % P:
        raise ValueError("the SM2 public key is not a point of the curve")
    return x, y


def add(one: Point, other: Point) -> Point:
    """Sum of two points; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    if one == other:
        slope = (3 * one[0] * one[0] + A) * pow(2 * one[1], -1, P) % P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P) % P
    x = (slope * slope - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def multiply(factor: int, point: Point) -> Point:
    """``factor`` times the point, by a ladder of as many steps as the order has bits, whatever the factor."""
    low: Point = None
    high = point
    for bit in range(ORDER.bit_length() - 1, -1, -1):
        if factor >> bit & 1:
            low, high = add(low, high), add(high, high)
        else:
            low, high = add(low, low), add(low, high)
    return low


def sm3(data: bytes) -> bytes:
    """32 bytes."""
    made = Hash(SM3())
    made.update(data)
    return made.finalize()


# SM2 lines of a checkpoint: a private signature type of C2SP signed-note (0xff and a long identifier).

SM2_TYPE = b"\xfftongguan/sm2-with-sm3@v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sm2Key:
    """A log's SM2 public key under its name."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes."""
        return sha256(self.name.encode() + b"\n" + SM2_TYPE + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(SM2_TYPE + self.public_key).decode()}"

    def line(self, value: bytes) -> bytes:
        """The signature line, with its newline."""
        return f"\u2014 {self.name} {base64.b64encode(self.key_id + value).decode()}\n".encode()


def parse_sm2_key(text: str) -> Sm2Key:
    """``name+id+base64(type || key)``; its id must be its own and its key a point of the curve."""
    parts = text.split("+", 2)
    raw = strict_base64(parts[2]) if len(parts) == 3 else b""
    if not raw.startswith(SM2_TYPE) or not parts[0] or any(one.isspace() for one in parts[0]):
        raise ValueError("not an SM2 key of a log")
    key = Sm2Key(name=parts[0], public_key=raw.removeprefix(SM2_TYPE))
    read_point(key.public_key)
    if parts[1] != key.key_id.hex():
        raise ValueError("the SM2 key's id is not the hash of its name and key")
    return key


def verify_sm2_line(signed: bytes, key: Sm2Key) -> None:
    """The note carries a good SM2 line of this key and no bad one, or ``ValueError``."""
    note = parse_note(signed)
    lines = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if not lines:
        raise ValueError("the note has no SM2 line of this key")
    for one in lines:
        verify(key.public_key, note.text, one.value)


# The side root: the same entries under a second Merkle tree, over SM3 (GB/T 32905), signed with SM2 (GB/T 32918.2).

SIDE = "checkpoint.sm3"


class SideTree:
    """A tree over SM3 that grows at the right; ``peaks`` are its perfect subtrees with their heights."""

    def __init__(self, size: int = 0, peaks: Iterable[tuple[int, bytes]] = ()) -> None:
        self.size, self.peaks = size, list(peaks)

    def push(self, entry: bytes) -> None:
        """Add one entry."""
        value, height = sm3(b"\x00" + entry), 0
        while self.peaks and self.peaks[-1][0] == height:
            value, height = sm3(b"\x01" + self.peaks.pop()[1] + value), height + 1
        self.peaks.append((height, value))
        self.size += 1

    def root(self) -> bytes:
        """Root over all entries; of none, SM3 of nothing."""
        if not self.peaks:
            return sm3(b"")
        value = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            value = sm3(b"\x01" + left + value)
        return value


def side_text(key: Sm2Key, *, size: int, root: bytes) -> bytes:
    """What ``key`` signs."""
    return checkpoint_text(origin=f"{key.name}/sm3", size=size, root=root) + f"{key}\n".encode()


def read_side(data: bytes) -> tuple[Checkpoint, Sm2Key]:
    """A side root and the key that it names and that signed it, and nobody else; ``ValueError`` where it did not."""
    note = parse_note(data)
    if len(note.signatures) != 1:
        raise ValueError("a side root has one signature")
    found = read_checkpoint_text(note.text)
    key = parse_sm2_key(note.text.decode().split("\n")[3])
    if note.text != side_text(key, size=found.size, root=found.root):
        raise ValueError("the side root is of another log than its key")
    verify_sm2_line(data, key)
    return found, key


def check_side(files: LogFolder, origin: str, size: int) -> int | None:
    """The size that the side root covers, computed again from the entries; None where there is none.

    ``size`` entries lie in the folder. Its key is the one it names, on trust like ``log.vkey``.
    """
    if SIDE not in files.paths:
        return None
    try:
        found, key = read_side(files.read(SIDE))
    except ValueError as error:
        raise Contradiction(SIDE, str(error)) from None
    except UnsupportedAlgorithm:
        raise Inconclusive(SIDE, "needs SM3, which this build of the cryptography package does not have") from None
    if key.name != origin:
        raise Contradiction(SIDE, "is of another log")
    if found.size > size:
        raise Contradiction(SIDE, f"signs {found.size} entries, but the log has {size}")
    if _side_root(files, found.size, size) != found.root:
        raise Contradiction(SIDE, f"signs {base64.b64encode(found.root).decode()}, which the entries do not give")
    return found.size


def _side_root(files: LogFolder, wanted: int, size: int) -> bytes:
    tree = SideTree()
    for first in range(0, wanted, WIDTH):
        entries = _side_entries(files, first, size)
        for entry in entries[: wanted - first]:
            tree.push(entry)
    return tree.root()


def _side_entries(files: LogFolder, first: int, size: int) -> list[bytes]:
    """One bundle, as wide as the log has it."""
    return files.entries(Tile(level=None, index=first // WIDTH, width=min(WIDTH, size - first)))


# The verdict over a ledger: proven, tampered, or could not tell.

State = Literal["proven", "tampered", "unknown"]
Confirmed = tuple[int, bool, tuple[str, ...], int]


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


# The line of logs, one for each year: the first entry of each names the size and root that the one before ended with.

END = "log.end"
BEGIN = "log.begin"


def verify_line(
    folders: Sequence[Path],
    *,
    key: str | None,
    receipts: Sequence[bytes] = (),
    since: bytes | None = None,
    policy: str | None = None,
) -> Verdict:
    """Audit the logs in ``folders``, the oldest first, and that each follows the one before; see ``verify_log``.

    ``key`` may be any key of any of them; what was kept from earlier may be of any of them. The size and the root are
    those of the last one. Of the logs before it, places are named with their folder.
    """
    if len(folders) == 1:
        return verify_log(folders[0], key=key, receipts=receipts, since=since, policy=policy)
    logs: list[Examined] = []
    verdict = Verdict(state="unknown", detail="", key_on_trust=key is None)
    try:
        for number, folder in enumerate(folders, start=1):
            logs.append(_examine(folder, former=number < len(folders)))
        if key is not None and not any(parse_given(key) in log.keys.keys for log in logs):
            raise Contradiction("log.vkey", "is not the key that was given, nor is that of a log before it")
        witnesses = () if policy is None else witnessed(logs[-1], policy)
        for before, after in pairwise(logs):
            _need_link(before, after, folders[logs.index(before)].name)
        for number, receipt in enumerate(receipts, start=1):
            place = f"receipt {number}"
            check_receipt_of_log(_of(logs, receipt, place, proof=True), receipt, place)
        if since is not None:
            check_since(_of(logs, since, "since", proof=False), since)
    except Finding as finding:
        return verdict_of(verdict, finding, logs[-1] if len(logs) == len(folders) else None)
    return verdict_of(verdict, (len(receipts), since is not None, witnesses, len(logs) - 1), logs[-1])


def _examine(folder: Path, *, former: bool) -> Examined:
    try:
        return examine(folder, None)
    except Finding as finding:
        if former:
            raise type(finding)(f"{folder.name}/{finding.place}", finding.detail) from None
        raise


def _need_link(before: Examined, after: Examined, folder: str) -> None:
    """The last entry of the one and the first of the other name each other."""
    head, size = before.checkpoint, before.checkpoint.size
    place = f"{folder}/{_bundle(before, size - 1).path}" if size else f"{folder}/checkpoint"
    said = _said(before, size - 1, END) if size else None
    if said is None:
        raise Contradiction(place, "the log does not end, and yet another follows it")
    first = after.keys.keys[0]
    if (said.get("next"), said.get("next_key")) != (first.name, first.public_key.hex()):
        raise Contradiction(place, "the log ends by naming another log or key than the one that follows")
    begun = _said(after, 0, BEGIN) if after.checkpoint.size else None
    if begun is None or (begun.get("former"), begun.get("size"), begun.get("root")) != (
        head.origin,
        size,
        head.root.hex(),
    ):
        raise Contradiction(
            "tile/entries/000", f"the log begins after another log than the one in {folder}, or another state of it"
        )


def _said(log: Examined, index: int, kind: str) -> dict[str, Any] | None:
    """The open part of that entry, where it is of that kind."""
    bundle = _bundle(log, index)
    entry = log.files.entries(bundle)[index - bundle.first]
    try:
        event = json.loads(entry)
        return dict(event["public"]) if event["type"] == kind else None
    except (ValueError, KeyError, TypeError):
        return None


def _bundle(log: Examined, index: int) -> Tile:
    first = index - index % WIDTH
    return Tile(level=None, index=index // WIDTH, width=min(WIDTH, log.checkpoint.size - first))


def _of(logs: Sequence[Examined], kept: bytes, place: str, *, proof: bool) -> Examined:
    """The log that what was kept is of; the last one where none of these is named."""
    try:
        origin = parse_checkpoint(parse_proof(kept).signed_checkpoint if proof else kept).origin
    except ValueError as error:
        raise Inconclusive(place, str(error)) from None
    return next((log for log in logs if log.checkpoint.origin == origin), logs[-1])


# ``python -m gateway.verifier DIR``: exit 0 proven, 1 tampered (the place is named), 2 could not tell or bad use.

EXIT = {"proven": 0, "tampered": 1, "unknown": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verifier; never prints the content of an entry."""
    options = _parser().parse_args(arguments)
    try:
        receipts = [path.read_bytes() for path in options.receipt]
        since = options.since.read_bytes() if options.since else None
        key = _key(options.key)
        policy = options.policy.read_text(encoding="utf-8") if options.policy else None
    except (OSError, UnicodeDecodeError) as error:
        name = getattr(error, "filename", None) or "the key file"
        verdict = Verdict(state="unknown", place=str(name), detail="cannot be read", key_on_trust=options.key is None)
    else:
        verdict = verify_line([*options.former, options.folder], key=key, receipts=receipts, since=since, policy=policy)
    sys.stdout.write(json.dumps(asdict(verdict)) + "\n" if options.json else _words(verdict))
    return EXIT[verdict.state]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verifier", description="Prove that a ledger is whole and only appended to.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with checkpoint, tile/ and log.vkey")
    parser.add_argument("--key", metavar="VKEY-OR-FILE", help="the log's public key, or a file that holds it")
    parser.add_argument("--receipt", type=Path, action="append", default=[], metavar="FILE", help="a kept .tlog-proof")
    parser.add_argument("--since", type=Path, metavar="CHECKPOINT", help="a signed checkpoint kept from earlier")
    parser.add_argument(
        "--former", type=Path, action="append", default=[], metavar="DIR", help="a log before it, the oldest first"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="a tlog-policy: the witnesses that must agree")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _key(given: str | None) -> str | None:
    """A key string has two plus signs; anything else names a file."""
    if given is None or given.count("+") >= 2:
        return given
    return Path(given).read_text(encoding="ascii")


def _words(verdict: Verdict) -> str:
    head = verdict.state.upper()
    if verdict.place is not None:
        # A stray file may carry any name; it must not be able to write on the reader's terminal.
        head += f" at {verdict.place.encode('unicode_escape', 'surrogatepass').decode('ascii')}"
    lines = [f"{head}: {verdict.detail}"]
    if verdict.size is not None:
        lines.append(f"size {verdict.size}, root {verdict.root_b64}")
    if verdict.key_on_trust:
        lines.append("the key came from the log's own folder and is taken on trust")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
