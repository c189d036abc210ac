"""Prove a ledger of releases without the gateway that wrote it.

    python verify_ledger.py DIR [--key KEY] [--receipt FILE]... [--since FILE] [--policy FILE] [--former DIR]...
                               [--json]

    DIR         the log: ``checkpoint``, ``log.vkey`` and the folder ``tile``
    --key       the log's public key as you had it from elsewhere, or a file that holds it
    --receipt   a ``.tlog-proof`` that somebody kept: the entry must stand in the log to this day
    --since     a checkpoint that somebody kept: the log must still begin with what it signed
    --policy    a tlog-policy: the witnesses that must have cosigned the checkpoint
    --former    a log of an earlier year, the oldest first: each must end by naming the next

Exit 0: proven. 1: tampered, and the place is named. 2: could not tell. It needs Python 3.11 and the ``cryptography``
package, only reads, asks no network and prints nothing of what an entry says.

It is written by hand to be read from top to bottom in ten minutes, and shares no line with the gateway; the gateway's
own verifier and this file are held against each other by its tests. One thing only the gateway's looks at: the second
root over SM3, ``checkpoint.sm3``, where a house signs one.

Formats, all public: RFC 6962 (the tree); C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof, tlog-cosignature,
tlog-policy; the text of a change of key and of a log's first and last entry are given where they are read below.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Tampered(Exception):
    """(place, what is wrong there): the evidence contradicts itself or its signature."""


class Unknown(Exception):
    """(place, what is wrong there): there is not enough to tell."""


# ---- 1. The tree. An entry's hash is marked 0, the hash of two hashes 1, so that none can be taken for the other.


def leaf_hash(entry):
    return sha256(b"\0" + entry).digest()


def tree_root(hashes):
    """Join neighbours, again and again, until one is left; the last of an odd row goes up as it is."""
    if not hashes:
        return sha256(b"").digest()
    while len(hashes) > 1:
        hashes = next_row(hashes)
    return hashes[0]


def next_row(hashes):
    joined = [sha256(b"\1" + hashes[n] + hashes[n + 1]).digest() for n in range(0, len(hashes) - 1, 2)]
    return joined + hashes[len(joined) * 2 :]


def siblings(hashes, index):
    """What must be joined with the entry at ``index``, from below, to get to the root: its proof of inclusion."""
    found = []
    while len(hashes) > 1:
        if index ^ 1 < len(hashes):
            found.append(hashes[index ^ 1])
        hashes, index = next_row(hashes), index // 2
    return found


# ---- 2. Signed notes: a text, an empty line, then lines "— name base64(four bytes of key id, signature)".

NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
ED25519, COSIGNATURE, ML_DSA_44 = b"\x01", b"\x04", b"\x06"  # kinds of keys
KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}


@dataclass(frozen=True)
class Key:
    """A public key under the name of the log or of the witness that it belongs to."""

    name: str
    kind: bytes
    raw: bytes

    def key_id(self):
        return sha256(self.name.encode() + b"\n" + self.kind + self.raw).digest()[:4]

    def __str__(self):
        return f"{self.name}+{self.key_id().hex()}+{base64.b64encode(self.kind + self.raw).decode()}"


def read_key(text, kinds=(ED25519,)):
    """``name+id+base64(kind, key)``, and not a character in any other way."""
    name, _, rest = text.partition("+")
    raw = base64_bytes(rest.partition("+")[2])
    key = Key(name, raw[:1], raw[1:])
    if key.kind not in kinds or len(key.raw) != KEY_BYTES[key.kind] or str(key) != text or not is_name(name):
        raise ValueError("not a public key of the form name+id+key with its own id")
    return key


def read_note(data):
    """Its text and its signatures as (name, key id, signature). Any other byte is refused."""
    if len(data) > 1_000_000 or any(byte < 32 and byte != 10 for byte in data):
        raise ValueError("the note is too long or holds control characters")
    text, gap, lines = data.decode("utf-8").rpartition("\n\n")
    if not gap or not lines.endswith("\n") or lines.count("\n") > 100:
        raise ValueError("the note has no lines of signatures, or too many")
    signatures = []
    for line in lines[:-1].split("\n"):
        _, name, value = (*line.split(" "), "", "", "")[:3]
        raw = base64_bytes(value)
        if line != f"\u2014 {name} {value}" or not is_name(name) or len(raw) < 5:
            raise ValueError("a line of a signature is malformed")
        signatures.append((name, raw[:4], raw[4:]))
    return f"{text}\n".encode(), signatures


def signed_by(key, text, signatures):
    """Whether ``key`` signed; a signature in its name that does not verify refuses the whole note."""
    ours = [value for name, key_id, value in signatures if (name, key_id) == (key.name, key.key_id())]
    for value in ours:
        need_signature(Ed25519PublicKey.from_public_bytes(key.raw), value, text, key.name)
    return bool(ours)


def need_signature(public_key, value, message, name):
    try:
        public_key.verify(value, message)
    except InvalidSignature:
        raise ValueError(f"a signature of {name} does not verify") from None


def read_head(text):
    """A checkpoint's text: whose log it is, how many entries it has, their root. Lines that follow are extensions."""
    lines = text.decode("utf-8").split("\n")[:-1]
    if len(lines) < 3 or not all(lines) or not NUMBER.fullmatch(lines[1]) or len(base64_bytes(lines[2])) != 32:
        raise ValueError("a checkpoint has an origin, a size and a root of 32 bytes")
    return lines[0], int(lines[1]), base64_bytes(lines[2])


