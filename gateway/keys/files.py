"""The embedded default of the ``Keys`` port: one file per key and version in a private folder.

    kek.v1  ledger-signing.v1  token.v1  backup.v1  source.v1       32 random bytes each
    custodians/<custodian>.v1                                       32 random bytes under the kek

A file is one line, ``tongguan-key/1 <name> <version> <base64> <check>``: its own name inside shows a swapped file,
the check (SHA-256, 4 bytes) a damaged one. Whoever can read the folder has every key: that is what a PKCS#11 token or
a KMS behind the same port is for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.keys.derivation import derived_key
from gateway.keys.errors import CannotUnwrapError, KeysError, KeysUnreadableError
from gateway.keys.folder import PrivateFolder
from gateway.keys.port import ON_DEMAND, KeyName, Keys, Purpose, Scope
from gateway.keys.wrapping import kek_version, unwrapped, wrapped
from gateway.ports import Randomness, Signer

_FORMAT = "tongguan-key/1"
_SIZE = 32
_CUSTODIAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


class FileSigner:
    """``ports.Signer`` over a key held in memory."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def name(self) -> str:
        """The log's origin."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


class FileKeys(Keys):
    """See ``gateway.keys.port.Keys``."""

    def __init__(self, root: Path, random: Randomness) -> None:
        self._alone = PrivateFolder(root)
        self._custodians = PrivateFolder(root / "custodians")
        self._random = random
        self._held: dict[tuple[str, int], bytes] = {}

    def create_all(self) -> None:
        """Make what is missing, change nothing that is there."""
        self._alone.create()
        self._custodians.create()
        for name in KeyName:
            if name not in ON_DEMAND and not self.versions(name):
                self._add(self._alone, name, 1, self._random.token(_SIZE))

    def versions(self, name: KeyName) -> Sequence[int]:
        """Oldest first."""
        return _versions(self._alone, name)

    def rotate(self, name: KeyName) -> int:
        """Add a version; two processes that rotate at once add two."""
        return self._rotate(self._alone, name, lambda _version: self._random.token(_SIZE))

    def adopt(self, name: KeyName, secret: bytes) -> int:
        """Add a version; only of the keys of further lines, whose secrets leave anyhow."""
        if name not in ON_DEMAND or len(secret) != _SIZE:
            raise KeysError(f"no {name} key of {len(secret)} bytes is taken in")
        return self._rotate(self._alone, name, lambda _version: secret)

    def secret(self, name: KeyName, *, version: int | None = None) -> bytes:
        """32 bytes."""
        if name in (KeyName.KEK, KeyName.LEDGER_SIGNING):
            raise KeysError(f"the {name} key does not leave: wrap, unwrap or sign with it")
        return self._load(name, version)

    def ledger_signer(self, name: str, *, version: int | None = None) -> Signer:
        """A signer called ``name``."""
        return FileSigner(name, self._load(KeyName.LEDGER_SIGNING, version))

    def ledger_signers(self, name: str) -> Iterator[Signer]:
        """Every version's, the newest first."""
        for version in reversed(self.versions(KeyName.LEDGER_SIGNING)):
            yield self.ledger_signer(name, version=version)

    def wrap(self, context: str, secret: bytes) -> bytes:
        """Under the newest kek."""
        version = _newest(self._alone, KeyName.KEK)
        kek = self._load(KeyName.KEK, version)
        return wrapped(secret, kek=kek, version=version, context=context, nonce=self._random.token(12))

    def unwrap(self, context: str, blob: bytes) -> bytes:
        """Under the kek that the blob names."""
        version = kek_version(blob)
        if version not in self.versions(KeyName.KEK):
            raise CannotUnwrapError(f"the wrapped secret for {context!r} needs a kek that is not here")
        return unwrapped(blob, kek=self._load(KeyName.KEK, version), context=context)

    def seal_apart(self, context: str, secret: bytes) -> bytes:
        """Under the newest backup key."""
        version = _newest(self._alone, KeyName.BACKUP)
        key = self._load(KeyName.BACKUP, version)
        return wrapped(secret, kek=key, version=version, context=f"apart/{context}", nonce=self._random.token(12))

    def open_apart(self, context: str, blob: bytes) -> bytes:
        """Under the backup key that the blob names."""
        version = kek_version(blob)
        if version not in self.versions(KeyName.BACKUP):
            raise CannotUnwrapError(f"what was sealed for {context!r} needs a backup key that is not here")
        return unwrapped(blob, kek=self._load(KeyName.BACKUP, version), context=f"apart/{context}")

    def add_custodian(self, custodian: str) -> int:
        """Version 1 where there is none."""
        name = _custodian(custodian)
        if not _versions(self._custodians, name):
            self._add(self._custodians, name, 1, self._new_custodian_key(custodian, 1))
        return _newest(self._custodians, name)

    def custodian_version(self, custodian: str) -> int:
        """The newest."""
        return _newest(self._custodians, _custodian(custodian))

    def rotate_custodian(self, custodian: str) -> int:
        """Only where there is one."""
        name = _custodian(custodian)
        _newest(self._custodians, name)
        return self._rotate(self._custodians, name, lambda version: self._new_custodian_key(custodian, version))

    def derive(self, purpose: Purpose, scope: Scope) -> bytes:
        """HKDF of the custodian's key of that version."""
        name = _custodian(scope.custodian)
        held = self._held.get((f"custodians/{name}", scope.version))
        if held is None:
            blob = _read(self._custodians, name, scope.version)
            held = self.unwrap(_context(scope.custodian, scope.version), blob)
            self._held[f"custodians/{name}", scope.version] = held
        return derived_key(held, purpose, scope)

    def _new_custodian_key(self, custodian: str, version: int) -> bytes:
        return self.wrap(_context(custodian, version), self._random.token(_SIZE))

    def _load(self, name: KeyName, version: int | None) -> bytes:
        version = _newest(self._alone, name) if version is None else version
        held = self._held.get((name, version))
        if held is None:
            held = _read(self._alone, name, version)
            if len(held) != _SIZE:
                raise KeysUnreadableError(f"key {name} version {version} does not have {_SIZE} bytes")
            self._held[name, version] = held
        return held

    @staticmethod
    def _add(folder: PrivateFolder, name: str, version: int, key: bytes) -> bool:
        body = base64.b64encode(key).decode()
        line = f"{_FORMAT} {name} {version} {body} {_check(key)}\n"
        return folder.create_file(f"{name}.v{version}", line.encode())

    def _rotate(self, folder: PrivateFolder, name: str, made: Callable[[int], bytes]) -> int:
        while True:
            version = (_versions(folder, name) or [0])[-1] + 1
            if self._add(folder, name, version, made(version)):
                return version


