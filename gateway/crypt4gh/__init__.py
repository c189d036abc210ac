"""Crypt4GH version 1 (GA4GH), written over ``cryptography``: key files, seal, open, and where a range lies.

    seal(source, sink, readers=..., session_key=..., random=...)   one copy, once, to its recipient's key
    open_sealed(source, private_key)                               a reader; seekable when the source is
    cipher_range(start, end)                                       which sealed bytes cover a plain range

Pure: no file, clock, randomness or network of its own. The format protects each segment's bytes, not their order or
number and not who wrote them; see docs/crypt4gh.md for what we add and what we refuse.
"""

from __future__ import annotations

from gateway.crypt4gh.errors import Crypt4GHError, KeyFileError, WrongKeyError
from gateway.crypt4gh.header import accept_reader
from gateway.crypt4gh.keyfile import read_private_key, read_public_key, write_private_key, write_public_key
from gateway.crypt4gh.sealing import SealedSize, generate_keypair, open_sealed, public_of, seal
from gateway.crypt4gh.segments import cipher_range, cipher_size, plain_size

__all__ = [
    "Crypt4GHError",
    "KeyFileError",
    "SealedSize",
    "WrongKeyError",
    "accept_reader",
    "cipher_range",
    "cipher_size",
    "generate_keypair",
    "open_sealed",
    "plain_size",
    "public_of",
    "read_private_key",
    "read_public_key",
    "seal",
    "write_private_key",
    "write_public_key",
]