def base64_bytes(text):
    """Of several ways to write the same bytes, the one that is canonical."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 that is not canonical")
    return raw


def is_name(name):
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


# ---- 3. The log's keys. Each change of key is a note, rotation/1, rotation/2 ..., signed by both, and by nobody else:
#         "tongguan/key-rotation@v1", then lines "origin ...", "number ...", "size ...", "old ...", "new ...".
#         Up to that size, and at it, the old key signs; from it on the new one.


@dataclass
class Keys:
    keys: list
    sizes: list

    def checked(self, data):
        """Size and root of a checkpoint of this log, signed by a key that could sign at that size."""
        text, signatures = read_note(data)
        origin, size, root = read_head(text)
        signers = [n for n, key in enumerate(self.keys) if signed_by(key, text, signatures)]
        bounds = [0, *self.sizes, float("inf")]
        if any(not bounds[n] <= size <= bounds[n + 1] for n in signers):
            raise ValueError(f"signed by a key that could not sign {size} entries")
        if not signers or origin != self.keys[-1].name:
            raise ValueError("not signed by a key of this log, for this log")
        return size, root


def read_keys(log, given):
    wanted = None if given is None else read_given(given)
    if "log.vkey" not in log.paths and wanted is None:
        raise Unknown("log.vkey", "is not there, and no key was given")
    first = wanted
    if "log.vkey" in log.paths:
        first = log.understood("log.vkey", lambda data: read_key(data.decode("ascii").removesuffix("\n")))
        if log.read("log.vkey") != f"{first}\n".encode():
            raise Tampered("log.vkey", "is not one line with one key")
    found = Keys([first], [])
    while (path := f"rotation/{len(found.keys)}") in log.paths:
        old_size = found.sizes[-1] if found.sizes else 0
        size, new = log.understood(path, lambda data: read_rotation(data, len(found.keys), found.keys[-1]))
        if size < old_size or new in found.keys:
            raise Tampered(path, "does not follow the change of key before it")
        found.keys.append(new)
        found.sizes.append(size)
    if wanted is not None and wanted not in found.keys:
        raise Tampered("log.vkey", "is not the key that was given, nor does it lead to it")
    return found


def read_rotation(data, number, old):
    text, signatures = read_note(data)
    words = dict(line.split(" ", 1) for line in text.decode("utf-8").split("\n")[1:-1])
    size, new = words["size"], read_key(words["new"])
    stated = f"tongguan/key-rotation@v1\norigin {old.name}\nnumber {number}\nsize {size}\nold {old}\nnew {new}\n"
    if text.decode("utf-8") != stated or new.name != old.name or not NUMBER.fullmatch(size):
        raise ValueError("not a change of this log's key that follows the one before")
    if len(signatures) != 2 or not all(signed_by(key, text, signatures) for key in (old, new)):
        raise ValueError("not signed by the old key and the new one, and nobody else")
    return int(size), new


def read_given(given):
    try:
        return read_key(given.strip())
    except ValueError as error:
        raise Unknown("given key", str(error)) from None


# ---- 4. The files. "tile/entries/x001/234" holds entries 256 * 1234 and on, each behind its length in two bytes;
#         "tile/L/..." 256 hashes of level L: at 0 those of the entries, above that the roots of the full tiles below.
#         A tile that is not full yet has its width at the end, ".p/17".

PATH = re.compile(r"tile/(entries|[0-5]?[0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]{1,3}))?")


def tile_path(level, index, width=256):
    groups = re.findall("...", str(index).zfill(-(-len(str(index)) // 3) * 3))
    stem = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{stem}" + ("" if width == 256 else f".p/{width}")


def read_path(path):
    """(level, index, width) of a tile; None for a path of any other spelling."""
    match = PATH.fullmatch(path)
    if match is None:
        return None
    level = "entries" if match[1] == "entries" else int(match[1])
    index, width = int(re.sub("[x/]", "", match[2])), int(match[3] or 256)
    return (level, index, width) if 0 < width <= 256 and tile_path(level, index, width) == path else None


def promised(size):
    """The tiles that a log of ``size`` entries must have."""
    levels = ["entries", *(level for level in range(64) if size >> (8 * level))]
    for level in levels:
        count = size if level == "entries" else size >> (8 * level)
        for index in range(-(-count // 256)):
            yield level, index, min(256, count - 256 * index)


class Log:
    """One folder: its files, and once it was audited its keys, head and the hashes of all its entries."""

    def __init__(self, folder, given):
        self.folder = folder
        self.paths = set(self.list_files())
        self.keys = read_keys(self, given)
        if "checkpoint" not in self.paths:
            raise Unknown("checkpoint", "is not there")
        self.size, self.root = self.understood("checkpoint", self.keys.checked)
        self.signed = self.size, base64.b64encode(self.root).decode()
        try:
            self.hashes = audit(self)
        except (Tampered, Unknown) as found:
            found.signed = self.signed
            raise

    def list_files(self):
        """Files and folders only: a link or a device has no place here. ``.tmp`` holds writes a crash cut short."""
        for parent, folders, files in os.walk(self.folder, onerror=unreadable):
            for path in (Path(parent) / name for name in [*folders, *files]):
                name = path.relative_to(self.folder).as_posix()
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise Tampered(name, "is neither a file nor a folder")
                if path.is_file() and not name.startswith(".tmp/"):
                    yield name

    def read(self, path, limit=1_000_000):
        try:
            with (self.folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise Unknown(path, f"cannot be read ({error.strerror})") from None
        if len(data) > limit:
            raise Tampered(path, "is longer than its format allows")
        return data

    def understood(self, path, reader):
        """The file as ``reader`` understands it; what it does not is tampered with."""
        try:
            return reader(self.read(path))
        except (ValueError, KeyError) as error:
            raise Tampered(path, str(error)) from None

    def entries(self, path):
        """The entries of a bundle: as many as its name says, and no byte more."""
        data, entries, at = self.read(path, 256 * (2 + 0xFFFF)), [], 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if end > len(data):
                raise Tampered(path, f"is cut short in its entry {len(entries)}")
            entries.append(data[at + 2 : end])
            at = end
        if len(entries) != read_path(path)[2]:
            raise Tampered(path, f"holds {len(entries)} entries, not what its name says")
        return entries

    def tile(self, path):
        """The hashes of a tile: as many as its name says, and no byte more."""
        data, width = self.read(path, 256 * 32), read_path(path)[2]
        if len(data) != 32 * width:
            raise Tampered(path, f"is {len(data)} bytes long, not {32 * width}")
        return [data[at : at + 32] for at in range(0, len(data), 32)]

    def says(self, number, kind):
        """The open part of that entry where it is of that kind, else an empty one."""
        index = number // 256
        entries = self.entries(tile_path("entries", index, min(256, self.size - 256 * index)))
        return public_part(entries[number % 256], kind)


def unreadable(error):
    raise Unknown("log folder", f"cannot be listed ({error.strerror})")


def public_part(entry, kind):
    try:
        event = json.loads(entry)
        return dict(event["public"]) if event["type"] == kind else {}
    except (ValueError, KeyError, TypeError):
        return {}


# ---- 5. The audit: every entry is hashed, every tile computed again, every file accounted for.


def audit(log):
    """The hashes of all entries; those that lie there beyond the signed size must fit, and prove nothing."""
    for tile in promised(log.size):
        if tile_path(*tile) not in log.paths:
            raise Tampered(tile_path(*tile), "is missing, although the checkpoint promises it")
    hashes, read = [], set()
    for path in (tile_path(*tile) for tile in promised(log.size) if tile[0] == "entries"):
        hashes += hashes_of(log, path, log.size)
        read.add(path)
    if tree_root(hashes) != log.root:
        raise blamed(log, levels_of(hashes))
    while (path := widest(log, len(hashes) // 256)) and len(hashes) < 256 * read_path(path)[1] + read_path(path)[2]:
        start, more = 256 * read_path(path)[1], hashes_of(log, path, None)
        if more[: len(hashes) - start] != hashes[start:]:
            raise Tampered(path, "does not continue the signed entries")
        hashes[start:] = more
        read.add(path)
    levels = levels_of(hashes)
    rotations = {f"rotation/{number}" for number in range(1, len(log.keys.keys))}
    for path in sorted(log.paths - read - rotations - {"checkpoint", "checkpoint.sm3", "log.vkey"}):
        compare(log, levels, path)
    return hashes


def hashes_of(log, path, size):
    """Hashes of a bundle's entries. An entry that ends the log is its last one: nothing can be added to it."""
    entries, (_, index, width) = log.entries(path), read_path(path)
    last = (size or 256 * index + width) - 1
    for number, entry in enumerate(entries, start=256 * index):
        if number != last and b'"type":"log.end"' in entry and is_end(entry):
            raise Tampered(path, f"entry {number} ends the log, and others follow it")
    return [leaf_hash(entry) for entry in entries]


