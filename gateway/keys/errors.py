"""What can go wrong with keys.

    KeysError            the base
    ├── KeysUnreadableError   a key file is missing, open to others, or not what its name says
    └── CannotUnwrapError     a wrapped secret was changed, or belongs to another context

Messages name the file or the context, never key material.
"""

from __future__ import annotations

from gateway.errors import GatewayError


class KeysError(GatewayError):
    """The gateway's keys cannot do what was asked."""

    code = "keys"


class KeysUnreadableError(KeysError):
    """A key is missing, or its file or folder is not as it must be; nothing is done until a person has looked."""

    code = "keys_unreadable"


class CannotUnwrapError(KeysError):
    """Deliberately one error for a wrong context and a changed byte: the cipher cannot tell them apart either."""

    code = "cannot_unwrap"
