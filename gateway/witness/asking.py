"""The log's side: ask the witnesses of the policy for cosignatures, and let nothing leave before there are enough.

A witness that says the log forked or shrank stops hand-over at once, however many others agree: that is what witnesses
are for. One that cannot be reached only does not count. Transport comes in as ``Post``; nothing here opens a socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import LedgerUnavailable
from gateway.ledger.files import LogStore
from gateway.ledger.log import TreeFiles
from gateway.ledger.receipt import read_checkpoint
from gateway.ports import Clock
from gateway.verifier.audit import CHECKPOINT
from gateway.verifier.note import Checkpoint, Note, decimal, parse_note
from gateway.verifier.policy import Policy, cosigned_at, cosigners

from .request import format_request

T = TypeVar("T")

MAX_SKEW = 120
"""Seconds that our clock may stand away from a witness's (ARCHITECTURE, Clock)."""
_TRIES = 3
_LOCK_TRIES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a witness answered."""

    status: int
    body: bytes


Post = Callable[[bytes], Reply | None]
"""Sends one ``add-checkpoint`` body; None where the witness cannot be reached."""


class Cosigning:
    """The witnesses of one log."""

    def __init__(self, files: LogStore, policy: Policy, posts: Mapping[str, Post], *, clock: Clock) -> None:
        self._files, self._policy, self._posts, self._clock = files, policy, posts, clock
        self._seen = dict.fromkeys(posts, 0)

    def floor(self) -> int:
        """The largest size that enough of the witnesses could have cosigned: never sign below it.

        Raises where those that cannot be reached could have been a quorum without the others. Where all are asked by
        file nobody can be asked now: 0, and the next answer that comes tells.
        """
        if not self._posts:
            return 0
        signed, head = read_checkpoint(self._files)
        body = format_request(old=0, proof=(), signed_checkpoint=signed)
        sizes: dict[str, int] = {}
        strangers = []
        for name, reply in self._all(lambda name: self._posts[name](body)).items():
            if reply is not None and reply.status == 200:
                sizes[name] = head.size
            elif reply is not None and reply.status == 409:
                sizes[name] = _size(reply)
            elif reply is not None and reply.status in (403, 404):
                strangers.append(name)
        if self._policy.satisfied(set(self._policy.witnesses) - set(sizes)):
            why = "too few witnesses can be reached to know what they have seen; nothing is signed"
            why += f" ({', '.join(strangers)}: give them this log's log.vkey)" if strangers else ""
            raise LedgerUnavailable(why)
        self._seen |= sizes
        return max(sizes.values(), default=0)

    def confirm(self) -> int:
        """The size up to which enough witnesses have cosigned: the present checkpoint's. Raises LedgerUnavailable."""
        signed, head = read_checkpoint(self._files)
        note = parse_note(signed)
        have = self._cosigned(note)
        if not self._policy.satisfied(have):
            asked = set(self._posts) - have
            lines = self._all(lambda name: self._ask(name, head, signed) if name in asked else None)
            signed += b"".join(line for line in lines.values() if line)
            have = self._cosigned(parse_note(signed))
            self._store(note, signed)
        if not self._policy.satisfied(have):
            raise LedgerUnavailable(f"{len(have)} witnesses have cosigned, and that is not enough; nothing leaves")
        return head.size

    def collect(self, lines: bytes) -> int:
        """Take in an answer that came by file, and confirm. Raises where it is no cosignature of this checkpoint."""
        signed, _ = read_checkpoint(self._files)
        before = parse_note(signed)
        try:
            gained = self._cosigned(parse_note(signed + lines)) - self._cosigned(before)
        except ValueError as error:
            raise LedgerUnavailable(f"the answer cannot be read: {error}") from None
        if not gained:
            raise LedgerUnavailable("the answer holds no new cosignature of the present checkpoint")
        self._store(before, signed + lines)
        return self.confirm()

    def _ask(self, name: str, head: Checkpoint, signed: bytes) -> bytes | None:
        for _ in range(_TRIES):
            old = self._seen[name]
            if old > head.size:
                raise LedgerUnavailable(
                    f"witness {name} has seen {old} entries and this ledger has {head.size}: a restored backup?"
                )
            proof = TreeFiles(self._files, head.size).consistency(old) if 0 < old < head.size else []
            reply = self._posts[name](format_request(old=old, proof=proof, signed_checkpoint=signed))
            if reply is not None and reply.status == 200:
                self._seen[name] = head.size
                self._refuse_skew(name, signed, reply.body)
                return self._own_lines(name, signed, reply.body)
            if reply is not None and reply.status == 422:
                raise LedgerUnavailable(f"witness {name} cosigned another history of this ledger; nothing leaves")
            if reply is None or reply.status != 409:
                return None
            self._seen[name] = _size(reply)
        return None

    def _refuse_skew(self, name: str, signed: bytes, lines: bytes) -> None:
        """A fresh cosignature tells the witness's time; ours must be near it."""
        try:
            time = cosigned_at(parse_note(signed + lines), self._policy.witnesses[name])
        except ValueError:
            return
        if time is not None and abs(time - self._clock.now().timestamp()) > MAX_SKEW:
            raise LedgerUnavailable(f"our clock stands more than {MAX_SKEW} s away from that of witness {name}")

    def _own_lines(self, name: str, signed: bytes, lines: bytes) -> bytes | None:
        """The answer, if it is this witness's good cosignature and nothing else."""
        key = self._policy.witnesses[name]
        try:
            note = parse_note(signed + lines)
            extra = note.signatures[len(parse_note(signed).signatures) :]
            if cosigned_at(note, key) is None or any((one.name, one.key_id) != (key.name, key.key_id) for one in extra):
                return None
        except ValueError:
            return None
        return lines

    def _cosigned(self, note: Note) -> set[str]:
        """The policy's witnesses of this note."""
        return set(cosigners(note, self._policy))

    def _store(self, before: Note, signed: bytes) -> None:
        """Publish the cosignatures, unless a later checkpoint has taken the place of the one they are for."""
        for _ in range(_LOCK_TRIES):
            with self._files.exclusive() as alone:
                if not alone:
                    continue
                present = self._files.read(CHECKPOINT)
                if present is not None and parse_note(present).text == before.text:
                    self._files.write(CHECKPOINT, signed)
                return

    def _all(self, ask: Callable[[str], T]) -> dict[str, T]:
        """The same question to every witness at once."""
        if not self._posts:
            return {}
        with ThreadPoolExecutor(max_workers=len(self._posts)) as pool:
            return dict(zip(self._posts, pool.map(ask, self._posts), strict=True))


def _size(reply: Reply) -> int:
    try:
        return decimal(reply.body.decode("ascii").removesuffix("\n"))
    except ValueError:
        raise LedgerUnavailable("a witness answered with a size that is none") from None