def is_end(entry):
    try:
        return json.loads(entry)["type"] == "log.end"
    except (ValueError, KeyError, TypeError):
        return False


def levels_of(hashes):
    levels = [hashes]
    while len(levels[-1]) >= 256:
        row = levels[-1]
        levels.append([tree_root(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)])
    return levels


def expected(levels, tile):
    level, index, width = tile
    row = levels[level] if level < len(levels) else []
    return row[256 * index : 256 * index + width]


def blamed(log, levels):
    """The entries do not give the signed root: where they part from the tiles, or else the checkpoint."""
    for level, index, width in (tile for tile in promised(log.size) if tile[0] != "entries"):
        path = tile_path(level, index, width)
        if (found := log.tile(path)) == (wanted := expected(levels, (level, index, width))):
            continue
        number = [one == other for one, other in zip(found, wanted, strict=True)].index(False)
        if level == 0:
            place = tile_path("entries", index, width)
            return Tampered(place, f"entry {256 * index + number} is not the one in {path}")
        return Tampered(path, f"hash {number} is not the root of the tile below")
    return Tampered("checkpoint", "the signed root is not the root of the entries")


def widest(log, index):
    paths = (tile_path("entries", index, width) for width in range(256, 0, -1))
    return next((path for path in paths if path in log.paths), None)


