"""What a command needs of this machine without opening a home: clock, random numbers, the sandbox's tasks."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

TASKS = {
    "connectors.sniff": "connectors.sniff:sniff",
    "connectors.manifest": "connectors.manifest:read_manifest",
    "connectors.samples": "connectors.sheets:read_samples",
    "connectors.consent": "connectors.sheets:read_consent",
    "connectors.columns": "connectors.sheets:read_columns",
    "deid.core": "deid.run:core",
    "deid.index_reference": "deid.run:index_reference",
    "deid.beside": "deid.run:beside",
    "deid.copy": "deid.run:copy",
    "deid.assess": "deid.run:assess",
    "deid.leakcheck": "deid.run:leakcheck",
}


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)


class SystemRandomness:
    """The operating system's random numbers."""

    def token(self, size: int) -> bytes:
        """``size`` bytes."""
        return secrets.token_bytes(size)
