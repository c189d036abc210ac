"""The header of a Crypt4GH file: who may open it, with which data key (Crypt4GH 1, "Header").

Writing: one packet per reader, each under a writer key made for it and forgotten.
Reading: every packet is tried; one that does not open belongs to somebody else and is passed over, as the standard
says; one that opens and then says something unknown refuses the file. Counts and lengths are limited before anything
is read, so that a few false bytes cost nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.crypt4gh.edits import MAX_EDITS, WHOLE, EditMap, edit_map
from gateway.crypt4gh.errors import Crypt4GHError, KeyFileError, WrongKeyError
from gateway.crypt4gh.streams import Source, fill
from gateway.ports import Randomness

MAGIC = b"crypt4gh"
VERSION = 1
KEY = 32
NONCE = 12
PREFIX = 16
MAX_PACKETS = 4096
MAX_PACKET = 1 << 20
MAX_HEADER = 1 << 24
_SMALLEST = 4 + 4 + KEY + NONCE + 16  # length, method, writer's key, nonce, MAC
_DATA_KEY, _EDIT_LIST = 0, 1
_X25519_CHACHA20 = _CHACHA20 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What one private key finds in a header of ``length`` bytes."""

    data_keys: tuple[bytes, ...]
    edits: EditMap
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packet:
    offset: int
    body: bytes


def accept_reader(public_key: bytes, *, ours: Collection[bytes] = ()) -> bytes:
    """The key, when a file may be sealed to it: 32 bytes, not one of low order, and not one of the gateway's own.

    A recipient who registers the gateway's key would make it decrypt for them later (threat 20).
    """
    if len(public_key) != KEY:
        raise KeyFileError(f"a Crypt4GH public key has {KEY} bytes, this one has {len(public_key)}")
    if public_key in ours:
        raise KeyFileError("this public key is the gateway's own, it cannot be a recipient's")
    try:
        # Any scalar shows it: X25519 with a point of low order gives zero (RFC 7748 section 6.1).
        X25519PrivateKey.from_private_bytes(bytes(range(KEY))).exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:
        raise KeyFileError("this public key is of low order: anybody could open what is sealed to it") from None
    return public_key


def build_header(*, readers: Sequence[bytes], session_key: bytes, random: Randomness) -> bytes:
    """The header that lets each of ``readers`` (raw public keys) open ``session_key`` (32 bytes)."""
    if len(session_key) != KEY:
        raise ValueError("a data key has 32 bytes")
    if not 0 < len(readers) <= MAX_PACKETS or len(set(readers)) != len(readers):
        raise ValueError("a sealed file needs at least one reader, each once, and not more than the header holds")
    payload = struct.pack("<II", _DATA_KEY, _CHACHA20) + session_key
    packets = [_seal_packet(payload, accept_reader(reader), random) for reader in readers]
    return MAGIC + struct.pack("<II", VERSION, len(packets)) + b"".join(packets)


def _seal_packet(payload: bytes, reader: bytes, random: Randomness) -> bytes:
    writer = X25519PrivateKey.from_private_bytes(random.token(KEY))
    writer_public = writer.public_key().public_bytes_raw()
    shared = _shared_key(writer.exchange(X25519PublicKey.from_public_bytes(reader)), reader, writer_public)
    nonce = random.token(NONCE)
    sealed = ChaCha20Poly1305(shared).encrypt(nonce, payload, None)
    body = struct.pack("<I", _X25519_CHACHA20) + writer_public + nonce + sealed
    return struct.pack("<I", 4 + len(body)) + body


def _shared_key(exchanged: bytes, reader: bytes, writer: bytes) -> bytes:
    # libsodium's crypto_kx: reader is its "client", writer its "server"; the first half is client-receive.
    return hashlib.blake2b(exchanged + reader + writer).digest()[:KEY]


def read_header(source: Source, private_key: bytes) -> Opened:
    """Read exactly the header from ``source`` and open it. Raises Crypt4GHError or WrongKeyError."""
    count, packets, length = _read_packets(source)
    reader = X25519PrivateKey.from_private_bytes(private_key)
    reader_public = reader.public_key().public_bytes_raw()
    opened = [(packet.offset, _open_packet(packet.body, reader, reader_public)) for packet in packets]
    found = [(offset, plain) for offset, plain in opened if plain is not None]
    if not found:
        raise WrongKeyError(f"none of the {count} header packets opens with this private key: sealed to another key")
    return _understand(found, length)


