"""Keys behind one port: ``gateway.keys.port`` has the hierarchy, ``gateway.keys.files`` the embedded default."""

from __future__ import annotations

from gateway.keys.errors import CannotUnwrapError, KeysError, KeysUnreadableError
from gateway.keys.files import FileKeys
from gateway.keys.port import KeyName, Keys, Purpose, Scope
from gateway.keys.pseudonyms import pseudonym

__all__ = [
    "CannotUnwrapError",
    "FileKeys",
    "KeyName",
    "Keys",
    "KeysError",
    "KeysUnreadableError",
    "Purpose",
    "Scope",
    "pseudonym",
]