def compare(log, levels, path):
    """A file besides the promised ones: a tile as it was before it was full, or a stray."""
    tile = read_path(path)
    if tile is None:
        raise Tampered(path, "does not belong to a log")
    level, index, width = tile
    wanted = expected(levels, (0 if level == "entries" else level, index, width))
    if len(wanted) < width:
        raise Tampered(path, "lies beyond the end of the log")
    found = [leaf_hash(entry) for entry in log.entries(path)] if level == "entries" else log.tile(path)
    if found != wanted:
        raise Tampered(path, "is not what the entries under the signed root give")


# ---- 6. What was kept from earlier: only this shows that a log was not rewritten as a whole and signed again.


def check_kept(log, data, place, *, is_receipt):
    """A kept checkpoint, or a receipt: "c2sp.org/tlog-proof@v1", "index N", hashes, an empty line, a checkpoint."""
    try:
        index, path, checkpoint = read_receipt(data) if is_receipt else (None, None, data)
        size, root = log.keys.checked(checkpoint)
    except ValueError as error:  # what is not shown to be of this log proves nothing, one way or the other
        raise Unknown(place, str(error)) from None
    if size > log.size:
        raise Tampered(place, f"signs {size} entries, the log now has {log.size}: entries were removed")
    if tree_root(log.hashes[:size]) != root:
        raise Tampered(place, f"signs a root over the first {size} entries that is not theirs: the log was rewritten")
    if is_receipt and (index >= size or siblings(log.hashes[:size], index) != path):
        raise Unknown(place, "does not prove its entry, although its checkpoint is the log's")


