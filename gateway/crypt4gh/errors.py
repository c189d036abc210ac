"""What can be wrong with a Crypt4GH file or key, each with its place.

    Crypt4GHError          the base; ``offset`` is the byte of the file where reading stopped, None where there is none
    ├── WrongKeyError      the file is sound so far, but no packet opens with the key given
    └── KeyFileError       a key file that cannot be used

Messages never carry key material.
"""

from __future__ import annotations

from gateway.errors import BadInput


class Crypt4GHError(BadInput):
    """The file is not usable Crypt4GH; the message ends with the byte offset."""

    code = "crypt4gh_unreadable"

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset


class WrongKeyError(Crypt4GHError):
    """No header packet opens with this private key: it was sealed to another one."""

    code = "crypt4gh_wrong_key"


class KeyFileError(Crypt4GHError):
    """A key file that is not in the Crypt4GH format, or does not open with the passphrase."""

    code = "crypt4gh_key_file"
