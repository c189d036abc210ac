"""A home: the folder where one house keeps its keys, database and ledger, and its mark.

Folders are 0700, files 0600. The mark says what the home is for good: a demo home cannot become a real one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import BadInput
from gateway.settings import Settings

MARK = "home.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home folder and its mark."""

    root: Path
    demo: bool
    origin: str

    @property
    def ledger(self) -> Path:
        """The published log, the first of the line."""
        return self.log(1)

    def log(self, number: int) -> Path:
        """The folder of the ``number``-th log (``gateway.ledger.line``)."""
        return self.root / ("ledger" if number == 1 else f"ledger-{number}")

    def facts(self, number: int) -> Path:
        """What was read of that log, sealed."""
        return self.root / ("facts" if number == 1 else f"facts-{number}")


def read_home(settings: Settings) -> Home:
    """The home at ``settings.home``. Raises BadInput when there is none."""
    try:
        body = json.loads((settings.home / MARK).read_text("utf-8"))
        return Home(root=settings.home, demo=bool(body["demo"]), origin=str(body["origin"]))
    except FileNotFoundError:
        raise BadInput(f"{settings.home}: there is no home here; make one with: tongguan init") from None
    except (OSError, ValueError, KeyError):
        raise BadInput(f"{settings.home / MARK}: cannot be read") from None


def database_url(settings: Settings) -> str:
    """The configured database, or SQLite in the home."""
    return settings.database_url or f"sqlite:///{settings.home / 'tongguan.sqlite'}"


def make_private(folder: Path) -> None:
    """A folder that is its owner's alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """A new file that is its owner's alone, on disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
