"""SM2 signatures with SM3 (GB/T 32918.2, curve of GB/T 32918.5, hash of GB/T 32905), for a second line beside Ed25519.

Plain integers: clear enough to read against the standard, fast enough for one checkpoint a second, and nothing more.
Verification handles public values only. Signing lives in ``gateway.keys.further`` and is for houses whose assessment
(商用密码应用安全性评估) asks for the algorithm; one that asks for a certified module needs that module.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SM3, Hash

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SIGNER = b"1234567812345678"
"""The distinguishing identifier where none is agreed (GM/T 0009, section 10)."""
Point = tuple[int, int] | None


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """The signature (r || s, 64 bytes) is good, or ``ValueError`` (GB/T 32918.2 section 7.1)."""
    point = read_point(public_key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not (0 < r < ORDER and 0 < s < ORDER):
        raise ValueError("an SM2 signature is two numbers below the order")
    t = (r + s) % ORDER
    found = add(multiply(s, G), multiply(t, point))
    if t == 0 or found is None or (digest(public_key, message) + found[0]) % ORDER != r:
        raise ValueError("the SM2 signature does not verify")


def digest(public_key: bytes, message: bytes) -> int:
    """e = SM3(Z || message), Z binding the signer's identifier, the curve and the key (section 5.5)."""
    numbers = b"".join(one.to_bytes(32, "big") for one in (A, B, *G))
    z = sm3((8 * len(SIGNER)).to_bytes(2, "big") + SIGNER + numbers + public_key[1:])
    return int.from_bytes(sm3(z + message), "big")


def read_point(public_key: bytes) -> tuple[int, int]:
    """65 bytes, 04 || x || y, on the curve."""
    x, y = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    if len(public_key) != 65 or public_key[0] != 4 or max(x, y) >= P or (y * y - x * x * x - A * x - B) % P:
        raise ValueError("the SM2 public key is not a point of the curve")
    return x, y


def add(one: Point, other: Point) -> Point:
    """Sum of two points; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and (one[1] + other[1]) % P == 0:
        return None
    if one == other:
        slope = (3 * one[0] * one[0] + A) * pow(2 * one[1], -1, P) % P
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, P) % P
    x = (slope * slope - one[0] - other[0]) % P
    return x, (slope * (one[0] - x) - one[1]) % P


def multiply(factor: int, point: Point) -> Point:
    """``factor`` times the point, by a ladder of as many steps as the order has bits, whatever the factor."""
    low: Point = None
    high = point
    for bit in range(ORDER.bit_length() - 1, -1, -1):
        if factor >> bit & 1:
            low, high = add(low, high), add(high, high)
        else:
            low, high = add(low, low), add(low, high)
    return low


def sm3(data: bytes) -> bytes:
    """32 bytes."""
    made = Hash(SM3())
    made.update(data)
    return made.finalize()