def _read_packets(source: Source) -> tuple[int, list[_Packet], int]:
    start = _exactly(source, PREFIX, 0)
    if start[:8] != MAGIC:
        raise Crypt4GHError("not a Crypt4GH file: it does not begin with 'crypt4gh'", offset=0)
    version, count = struct.unpack("<II", start[8:])
    if version != VERSION:
        raise Crypt4GHError(f"Crypt4GH version {version} is not known, only version 1", offset=8)
    if not 0 < count <= MAX_PACKETS:
        raise Crypt4GHError(f"{count} header packets; between 1 and {MAX_PACKETS} are accepted", offset=12)
    packets: list[_Packet] = []
    offset = PREFIX
    for _ in range(count):
        (size,) = struct.unpack("<I", _exactly(source, 4, offset))
        if not _SMALLEST <= size <= MAX_PACKET:
            raise Crypt4GHError(f"a header packet of {size} bytes is not possible", offset=offset)
        if offset + size > MAX_HEADER:
            raise Crypt4GHError(f"the header is longer than {MAX_HEADER} bytes", offset=offset)
        packets.append(_Packet(offset=offset, body=_exactly(source, size - 4, offset + 4)))
        offset += size
    return count, packets, offset


def _exactly(source: Source, size: int, offset: int) -> bytes:
    data = bytearray(size)
    got = fill(source, memoryview(data))
    if got < size:
        raise Crypt4GHError("the file ends inside its header", offset=offset + got)
    return bytes(data)


def _open_packet(body: bytes, reader: X25519PrivateKey, reader_public: bytes) -> bytes | None:
    """The packet's plain text; None where it is for another key or sealed by a method we do not know."""
    if struct.unpack_from("<I", body)[0] != _X25519_CHACHA20:
        return None
    writer, nonce, sealed = body[4 : 4 + KEY], body[4 + KEY : 4 + KEY + NONCE], body[4 + KEY + NONCE :]
    try:
        exchanged = reader.exchange(X25519PublicKey.from_public_bytes(writer))
        return ChaCha20Poly1305(_shared_key(exchanged, reader_public, writer)).decrypt(nonce, sealed, None)
    except (InvalidTag, ValueError):  # ValueError: a writer's key of low order
        return None


def _understand(found: Sequence[tuple[int, bytes]], length: int) -> Opened:
    keys: list[bytes] = []
    edits: EditMap | None = None
    for offset, plain in found:
        kind = _number(plain, 0, offset)
        if kind == _DATA_KEY:
            keys.append(_data_key(plain, offset))
        elif kind == _EDIT_LIST:
            if edits is not None:
                raise Crypt4GHError("the header has two edit lists", offset=offset)
            edits = _edit_list(plain, offset)
        else:
            raise Crypt4GHError(f"header packet type {kind} is not known", offset=offset)
    if not keys:
        raise Crypt4GHError("the header opens but holds no data key")
    return Opened(data_keys=tuple(dict.fromkeys(keys)), edits=WHOLE if edits is None else edits, length=length)


def _number(plain: bytes, at: int, offset: int) -> int:
    if len(plain) < at + 4:
        raise Crypt4GHError("a header packet is too short for what it says", offset=offset)
    return int.from_bytes(plain[at : at + 4], "little")


def _data_key(plain: bytes, offset: int) -> bytes:
    method = _number(plain, 4, offset)
    if method != _CHACHA20:
        raise Crypt4GHError(f"data encryption method {method} is not known, only 0", offset=offset)
    if len(plain) < 8 + KEY:
        raise Crypt4GHError("a header packet is too short for its data key", offset=offset)
    return plain[8 : 8 + KEY]


def _edit_list(plain: bytes, offset: int) -> EditMap:
    count = _number(plain, 4, offset)
    if count > MAX_EDITS or len(plain) < 8 + 8 * count:
        raise Crypt4GHError(f"an edit list of {count} lengths does not fit its packet", offset=offset)
    return edit_map(struct.unpack_from(f"<{count}Q", plain, 8), offset=offset)
