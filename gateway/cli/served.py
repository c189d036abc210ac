"""A log at an address, fetched whole, so that the one verifier proves it: a gateway's ``/ledger``, or any web server.

What is fetched is believed in nothing: each file is cut off one byte beyond what its format allows and judged by the
verifier, as a folder's is. Only what the checkpoint promises is asked for, and the first file that is not there ends
it, so that a server which states an absurd size keeps nobody busy. No redirect is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

import httpx2

from gateway.verifier import tiles
from gateway.verifier.audit import CHECKPOINT, VKEY
from gateway.verifier.errors import Inconclusive
from gateway.verifier.merkle import HASH_SIZE
from gateway.verifier.note import MAX_NOTE_BYTES, parse_note, read_checkpoint_text
from gateway.verifier.rotation import rotation_path
from gateway.verifier.side import SIDE
from gateway.verifier.tiles import WIDTH, Tile

AT_ONCE = 8
STEP = 512
SECONDS = 30
Told = Callable[[str], None]


def is_address(given: str) -> bool:
    """Whether that names a place to fetch from and no folder."""
    return given.startswith(("https://", "http://"))


class Served:
    """The files of one log under ``address``; ``token`` is sent with each request where it is not empty."""

    def __init__(self, address: str, token: str = "") -> None:
        self._address = address.rstrip("/")
        head = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx2.Client(headers=head, timeout=SECONDS, follow_redirects=False)

    def read(self, path: str, limit: int = MAX_NOTE_BYTES) -> bytes | None:
        """At most ``limit`` and one bytes of a file; None where there is none. Raises ``Inconclusive``."""
        data = bytearray()
        try:
            with self._client.stream("GET", f"{self._address}/{path}") as answer:
                if answer.status_code == 404:
                    return None
                if answer.status_code != 200:
                    raise Inconclusive(path, _refusal(answer))
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > limit:
                        break
        except httpx2.HTTPError as error:
            raise Inconclusive(path, f"cannot be fetched ({type(error).__name__})") from None
        return bytes(data[: limit + 1])

    def tile(self, tile: Tile) -> bytes | None:
        """A tile or bundle as wide as asked for, from the full one where the log has grown meanwhile."""
        limit = tiles.MAX_BUNDLE if tile.level is None else WIDTH * HASH_SIZE
        data = self.read(tile.path, limit)
        if data is not None or tile.width == WIDTH:
            return data
        full = self.read(Tile(level=tile.level, index=tile.index).path, limit)
        if full is None or tile.level is not None:
            return None if full is None else full[: tile.width * HASH_SIZE]
        try:
            return tiles.encode_bundle(tiles.parse_bundle(full, WIDTH)[: tile.width])
        except ValueError:
            return full  # for the verifier to say what is wrong with it

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()


def fetch(served: Served, folder: Path, told: Told = lambda _where: None) -> None:
    """Every file that the checkpoint promises, into ``folder``; ``told`` hears how far it is.

    The side root comes before the checkpoint and rotations after it: the log may grow meanwhile, and a side root must
    not be ahead of the checkpoint, nor the checkpoint of its key. Raises ``Inconclusive``.
    """
    _write(folder, SIDE, served.read(SIDE))
    signed = served.read(CHECKPOINT)
    if signed is None:
        raise Inconclusive(CHECKPOINT, "is not there; is this the address of a log?")
    _write(folder, CHECKPOINT, signed)
    _write(folder, VKEY, served.read(VKEY))
    for number in count(1):
        if not _write(folder, rotation_path(number), served.read(rotation_path(number))):
            break
    wanted = tiles.promised_tiles(_size(signed))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while step := list(islice(wanted, STEP)):
            whole = [
                _write(folder, tile.path, data) for tile, data in zip(step, pool.map(served.tile, step), strict=True)
            ]
            told(f"{step[-1].path} of {_size(signed)} entries")
            if not all(whole):
                return


def _size(signed: bytes) -> int:
    """What the checkpoint says; whether anybody signed it is judged later."""
    try:
        return read_checkpoint_text(parse_note(signed).text).size
    except ValueError:
        return 0


def _write(folder: Path, path: str, data: bytes | None) -> bool:
    if data is None:
        return False
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return True


def _refusal(answer: httpx2.Response) -> str:
    """The server's own sentence where it is one of ours, else the status."""
    answer.read()
    try:
        said = str(answer.json()["detail"])[:200]
    except (ValueError, KeyError, TypeError):
        said = ""
    words = said if said.isprintable() and said else f"the server answered {answer.status_code}"
    return words + ("; sign in with: tongguan login" if answer.status_code == 401 else "")
