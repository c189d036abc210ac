"""Further signature lines on each checkpoint, beside the log's own Ed25519 line, which stays the one that counts.

    ml-dsa    ML-DSA-44 cosignature (C2SP tlog-cosignature, type 0x06; FIPS 204)
    sm2       SM2 with SM3 over the whole text (GB/T 32918.2; private type 0xff, ``gateway.verifier.further``)

Both are off unless the settings name them. A verifier that does not know their keys ignores them.
Their keys are replaced in the log itself: an entry names both, and heads after the one that covers it carry the new
line (``gateway.key_rotation``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.keys.port import KeyName
from gateway.verifier import sm2
from gateway.verifier.further import Sm2Key
from gateway.verifier.policy import ML_DSA, WitnessKey, cosignature_line, cosigned_message

Line = Callable[[bytes, datetime], bytes]
"""Text of a checkpoint and the present to one signature line."""
LINES = {"ml-dsa": KeyName.LEDGER_ML_DSA, "sm2": KeyName.LEDGER_SM2}
"""Where the settings' word for a line has its key."""
PublicKey = WitnessKey | Sm2Key


def further_line(kind: str, name: str, seed: bytes, token: Callable[[int], bytes]) -> tuple[PublicKey, Line]:
    """The public key and the signer of that kind of line, for the log called ``name``."""
    return ml_dsa_line(name, seed) if kind == "ml-dsa" else sm2_line(name, seed, token)


def ml_dsa_line(name: str, seed: bytes) -> tuple[WitnessKey, Line]:
    """The public key and the signer of ML-DSA-44 lines; ``seed`` is 32 random bytes (FIPS 204, ML-DSA.KeyGen)."""
    private = MLDSA44PrivateKey.from_seed_bytes(seed)
    key = WitnessKey(name=name, public_key=private.public_key().public_bytes_raw(), algorithm=ML_DSA)

    def line(text: bytes, now: datetime) -> bytes:
        time = int(now.timestamp())
        return cosignature_line(key, time, private.sign(cosigned_message(text, time, key)))

    return key, line


def sm2_line(name: str, seed: bytes, token: Callable[[int], bytes]) -> tuple[Sm2Key, Line]:
    """The public key and the signer of SM2 lines; ``token`` gives random bytes for the nonce."""
    secret = int.from_bytes(sm2.sm3(b"tongguan sm2 key" + seed), "big") % (sm2.ORDER - 2) + 1
    key = Sm2Key(name=name, public_key=sm2_public(secret))

    def line(text: bytes, _now: datetime) -> bytes:
        # 320 bits brought below the order: no nonce is likelier than another by more than 2 to the -64.
        while (value := sm2_sign(secret, text, int.from_bytes(token(40), "big") % sm2.ORDER)) is None:
            continue
        return key.line(value)

    return key, line


def sm2_public(secret: int) -> bytes:
    """04 || x || y."""
    point = sm2.multiply(secret, sm2.G)
    assert point is not None  # noqa: S101  the secret lies between one and the order
    return b"\x04" + point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def sm2_sign(secret: int, message: bytes, nonce: int) -> bytes | None:
    """r || s (GB/T 32918.2 section 6.1); None where the nonce will not do and another must be drawn."""
    point = sm2.multiply(nonce, sm2.G)
    if point is None:
        return None
    r = (sm2.digest(sm2_public(secret), message) + point[0]) % sm2.ORDER
    s = pow(1 + secret, -1, sm2.ORDER) * (nonce - r * secret) % sm2.ORDER
    if r == 0 or r + nonce == sm2.ORDER or s == 0:
        return None
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
