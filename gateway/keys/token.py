"""The log's signing key in a PKCS#11 token (OASIS PKCS #11 v3.0, CKM_EDDSA); every other key stays where it was.

The key is made inside the token, marked sensitive and not extractable, and named ``ledger-signing.v<N>``. Nothing here
can read it; a stolen disk signs nothing. Needs the package ``python-pkcs11`` (extra ``pkcs11``), imported when a token
is named in the settings and not before. A token that does not answer is a ledger that does not confirm: nothing leaves.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import BadInput, LedgerUnavailable
from gateway.keys.files import FileKeys
from gateway.keys.port import KeyName
from gateway.ports import Randomness, Signer

T = TypeVar("T")

_ED25519 = "1.3.101.112"  # RFC 8410 section 3
_POINT = 32


class Token:
    """One token, opened with its PIN when it is first needed; one call at a time, as many tokens demand."""

    def __init__(self, module: Path, label: str, pin: str) -> None:
        self._module, self._label, self._pin = module, label, pin
        self._lock = threading.Lock()
        self._session: Any = None

    def labels(self) -> list[str]:
        """Of every Ed25519 public key in it."""
        return self._do(lambda pkcs11, session: [key.label for key in session.get_objects(_public(pkcs11))])

    def make(self, label: str) -> None:
        """A new key pair that cannot leave."""

        def work(pkcs11: Any, session: Any) -> None:
            ec = importlib.import_module("pkcs11.util.ec")
            attribute = pkcs11.Attribute
            curve = {attribute.EC_PARAMS: ec.encode_named_curve_parameters(_ED25519)}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
            kept = {attribute.SENSITIVE: True, attribute.EXTRACTABLE: False, attribute.SIGN: True}
            parameters.generate_keypair(
                mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=label, private_template=kept
            )

        self._do(work)

    def public_key(self, label: str) -> bytes:
        """32 raw bytes: the end of the DER octet string that CKA_EC_POINT is."""

        def work(pkcs11: Any, session: Any) -> bytes:
            (key,) = session.get_objects(_public(pkcs11) | {pkcs11.Attribute.LABEL: label})
            return bytes(key[pkcs11.Attribute.EC_POINT])[-_POINT:]

        return self._do(work)

    def sign(self, label: str, message: bytes) -> bytes:
        """64 bytes."""

        def work(pkcs11: Any, session: Any) -> bytes:
            (key,) = session.get_objects(
                {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.LABEL: label}
            )
            return bytes(key.sign(message, mechanism=pkcs11.Mechanism.EDDSA))

        return self._do(work)

    def _do(self, work: Callable[[Any, Any], T]) -> T:
        with self._lock:
            pkcs11 = _package()
            try:
                self._session = self._session or self._opened(pkcs11)
                return work(pkcs11, self._session)
            except (pkcs11.PKCS11Error, ValueError, RuntimeError) as error:
                self._session = None  # opened anew at the next try: a token may have been taken out and put back
                raise LedgerUnavailable(
                    f"the token that keeps the log's key does not answer ({type(error).__name__}); nothing leaves"
                ) from None

    def _opened(self, pkcs11: Any) -> Any:
        token = pkcs11.lib(str(self._module)).get_token(token_label=self._label)
        try:
            return token.open(user_pin=self._pin, rw=True)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)  # a login is the process's, not the session's (PKCS #11, section 5.6)


class TokenSigner:
    """``ports.Signer`` over one key of a token."""

    def __init__(self, token: Token, name: str, label: str) -> None:
        self._token, self._name, self._label = token, name, label
        self._public = token.public_key(label)

    @property
    def name(self) -> str:
        """The log's origin."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """64 bytes. Raises LedgerUnavailable."""
        return self._token.sign(self._label, message)


class TokenKeys(FileKeys):
    """``FileKeys`` whose ledger-signing key lives in a token.

    A key file from before the token signs until ``tongguan ledger rotate`` has handed over to the token's key.
    """

    def __init__(self, root: Path, random: Randomness, token: Token) -> None:
        super().__init__(root, random)
        self._token = token

    def create_all(self) -> None:
        """Make what is missing, in the token first."""
        if not self.versions(KeyName.LEDGER_SIGNING):
            self._token.make(_label(1))
        super().create_all()

    def versions(self, name: KeyName) -> Sequence[int]:
        """Oldest first."""
        if name is not KeyName.LEDGER_SIGNING:
            return super().versions(name)
        found = (label.rpartition(".v") for label in self._token.labels())
        return sorted(int(number) for stem, _, number in found if stem == name and number.isdecimal())

    def rotate(self, name: KeyName) -> int:
        """Add a version."""
        if name is not KeyName.LEDGER_SIGNING:
            return super().rotate(name)
        version = max(self.versions(name), default=0) + 1
        self._token.make(_label(version))
        return version

    def ledger_signer(self, name: str, *, version: int | None = None) -> Signer:
        """A signer called ``name``."""
        versions = self.versions(KeyName.LEDGER_SIGNING)
        if not versions or (version is not None and version not in versions):
            raise LedgerUnavailable("the token does not hold the log's key; is it the right token?")
        return TokenSigner(self._token, name, _label(version or versions[-1]))

    def ledger_signers(self, name: str) -> Iterator[Signer]:
        """Those of the token, then those of files."""
        for version in reversed(self.versions(KeyName.LEDGER_SIGNING)):
            yield self.ledger_signer(name, version=version)
        for version in reversed(super().versions(KeyName.LEDGER_SIGNING)):
            yield super().ledger_signer(name, version=version)


def open_token(module: Path, label: str, pin_file: Path | None) -> Token:
    """The token of the settings. Raises BadInput where the PIN cannot be read or others can read it too."""
    if pin_file is None:
        raise BadInput("a token needs the file with its PIN; name it in TONGGUAN_PKCS11_PIN_FILE", code="bad_setting")
    try:
        if pin_file.stat().st_mode & 0o077:
            raise BadInput(f"{pin_file}: others can read the PIN; make it 0600", code="bad_setting")
        pin = pin_file.read_text("utf-8").strip()
    except OSError as error:
        raise BadInput(f"{pin_file}: {error.strerror}", code="bad_setting") from None
    return Token(module, label, pin)


def _label(version: int) -> str:
    return f"{KeyName.LEDGER_SIGNING}.v{version}"


def _public(pkcs11: Any) -> dict[Any, Any]:
    return {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY, pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.EC_EDWARDS}


def _package() -> Any:
    try:
        return importlib.import_module("pkcs11")
    except ImportError:
        raise BadInput(
            "a token needs the package python-pkcs11: install tongguan with the extra pkcs11", code="bad_setting"
        ) from None