def _context(custodian: str, version: int) -> str:
    return f"{custodian}/custodian-key/{version}"


def _custodian(custodian: str) -> str:
    if not _CUSTODIAN.fullmatch(custodian):
        raise KeysError("a custodian's id must be letters, digits, '-' and '_', at most 128 of them")
    return custodian


def _versions(folder: PrivateFolder, name: str) -> list[int]:
    found = (file.rpartition(".v") for file in folder.names())
    return sorted(int(version) for stem, _, version in found if stem == name and version.isdecimal())


def _newest(folder: PrivateFolder, name: str) -> int:
    versions = _versions(folder, name)
    if not versions:
        raise KeysUnreadableError(f"there is no key {name} in {folder.path}")
    return versions[-1]


def _read(folder: PrivateFolder, name: str, version: int) -> bytes:
    path = folder.path / f"{name}.v{version}"
    data = folder.read(path.name)
    if data is None:
        raise KeysUnreadableError(f"there is no version {version} of key {name} in {folder.path}")
    words = data.decode("ascii", "replace").split()
    if len(words) != 5 or words[:3] != [_FORMAT, name, str(version)]:
        raise KeysUnreadableError(f"{path} is not the key its name says")
    try:
        key = base64.b64decode(words[3], validate=True)
    except binascii.Error:
        raise KeysUnreadableError(f"{path} is damaged") from None
    if words[4] != _check(key):
        raise KeysUnreadableError(f"{path} is damaged")
    return key


def _check(key: bytes) -> str:
    return hashlib.sha256(b"tongguan key check" + key).hexdigest()[:8]
