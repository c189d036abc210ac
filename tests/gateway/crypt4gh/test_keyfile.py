"""Key files, both ways with the ``crypt4gh`` package and the GA4GH samples."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crypt4gh.keys import get_private_key, get_public_key

from gateway.crypt4gh import (
    KeyFileError,
    generate_keypair,
    public_of,
    read_private_key,
    read_public_key,
    write_private_key,
    write_public_key,
)

PASSPHRASE = "correct horse"


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_the_package_reads_our_keys(passphrase: str | None, random: Any, tmp_path: Path) -> None:
    private, public = generate_keypair(random)
    locked = None if passphrase is None else passphrase.encode()
    (tmp_path / "k.sec").write_bytes(write_private_key(private, passphrase=locked, random=random, comment=b"me"))
    (tmp_path / "k.pub").write_bytes(write_public_key(public))
    assert bytes(get_private_key(tmp_path / "k.sec", lambda: passphrase or "")) == private
    assert bytes(get_public_key(tmp_path / "k.pub")) == public


@pytest.mark.parametrize("options", [["--nocrypt"], []])
def test_we_read_keys_of_the_packages_generator(options: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crypt4gh.keys", "--sk", str(tmp_path / "k.sec"), "--pk", str(tmp_path / "k.pub")]
    # Without a controlling terminal the generator reads the passphrase from its input.
    answers = f"{PASSPHRASE}\n{PASSPHRASE}\n".encode()
    done = subprocess.run(
        [*command, *options, "-f"], input=answers, capture_output=True, start_new_session=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    passphrase = None if options else PASSPHRASE.encode()
    private = read_private_key((tmp_path / "k.sec").read_bytes(), passphrase)
    assert public_of(private) == read_public_key((tmp_path / "k.pub").read_bytes())


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_the_samples_locked_with_bcrypt_open(name: str, shared_data: Path) -> None:
    folder = shared_data / "ga4gh/crypt4gh/tests/_common"
    private = read_private_key((folder / f"{name}.sec").read_bytes(), name.encode())
    assert public_of(private) == read_public_key((folder / f"{name}.pub").read_bytes())


def test_bcrypt_keys_without_the_bcrypt_package_are_refused_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(KeyFileError, match="install 'bcrypt'"):
        read_private_key(armour(strings(b"bcrypt", bytes([0, 0, 0, 100]) + b"s" * 16, b"chacha20_poly1305")), b"x")


def strings(*parts: bytes) -> bytes:
    return b"c4gh-v1" + b"".join(len(p).to_bytes(2, "big") + p for p in [*parts, b"b" * 60][:4])


def armour(payload: bytes) -> bytes:
    return b"-----BEGIN ANY-----\n" + base64.b64encode(payload) + b"\n-----END ANY-----\n"


ROUNDS = (0xFFFFFFFF).to_bytes(4, "big") + b"s" * 16
REFUSED = {
    "nothing": (b"", "BEGIN line"),
    "a long file": (b"-" * 20_000, "too long"),
    "no base64": (b"-----BEGIN A-----\n!!!!\n-----END A-----", "not base64"),
    "a public key": (armour(bytes(32)), "c4gh-v1"),
    "an endless pbkdf2": (armour(strings(b"pbkdf2_hmac_sha256", ROUNDS, b"chacha20_poly1305")), "out of bounds"),
    "an endless bcrypt": (armour(strings(b"bcrypt", ROUNDS, b"chacha20_poly1305")), "out of bounds"),
    "an unknown kdf": (armour(strings(b"md5", bytes(20), b"chacha20_poly1305")), "not known"),
    "an unknown cipher": (armour(strings(b"scrypt", bytes(20), b"rot13")), "not known"),
    "a cut file": (armour(strings(b"scrypt", bytes(20), b"chacha20_poly1305")[:-1]), "ends too early"),
    "a short key": (armour(b"c4gh-v1" + b"\0\4none\0\4none\0\5short"), "32 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_false_private_key_file_is_refused(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(KeyFileError, match=words):
        read_private_key(text, b"x")


def test_a_wrong_or_missing_passphrase_is_told_apart(random: Any) -> None:
    text = write_private_key(generate_keypair(random)[0], passphrase=b"right", random=random)
    with pytest.raises(KeyFileError, match="does not open"):
        read_private_key(text, b"wrong")
    with pytest.raises(KeyFileError, match="none was given"):
        read_private_key(text)
    with pytest.raises(KeyFileError, match="empty passphrase"):
        write_private_key(bytes(32), passphrase=b"", random=random)


def test_a_private_key_given_as_public_warns_and_does_not_show_itself(random: Any) -> None:
    """Invariant 18: secrets never reach an error text."""
    private = generate_keypair(random)[0]
    text = write_private_key(private, random=random)
    with pytest.raises(KeyFileError, match="do not send it") as caught:
        read_public_key(text)
    assert base64.b64encode(private).decode() not in str(caught.value)
    with pytest.raises(KeyFileError, match="holds 31"):
        read_public_key(armour(bytes(31)))
    with pytest.raises(KeyFileError, match="has 31"):
        write_public_key(bytes(31))
