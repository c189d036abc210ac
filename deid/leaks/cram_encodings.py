"""Which external blocks a CRAM container's encodings read (CRAM specification 3, sections 2.3, 8.4 and 13)."""

from __future__ import annotations

EXTERNAL, BYTE_ARRAY_LEN, BYTE_ARRAY_STOP = 1, 4, 5


def number(data: bytes, at: int, *, long: bool = False) -> tuple[int, int]:
    """One ITF-8 (or LTF-8) number and where the next begins; signed in 32 (64) bits. Raises IndexError at the end."""
    first = data[at]
    more = 0
    while more < (8 if long else 4) and first & (0x80 >> more):
        more += 1
    if at + more >= len(data):
        raise IndexError
    if not long and more == 4:  # the fifth byte gives its low four bits only
        value = (first & 0x0F) << 28 | int.from_bytes(data[at + 1 : at + 4], "big") << 4 | data[at + 4] & 0x0F
    else:
        value = (first & (0x7F >> more)) << 8 * more | int.from_bytes(data[at + 1 : at + 1 + more], "big")
    bits = 64 if long else 32
    return value - (1 << bits) if value >> (bits - 1) else value, at + 1 + more


def external_ids(header: bytes) -> set[int]:
    """The content ids that a compression header's data series and tags are read from."""
    size, at = number(header, 0)
    at += size  # the preservation map
    found: set[int] = set()
    for is_tags in (False, True):
        size, at = number(header, at)
        end = at + size
        count, at = number(header, at)
        for _ in range(count):
            at = number(header, at)[1] if is_tags else at + 2
            at = _encoding(header, at, found)
        if at != end:
            raise ValueError("the encodings do not fill their map")
    return found


def _encoding(header: bytes, at: int, found: set[int]) -> int:
    codec, at = number(header, at)
    size, at = number(header, at)
    if codec == EXTERNAL:
        found.add(number(header, at)[0])
    elif codec == BYTE_ARRAY_STOP:
        found.add(number(header, at + 1)[0])
    elif codec == BYTE_ARRAY_LEN:
        _encoding(header, _encoding(header, at, found), found)
    return at + size
