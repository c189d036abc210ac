"""The command door: ``tongguan``. Exit codes: 0 done, 1 refused or found, 2 could not tell or bad use."""

from __future__ import annotations

import sys

from gateway.cli.app import app
from gateway.errors import GatewayError, NotAllowed, Rewritten


def main() -> None:
    """Run a command; an error of ours is one sentence on standard error."""
    try:
        app()
    except NotAllowed as error:
        sys.stderr.write(f"refused: {error} ({', '.join(error.rules)})\n")
        raise SystemExit(1) from None
    except Rewritten as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        raise SystemExit(1) from None
    except GatewayError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        raise SystemExit(2) from None
