"""Which key may sign which sizes of a log: rotations, each signed by the key that goes and the key that comes.

A log begins with the key in ``log.vkey``, and that file never changes. ``rotation/1``, ``rotation/2`` and so on are
signed notes (C2SP signed-note) with this text, each a whole file:

    tongguan/key-rotation@v1
    origin <origin>
    number <n>
    size <tree size>
    old <vkey>
    new <vkey>

Up to that size, and at it, the old key signs; from it on, the new one. A head that a key signed outside its sizes is
refused, so a key that was stolen after it was replaced cannot make the log longer. Whoever kept any key of the log can
reach every other: forwards by the old keys' signatures, backwards by the new ones'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .note import Checkpoint, VerifierKey, decimal, parse_note, parse_vkey, read_checkpoint_text, verify_note

ROTATION_HEAD = "tongguan/key-rotation@v1"
MAX_ROTATIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The ``number``-th change of key, at ``size`` entries; both keys bear the log's name."""

    number: int
    size: int
    old: VerifierKey
    new: VerifierKey

    @property
    def text(self) -> bytes:
        """What both keys sign."""
        lines = (ROTATION_HEAD, f"origin {self.old.name}", f"number {self.number}", f"size {self.size}")
        return "\n".join([*lines, f"old {self.old}", f"new {self.new}", ""]).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """All keys of one log in their order, and the sizes at which one followed another."""

    keys: tuple[VerifierKey, ...]
    sizes: tuple[int, ...] = ()

    @property
    def current(self) -> VerifierKey:
        """The key that signs now."""
        return self.keys[-1]

    def may_sign(self, number: int, size: int) -> bool:
        """Whether the key of that number may sign a head of that size."""
        after = number == 0 or size >= self.sizes[number - 1]
        before = number == len(self.sizes) or size <= self.sizes[number]
        return after and before

    def verify(self, data: bytes) -> Checkpoint:
        """The checkpoint that a key of this log signed within its sizes, and none signed badly or outside them."""
        note = parse_note(data)
        checkpoint = read_checkpoint_text(note.text)
        signed = False
        for number, key in enumerate(self.keys):
            if not any((one.name, one.key_id) == (key.name, key.key_id) for one in note.signatures):
                continue
            verify_note(note, key)
            if not self.may_sign(number, checkpoint.size):
                raise ValueError(f"key {number + 1} of the log may not sign a head of {checkpoint.size} entries")
            signed = True
        if not signed:
            raise ValueError("the note is not signed by this key")
        if checkpoint.origin != self.current.name:
            raise ValueError("the checkpoint is of another log than its key")
        return checkpoint


def log_keys(key: VerifierKey | LogKeys) -> LogKeys:
    """A single key is a log that never changed its key."""
    return key if isinstance(key, LogKeys) else LogKeys(keys=(key,))


def rotation_path(number: int) -> str:
    """Where a log keeps its ``number``-th rotation."""
    return f"rotation/{number}"


def is_rotation(path: str) -> bool:
    """Whether that is the one spelling of a rotation's place."""
    stem, _, number = path.partition("/")
    return stem == "rotation" and number.isdecimal() and rotation_path(int(number)) == path and number != "0"


def parse_rotation(data: bytes) -> Rotation:
    """Read one strictly and check both signatures; ``ValueError`` where any byte is out of place."""
    note = parse_note(data)
    lines = note.text.decode().split("\n")
    words = [line.split(" ") for line in lines[1:-1]]
    if lines[0] != ROTATION_HEAD or [one[0] for one in words] != ["origin", "number", "size", "old", "new"]:
        raise ValueError("not a rotation of keys")
    if any(len(one) != 2 for one in words):
        raise ValueError("a line of the rotation has more than a name and a value")
    origin, number, size, old, new = (one[1] for one in words)
    made = Rotation(number=decimal(number), size=decimal(size), old=parse_vkey(old), new=parse_vkey(new))
    if made.text != note.text or {made.old.name, made.new.name} != {origin} or made.old == made.new:
        raise ValueError("the rotation does not name two keys of one log")
    if len(note.signatures) != 2:
        raise ValueError("a rotation has two signatures, and no others")
    for key in (made.old, made.new):
        verify_note(note, key)
    return made


def read_log_keys(first: VerifierKey, read: Callable[[str], bytes | None]) -> LogKeys:
    """The keys that followed ``first``; ``read`` gives a file of the log, None where there is none.

    Raises ValueError for a rotation that is not signed by both, does not follow, or goes back in size.
    """
    keys, sizes = [first], list[int]()
    for number in range(1, MAX_ROTATIONS + 1):
        data = read(rotation_path(number))
        if data is None:
            return LogKeys(keys=tuple(keys), sizes=tuple(sizes))
        made = parse_rotation(data)
        if made.number != number or made.old != keys[-1] or made.new in keys or made.size < (sizes or [0])[-1]:
            raise ValueError(f"rotation {number} does not follow the one before it")
        keys.append(made.new)
        sizes.append(made.size)
    raise ValueError("the log has more rotations than any log we know")
