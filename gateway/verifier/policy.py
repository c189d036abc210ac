"""Whose word a reader wants besides the log's: C2SP tlog-cosignature (types 0x04, 0x06) and tlog-policy.

    log <vkey>
    witness <name> <vkey> [<address>]
    group <name> <k | all | any> <member>...
    quorum <name | none>

A witness's cosignature is Ed25519 over "cosignature/v1\\ntime <seconds>\\n" and the whole text of the checkpoint, or
ML-DSA-44 over the structure that the specification names, so it also says when. A known witness whose cosignature is
bad refuses the whole note; an unknown one is ignored.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .note import Note, VerifierKey, parse_vkey, read_checkpoint_text, strict_base64

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


class CannotCheckError(ValueError):
    """This installation has no such algorithm: whether the signature is good is not known."""


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
        raise CannotCheckError("this version of cryptography cannot check ML-DSA-44") from None
    return MLDSA44PublicKey.from_public_bytes(key.public_key)


def cosignature_line(key: WitnessKey, time: int, signature: bytes) -> bytes:
    """The line a witness adds to a checkpoint, with its newline."""
    value = base64.b64encode(key.key_id + time.to_bytes(8, "big") + signature).decode()
    return f"\u2014 {key.name} {value}\n".encode()


def _group(needed: str, members: Iterable[str], known: set[str]) -> Group:
    listed = tuple(members)
    wanted = {"all": len(listed), "any": 1}.get(needed) or int(needed)
    if not listed or not 1 <= wanted <= len(listed) or len(set(listed)) < len(listed) or not known >= set(listed):
        raise ValueError("a group needs known members, each once, and a number between one and all of them")
    return Group(needed=wanted, members=listed)
