"""The log in an object store that speaks S3: each object is there whole, or it is not there.

Everything but the checkpoint and the side root is written once, under a name that says its place and width: the store
itself is asked to refuse a second writing (``If-None-Match: *``), and what stands there already must be the very bytes.
So two writers, on whatever machines, cannot make two histories of one log. The checkpoint is replaced, where the store
can, only over the one that was read (``If-Match``). A store that would overwrite what is to be written once is refused
before the first byte. Whether a request that broke off was carried out is seen when it is made again.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from gateway.errors import LedgerUnavailable
from gateway.ledger.files import alone, check_path
from gateway.verifier.audit import CHECKPOINT
from gateway.verifier.side import SIDE

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

REPLACED = frozenset({CHECKPOINT, SIDE})
"""Written again and again under one name."""
PROBE = "probe"
_SAFE = re.compile(r"(?<=status code: )[0-9]{3}\b|(?<=<Code>)[A-Za-z]{1,40}(?=</Code>)")


class ObjectLogFiles:
    """One log under ``prefix``; ``lock`` is a file on this machine, ``token`` makes names that nobody else makes.

    Other machines are kept out by the database's lease and, where that ran out, by the conditions of each write.
    """

    def __init__(self, store: ObjectStore, prefix: str, *, place: str, lock: Path, token: str) -> None:
        self._store, self._prefix, self._lock, self._token = store, f"{prefix}/", lock, token
        self.place = f"{place}/{prefix}"
        self._seen = threading.local()
        self._replaces: bool | None = None

    @property
    def _tags(self) -> dict[str, str | None]:
        """What this thread read last: what another one read meanwhile is nothing to replace a checkpoint over."""
        return cast("dict[str, str | None]", self._seen.__dict__)

    def exclusive(self) -> AbstractContextManager[bool]:
        """See ``LogStore``."""
        return alone(self._lock)

    def read(self, path: str) -> bytes | None:
        """The whole object, or None where there is none."""
        return self._read(check_path(path))

    def write(self, path: str, data: bytes) -> None:
        """Durable when it returns, as far as the store's own word goes."""
        name = check_path(path)
        if self._replaces is None:
            self._replaces = self._probed()
        if name in REPLACED:
            self._replace(name, data)
        else:
            self._create(name, data)

    def prune(self, folder: str) -> None:
        """See ``LogStore``."""
        with suppress(LedgerUnavailable):
            self._delete(f"{check_path(folder)}/")

    def remove(self) -> None:
        """Everything of this log, for good: its retention is over."""
        self._delete("")

    def folder(self) -> Path:
        """See ``KeptLog``: a fresh copy of every object under the prefix, gone with this process.

        A name that no log has, or that is a folder of another, is written in a form that cannot leave the folder nor be
        in the way there, for the verifier to find.
        """
        root = Path(tempfile.mkdtemp(prefix="tongguan-log-"))
        atexit.register(shutil.rmtree, root, ignore_errors=True)
        names = set(self._names(""))
        folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
        for name in names:
            data = self._read(name)
            if data is not None:  # a partial tile may be pruned while this goes on
                target = root / (name if _is_plain(name) and name not in folders else f"%{quote(name, safe='')}")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        return root

    def _read(self, name: str) -> bytes | None:
        self._tags.pop(name, None)
        try:
            found = obstore.get(self._store, self._prefix + name)
            data = bytes(found.bytes())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise _unavailable(name, "read", error) from None
        if name in REPLACED:
            self._tags[name] = found.meta["e_tag"]
        return data

    def _create(self, name: str, data: bytes) -> None:
        try:
            obstore.put(self._store, self._prefix + name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            if self._read(name) != data:
                raise LedgerUnavailable(f"ledger object {name} is there already and says something else") from None
        except BaseError as error:
            raise _unavailable(name, "written", error) from None

    def _replace(self, name: str, data: bytes) -> None:
        """Over what this thread read last, or as the first where there is none."""
        tag = self._tags.pop(name, None)
        if tag is None and self._read(name) is not None:
            tag = self._tags.pop(name)
        if tag is None:
            self._create(name, data)
            return
        mode: PutMode = {"e_tag": tag} if self._replaces else "overwrite"
        try:
            obstore.put(self._store, self._prefix + name, data, mode=mode, use_multipart=False)
        except PreconditionError:
            if self._read(name) != data:
                raise LedgerUnavailable(f"ledger object {name} was replaced by another process meanwhile") from None
        except BaseError as error:
            raise _unavailable(name, "written", error) from None

    def _probed(self) -> bool:
        """Whether the store replaces under a condition. Raises where it does not even create under one."""
        name = f"{self._prefix.rstrip('/')}-{PROBE}-{self._token}"
        try:
            obstore.put(self._store, name, b"1", mode="create", use_multipart=False)
            try:
                if not self._refused(name, "create"):
                    raise LedgerUnavailable(
                        f"{self.place}: this object store writes over what is to be written once "
                        "(it ignores If-None-Match); the ledger cannot be kept there"
                    )
                return self._refused(name, {"e_tag": f'"{self._token}"'})
            finally:
                obstore.delete(self._store, name)
        except BaseError as error:
            raise _unavailable(name, "tried", error) from None

    def _refused(self, name: str, mode: PutMode) -> bool:
        """Whether the store knows the condition and refuses; one that says it does not know it has not refused."""
        try:
            obstore.put(self._store, name, b"2", mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return True
        except BaseError as error:
            if "501 Not Implemented" not in str(error):
                raise
        return False

    def _names(self, folder: str) -> Iterator[str]:
        try:
            for part in obstore.list(self._store, prefix=self._prefix + folder):
                yield from (str(one["path"]).removeprefix(self._prefix) for one in part)
        except BaseError as error:
            raise _unavailable(folder, "listed", error) from None

    def _delete(self, folder: str) -> None:
        names = [self._prefix + name for name in self._names(folder)]
        try:
            obstore.delete(self._store, names)
        except FileNotFoundError:
            return  # somebody else removed one
        except BaseError as error:
            raise _unavailable(folder, "removed", error) from None


def _is_plain(name: str) -> bool:
    try:
        return bool(check_path(name))
    except ValueError:
        return False


def _unavailable(name: str, what: str, error: BaseError) -> LedgerUnavailable:
    """The kind of error, the status and S3's own word for it: all else that is said quotes addresses and keys."""
    said = [type(error).__name__.removesuffix("Error"), *_SAFE.findall(str(error))]
    return LedgerUnavailable(f"ledger object {name} cannot be {what} in the object store ({', '.join(said)})")
