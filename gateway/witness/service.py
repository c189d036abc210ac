"""The witness itself: answers ``add-checkpoint``, remembers one checkpoint a log, never cosigns two histories.

Compare and remember are one step under a lock, durable before the answer leaves: two requests at once, or a power cut
between them, must not roll the memory back (tlog-witness, "add-checkpoint"). A witness whose memory is lost is to be
retired with its key, not started again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.errors import LedgerUnavailable
from gateway.ledger.files import DiskLogFiles
from gateway.ports import Clock, Signer
from gateway.verifier import merkle
from gateway.verifier.audit import CHECKPOINT
from gateway.verifier.note import Checkpoint, VerifierKey, parse_checkpoint, parse_note, verify_checkpoint
from gateway.verifier.policy import WitnessKey, cosignature_line, cosigned_message, verify_cosignature

from .request import CosignRequest, parse_request

SIZE_TYPE = "text/x.tlog.size"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP status, a body and its content type."""

    status: int
    body: bytes = b""
    content_type: str = TEXT


class Witness:
    """One witness with its key, the logs it serves and its folder; ``halt`` ends the process after a failed sync."""

    def __init__(
        self,
        signer: Signer,
        logs: Sequence[VerifierKey],
        *,
        root: Path,
        clock: Clock,
        halt: Callable[[], None] = lambda: None,
    ) -> None:
        self.key = WitnessKey(name=signer.name, public_key=signer.public_key)
        self._signer, self._clock = signer, clock
        self._logs: dict[str, list[VerifierKey]] = {}
        for log in logs:
            self._logs.setdefault(log.name, []).append(log)
        self._memory = {name: DiskLogFiles(root / _folder(name), halt=halt) for name in self._logs}
        self._lock = threading.Lock()

    def add_checkpoint(self, body: bytes) -> Answer:
        """Judge one request (tlog-witness, "add-checkpoint"); the status codes are the specification's."""
        try:
            request = parse_request(body)
            origin = parse_checkpoint(request.signed_checkpoint).origin
        except ValueError as error:
            return Answer(status=400, body=f"{error}\n".encode())
        if origin not in self._logs:
            return Answer(status=404, body=b"this witness does not serve that log\n")
        head = self._trusted(origin, request.signed_checkpoint)
        if head is None:
            return Answer(status=403, body=b"no signature of a key that is trusted for this log\n")
        if request.old > head.size:
            return Answer(status=400, body=b"the old size is larger than the checkpoint\n")
        memory = self._memory[origin]
        with self._lock, memory.exclusive() as alone:
            return self._judge(memory, request, head) if alone else Answer(status=503, body=b"busy, try again\n")

    def latest(self, folder: str) -> bytes | None:
        """The newest cosigned checkpoint of the log whose origin has this SHA-256 (hex), for monitors."""
        memory = next((files for name, files in self._memory.items() if _folder(name) == folder), None)
        return None if memory is None else memory.read(CHECKPOINT)

    def _judge(self, memory: DiskLogFiles, request: CosignRequest, head: Checkpoint) -> Answer:
        stored = memory.read(CHECKPOINT)
        known = Checkpoint(origin=head.origin, size=0, root=merkle.EMPTY_ROOT, text=b"")
        if stored is not None:
            known = self._remembered(stored)
        if request.old != known.size:
            return Answer(status=409, body=f"{known.size}\n".encode(), content_type=SIZE_TYPE)
        if not _extends(known, request, head):
            return Answer(status=422, body=b"the checkpoint is not shown to extend the one that was cosigned\n")
        line = self._cosign(head)
        memory.write(CHECKPOINT, request.signed_checkpoint + line)
        return Answer(status=200, body=line)

    def _trusted(self, origin: str, signed: bytes) -> Checkpoint | None:
        for key in self._logs[origin]:
            try:
                return verify_checkpoint(signed, key)
            except ValueError:
                continue
        return None

    def _remembered(self, stored: bytes) -> Checkpoint:
        """What this witness cosigned; its own line proves that nobody changed the memory."""
        try:
            note = parse_note(stored)
            own = [one for one in note.signatures if (one.name, one.key_id) == (self.key.name, self.key.key_id)]
            verify_cosignature(note.text, self.key, own[-1].value)
            return parse_checkpoint(stored)
        except (ValueError, IndexError):
            raise LedgerUnavailable("the witness's memory cannot be trusted; retire this witness and its key") from None

    def _cosign(self, head: Checkpoint) -> bytes:
        time = int(self._clock.now().timestamp())
        signature = self._signer.sign(cosigned_message(head.text, time))
        return cosignature_line(self.key, time, signature)


def _extends(known: Checkpoint, request: CosignRequest, head: Checkpoint) -> bool:
    if known.size == 0:
        # From nothing nothing can be proved; a first checkpoint is believed as the log signed it.
        return not request.proof and (head.size > 0 or head.root == merkle.EMPTY_ROOT)
    try:
        merkle.verify_consistency(sizes=(known.size, head.size), roots=(known.root, head.root), proof=request.proof)
    except ValueError:
        return False
    return True


def _folder(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()
