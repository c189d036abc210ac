"""Replace the key that signs the log, or that of a further line: announced in the log, then done.

The entry that names both keys is signed under the old one, so whoever holds the old key's last head can see what came
of it. Done again after a crash it goes on with the key that was made and not yet used; a second announcement does no
harm.
"""

from __future__ import annotations

from gateway.env import Env
from gateway.errors import BadInput
from gateway.keys.further import LINES, further_line
from gateway.keys.port import KeyName
from gateway.ports import Signer, Tx
from gateway.record import HOUSE, append_event, draft
from gateway.verifier.note import VerifierKey
from gateway.verifier.rotation import Rotation


def rotate_log_key(env: Env) -> Rotation:
    """The rotation that was written. Raises LedgerUnavailable, and then the old key signs on."""
    env.ledger.sync()
    keys = env.ledger.keys()
    signer = _next_signer(env, {key.public_key for key in keys.keys})
    new = VerifierKey(name=signer.name, public_key=signer.public_key)

    def work(tx: Tx) -> str:
        public = {"number": len(keys.keys), "old": keys.current.key_id.hex(), "new": new.public_key.hex()}
        event = draft(env, kind="fact", type="key.rotate", custodian_id=HOUSE, public=public, personal={})
        return append_event(tx, env, event)

    env.uow.run(work)
    made: Rotation = env.ledger.rotate(signer)
    return made


def rotate_line_key(env: Env, kind: str) -> tuple[str, str]:
    """Replace the key of the further line ``kind`` ("ml-dsa" or "sm2"); the old public key and the new.

    The entry names both, and is confirmed before the new secret is kept anywhere: a key that was not announced signs
    nothing, and a crash in between leaves the old one signing. The last head under the old key covers the entry, and so
    does every head under the new one: both have signed for the change, and no later head under the old is good.
    Raises BadInput where that line is not in use, LedgerUnavailable where the entry is not confirmed.
    """
    name, origin = LINES[kind], env.ledger.origin
    versions = env.keys.versions(name)
    if not versions:
        raise BadInput(f"no {kind} line was ever signed here; name it in TONGGUAN_FURTHER_LINES first")
    seed = env.random.token(32)
    old, _ = further_line(kind, origin, env.keys.secret(name), env.random.token)
    new, _ = further_line(kind, origin, seed, env.random.token)

    def work(tx: Tx) -> str:
        public = {"line": kind, "number": len(versions), "old": old.key_id.hex(), "new": str(new)}
        event = draft(env, kind="fact", type="key.line", custodian_id=HOUSE, public=public, personal={})
        return append_event(tx, env, event)

    env.uow.run(work)
    env.ledger.confirm()
    env.keys.adopt(name, seed)
    return str(old), str(new)


def _next_signer(env: Env, used: set[bytes]) -> Signer:
    """The newest key where the log has not used it yet, else a new one."""
    newest: Signer = next(env.keys.ledger_signers(env.ledger.origin))
    if newest.public_key in used:
        env.keys.rotate(KeyName.LEDGER_SIGNING)
        newest = next(env.keys.ledger_signers(env.ledger.origin))
    return newest
