"""Whose word a reader wants besides the log's: C2SP tlog-cosignature (type 0x04) and tlog-policy.

    log <vkey>
    witness <name> <vkey> [<address>]
    group <name> <k | all | any> <member>...
    quorum <name | none>

A witness's cosignature is Ed25519 over "cosignature/v1\\ntime <seconds>\\n" and the whole text of the checkpoint, so it
also says when. A known witness whose cosignature is bad refuses the whole note; an unknown one is ignored.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .note import Note, VerifierKey, parse_vkey, strict_base64

COSIGNATURE = b"\x04"
NO_QUORUM = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness's public key under its name (tlog-cosignature, "Format")."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name || 0x0A || 0x04 || key)."""
        return sha256(self.name.encode() + b"\n" + COSIGNATURE + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(COSIGNATURE + self.public_key).decode()}"


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
    """``name+id+base64(0x04 || key)``; its id must be its own."""
    parts = line.split("+", 2)
    raw = strict_base64(parts[2]) if len(parts) == 3 else b""
    if raw[:1] != COSIGNATURE or len(raw) != 33 or not parts[0] or any(c.isspace() for c in parts[0]):
        raise ValueError("a witness key has the form name+id+key, of type 0x04")
    key = WitnessKey(name=parts[0], public_key=raw[1:])
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
    if len(value) != 72:
        raise ValueError("a cosignature is not 72 bytes long")
    time = int.from_bytes(value[:8], "big")
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(value[8:], cosigned_message(text, time))
    except InvalidSignature:
        raise ValueError(f"the cosignature of {key.name} does not verify") from None
    return time


def cosigned_message(text: bytes, time: int) -> bytes:
    """What a witness signs for a checkpoint's text (tlog-cosignature, "Format")."""
    return b"cosignature/v1\ntime %d\n" % time + text


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