def read_receipt(data):
    head, _, checkpoint = data.partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise ValueError("not a receipt")
    if lines and lines[0].startswith("extra ") and not base64_bytes(lines.pop(0).removeprefix("extra ")):
        raise ValueError("its extra line is empty")
    number = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    path = [base64_bytes(line) for line in lines]
    if not NUMBER.fullmatch(number) or any(len(one) != 32 for one in path):
        raise ValueError("names no index, or holds a hash that is not 32 bytes long")
    read_head(read_note(checkpoint)[0])
    return int(number), path, checkpoint


def check_witnesses(log, policy_text):
    """The names of the policy's witnesses that cosigned, where they are enough."""
    try:
        witnesses, is_enough = read_policy(policy_text)
    except ValueError as error:
        raise Unknown("policy", str(error)) from None
    text, signatures = read_note(log.read("checkpoint"))
    try:
        names = [name for name, key in witnesses.items() if cosigned_by(key, text, signatures)]
    except ValueError as error:
        raise Tampered("checkpoint", str(error)) from None
    if not is_enough(names):
        raise Unknown("checkpoint", f"is cosigned by {len(names)} witnesses of the policy, which are not enough")
    return names


def cosigned_by(key, text, signatures):
    """A cosignature is the time in eight bytes, and a signature over that time and the checkpoint's text."""
    ours = [value for name, key_id, value in signatures if (name, key_id) == (key.name, key.key_id())]
    for value in ours:
        seconds, public_key = int.from_bytes(value[:8], "big"), None
        if key.kind == COSIGNATURE:
            public_key, message = Ed25519PublicKey.from_public_bytes(key.raw), b"cosignature/v1\ntime %d\n" % seconds
            message += text
        else:
            try:
                from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
            except ImportError:
                raise Unknown("checkpoint", "needs a cryptography package that can check ML-DSA-44") from None
            origin, size, root = read_head(text)
            names = [len(name.encode()).to_bytes(1, "big") + name.encode() for name in (key.name, origin)]
            public_key = MLDSA44PublicKey.from_public_bytes(key.raw)
            message = b"subtree/v1\n\0" + names[0] + value[:8] + names[1] + bytes(8) + size.to_bytes(8, "big") + root
        need_signature(public_key, value[8:], message, key.name)
    return bool(ours)


def read_policy(text):
    """Lines "log KEY", "witness NAME KEY [ADDRESS]", "group NAME K|all|any MEMBER...", "quorum NAME|none"."""
    witnesses, groups, quorum = {}, {}, None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        known = witnesses.keys() | groups.keys()
        match words:
            case []:
                pass
            case [word, *_] if word.startswith("#"):
                pass
            case ["log", key, *_]:
                read_key(key)
            case ["witness", name, key, *_] if name not in known | {"none"}:
                witnesses[name] = read_key(key, (COSIGNATURE, ML_DSA_44))
            case ["group", name, needed, *members] if name not in known | {"none"}:
                least = {"all": len(members), "any": 1}.get(needed) or int(needed)
                if not 1 <= least <= len(members) == len(set(members)) or not known >= set(members):
                    raise ValueError(f"line {number}: a group of unknown or too few members")
                groups[name] = least, members
            case ["quorum", name] if quorum is None and name in known | {"none"}:
                quorum = name
            case _:
                raise ValueError(f"line {number} is not one of a policy")
    if quorum is None or len({key.raw for key in witnesses.values()}) < len(witnesses):
        raise ValueError("no quorum, or two witnesses with one key")

    def holds(name, cosigned):
        least, members = groups.get(name, (1, []))
        return name in cosigned or (name in groups and sum(holds(one, cosigned) for one in members) >= least)

    return witnesses, lambda cosigned: quorum == "none" or holds(quorum, cosigned)


# ---- 7. Logs of earlier years. The last entry of each is of type "log.end" and names the next one and its key; the
#         first of the next is of type "log.begin" and names the former one, its size and its root (in hex).


