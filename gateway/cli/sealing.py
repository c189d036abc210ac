"""Commands over Crypt4GH files, for those who receive them: keys, seal, open. They talk to no server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.crypt4gh import (
    Crypt4GHError,
    accept_reader,
    generate_keypair,
    open_sealed,
    read_private_key,
    read_public_key,
    seal,
    write_private_key,
    write_public_key,
)
from gateway.errors import BadInput, Conflict
from gateway.machine import SystemRandomness

crypt4gh = typer.Typer(no_args_is_help=True, help="Keys, sealed files: GA4GH Crypt4GH version 1.")
Passphrase = Annotated[str | None, typer.Option(help="Of the private key.", hide_input=True)]
CHUNK = 1 << 20


@crypt4gh.command("keygen")
def keygen(name: Path, passphrase: Passphrase = None) -> None:
    """Make NAME.sec, which only you can read, and NAME.pub, which you register."""
    private, public = generate_keypair(SystemRandomness())
    locked = passphrase.encode() if passphrase else None
    _create(name.with_suffix(".sec"), write_private_key(private, passphrase=locked, random=SystemRandomness()), 0o600)
    _create(name.with_suffix(".pub"), write_public_key(public), 0o644)
    print(f"{name.with_suffix('.sec')}\n{name.with_suffix('.pub')}")


@crypt4gh.command("encrypt")
def encrypt(source: Path, out: Path, recipient: Annotated[list[Path], typer.Option(help="Public key file.")]) -> None:
    """Seal a file to one or more public keys."""
    try:
        readers = [accept_reader(read_public_key(_bytes(path))) for path in recipient]
    except Crypt4GHError as error:
        raise BadInput(str(error)) from None
    with _opened(source) as plain, _Finished(out) as sink:
        seal(plain, sink, readers=readers, session_key=SystemRandomness().token(32), random=SystemRandomness())
    print(out)


@crypt4gh.command("decrypt")
def decrypt(
    source: Path,
    out: Path,
    key: Annotated[Path, typer.Option(help="Your private key file.")],
    passphrase: Passphrase = None,
) -> None:
    """Open a sealed file; nothing is left behind when any byte of it is not what was sealed."""
    secret = read_secret(key, passphrase)
    try:
        with _opened(source) as sealed, _Finished(out) as sink:
            plain = open_sealed(sealed, secret)
            while chunk := plain.read(CHUNK):
                sink.write(chunk)
    except Crypt4GHError as error:
        raise BadInput(f"{source}: {error}") from None
    print(out)


def read_secret(path: Path, passphrase: str | None) -> bytes:
    """32 raw bytes of a private key file. Raises BadInput naming the file."""
    try:
        return read_private_key(_bytes(path), passphrase.encode() if passphrase else None)
    except Crypt4GHError as error:
        raise BadInput(f"{path}: {error}") from None


class _Finished:
    """A new file that appears under its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise Conflict(f"{path} is there already; nothing is overwritten")
        self._path, self._part = path, path.with_name(f"{path.name}.part")

    def __enter__(self) -> typer.FileBinaryWrite:
        self._part.unlink(missing_ok=True)
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "wb")
        return self._file  # type: ignore[return-value]

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise Conflict(f"{path} is there already; a key is never overwritten") from None
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _bytes(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _opened(path: Path) -> typer.FileBinaryRead:
    try:
        return path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
