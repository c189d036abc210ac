"""What the Crypt4GH tests share: randomness, sample files, and the package's own command as the independent oracle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest


class SystemRandom:
    """``ports.Randomness`` over the system's."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)


@pytest.fixture
def random() -> SystemRandom:
    return SystemRandom()


@pytest.fixture
def package_command() -> Callable[..., bytes]:
    """Run the ``crypt4gh`` package's command on bytes; its failure is a test failure unless ``check`` is False."""

    def run(*arguments: str, data: bytes, passphrase: str = "", check: bool = True) -> bytes:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        if passphrase:
            environment["C4GH_PASSPHRASE"] = passphrase
        command = [sys.executable, "-m", "crypt4gh", *arguments]
        done = subprocess.run(command, input=data, capture_output=True, env=environment, check=False)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run
