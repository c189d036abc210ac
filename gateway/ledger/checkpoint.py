"""Signing the head of the log (C2SP tlog-checkpoint). Whether a head may be signed is for the sequencer to decide."""

from __future__ import annotations

from gateway.errors import LedgerUnavailable
from gateway.ports import Signer
from gateway.verifier.note import VerifierKey, checkpoint_text, signature_line, verify_checkpoint


def verifier_key(signer: Signer) -> VerifierKey:
    """The public half, as it stands in ``log.vkey``."""
    return VerifierKey(name=signer.name, public_key=signer.public_key)


def sign_checkpoint(signer: Signer, *, size: int, root: bytes) -> bytes:
    """The signed note for ``size`` entries under ``root`` of the log named like the signer.

    The signature is checked before it leaves: a key store that answers nonsense must not publish nonsense.
    """
    key = verifier_key(signer)
    text = checkpoint_text(origin=signer.name, size=size, root=root)
    signed = text + b"\n" + signature_line(key, signer.sign(text))
    try:
        verify_checkpoint(signed, key)
    except ValueError as error:
        raise LedgerUnavailable(f"the signing key gave a checkpoint that does not verify: {error}") from None
    return signed