def check_link(before, after):
    folder = before.folder.name
    ended = before.says(before.size - 1, "log.end") if before.size else {}
    begun = after.says(0, "log.begin") if after.size else {}
    last = tile_path("entries", (before.size - 1) // 256, (before.size - 1) % 256 + 1) if before.size else "checkpoint"
    first_key = after.keys.keys[0]
    if (ended.get("next"), ended.get("next_key")) != (first_key.name, first_key.raw.hex()):
        raise Tampered(f"{folder}/{last}", "the log does not end by naming the one that follows, and its key")
    origin = before.keys.keys[0].name
    if (begun.get("former"), begun.get("size"), begun.get("root")) != (origin, before.size, before.root.hex()):
        raise Tampered("tile/entries/000", f"the log begins after another log than {folder}, or another state of it")


def read_logs(folders, given):
    """All logs, each audited; places of the former ones are named with their folder."""
    if len(folders) == 1:
        return [Log(folders[0], given)]
    logs = []
    for folder in folders:
        try:
            logs.append(Log(folder, None))
        except (Tampered, Unknown) as found:
            if folder is folders[-1]:
                raise
            raise type(found)(f"{folder.name}/{found.args[0]}", found.args[1]) from None
    return logs


def log_of(logs, data, place, *, is_receipt):
    """The log that what was kept is of; the last one where it names none of these."""
    try:
        origin = read_head(read_note(read_receipt(data)[2] if is_receipt else data)[0])[0]
    except ValueError as error:
        raise Unknown(place, str(error)) from None
    return next((log for log in logs if log.keys.keys[-1].name == origin), logs[-1])


# ---- 8. The verdict.


def verify(folders, *, key=None, receipts=(), since=None, policy=None):
    """(state, size and root, place, what was found) of the last of the logs; ``folders`` are the oldest first."""
    signed = None, None
    try:
        logs = read_logs(folders, key)
        log, signed = logs[-1], logs[-1].signed
        if key is not None and not any(read_given(key) in one.keys.keys for one in logs):
            raise Tampered("log.vkey", "is not the key that was given, nor is that of a log before it")
        names = [] if policy is None else check_witnesses(log, policy)
        for before, after in pairwise(logs):
            check_link(before, after)
        kept = [(f"receipt {number}", receipt, True) for number, receipt in enumerate(receipts, start=1)]
        for place, data, is_receipt in kept + ([("since", since, False)] if since is not None else []):
            check_kept(log_of(logs, data, place, is_receipt=is_receipt), data, place, is_receipt=is_receipt)
    except (Tampered, Unknown) as found:
        return type(found).__name__.lower(), getattr(found, "signed", signed), *found.args
    said = f"all {log.size} entries and all tiles lie under the signed root"
    said += f", and {len(logs) - 1} former logs lead to it" if len(logs) > 1 else ""
    said += f"; confirmed: {len(receipts)} receipts, {int(since is not None)} kept checkpoints, {len(names)} witnesses"
    if not (receipts or since or names):
        said += "; nothing kept from earlier was given, so a log rewritten and signed again would look the same"
    said += f"; {len(log.hashes) - log.size} entries more are not signed yet" if len(log.hashes) > log.size else ""
    said += "; checkpoint.sm3 was not looked at" if "checkpoint.sm3" in log.paths else ""
    return "proven", signed, None, said


def main():
    parser = argparse.ArgumentParser(description="Prove that a ledger is whole and was only appended to.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    for name, action in (("--former", "append"), ("--receipt", "append"), ("--since", "store"), ("--policy", "store")):
        parser.add_argument(name, type=Path, action=action, metavar="DIR" if name == "--former" else "FILE")
    parser.add_argument("--key", metavar="KEY-OR-FILE")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    key = given.key
    try:
        key = Path(key).read_text("ascii") if key and key.count("+") < 2 else key
        kept = {"receipts": [path.read_bytes() for path in given.receipt or ()]}
        kept["since"] = given.since.read_bytes() if given.since else None
        kept["policy"] = given.policy.read_text("utf-8") if given.policy else None
    except (OSError, UnicodeDecodeError) as error:
        state, signed, place, said = "unknown", (None, None), str(getattr(error, "filename", None)), "cannot be read"
    else:
        state, signed, place, said = verify([*(given.former or ()), given.folder], key=key, **kept)
    answer = {"state": state, "size": signed[0], "root_b64": signed[1], "place": place, "detail": said}
    answer["key_on_trust"] = key is None
    sys.stdout.write(json.dumps(answer) + "\n" if given.json else in_words(answer))
    return {"proven": 0, "tampered": 1, "unknown": 2}[state]


def in_words(answer):
    lines = [answer["state"].upper()]
    if answer["place"] is not None:  # a stray file may have any name; it must not write on the reader's terminal
        lines[0] += f" at {answer['place'].encode('unicode_escape', 'surrogatepass').decode('ascii')}"
    lines[0] += f": {answer['detail']}"
    if answer["size"] is not None:
        lines.append(f"size {answer['size']}, root {answer['root_b64']}")
    if answer["key_on_trust"]:
        lines.append("the key came from the log's own folder and is taken on trust")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
