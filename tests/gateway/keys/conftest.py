"""Keys in a fresh folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.keys import FileKeys


class SystemRandom:
    """``ports.Randomness`` over the system's."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(root: Path) -> FileKeys:
    made = FileKeys(root, SystemRandom())
    made.create_all()
    return made


@pytest.fixture
def random() -> SystemRandom:
    return SystemRandom()
