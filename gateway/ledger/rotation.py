"""Changing the log's key: one file, signed by the old key and the new one, is the whole change.

The order: everything committed is signed under the old key; the rotation is written; from then on only the new key
signs. A crash before the file leaves the old key in place, one after it the new one; there is nothing in between.
"""

from __future__ import annotations

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles, Signer
from gateway.verifier.note import signature_line
from gateway.verifier.rotation import Rotation, parse_rotation, rotation_path

from .checkpoint import verifier_key
from .sequencer import Sequencer


def rotated(files: LogFiles, sequencer: Sequencer, signer: Signer) -> Rotation:
    """Write the rotation to ``signer``; the caller holds the folder's lock. It is checked before it is written."""
    head = sequencer.head()
    keys = sequencer.log_keys()
    made = Rotation(number=len(keys.keys), size=head.size, old=keys.current, new=verifier_key(signer))
    if made.new in keys.keys:
        raise LedgerUnavailable("that key is one of this log already; a key that was replaced never comes back")
    if signer.name != sequencer.origin:
        raise LedgerUnavailable("the new signing key is named for another log origin")
    lines = [
        signature_line(made.old, sequencer.signer.sign(made.text)),
        signature_line(made.new, signer.sign(made.text)),
    ]
    note = made.text + b"\n" + b"".join(lines)
    try:
        parse_rotation(note)
    except ValueError as error:
        raise LedgerUnavailable(f"the keys gave a rotation that does not verify: {error}") from None
    files.write(rotation_path(made.number), note)
    return made
