"""``tongguan release``, put together: requests and fetching, then receipts."""

from __future__ import annotations

import typer

from gateway.cli import receipts, research

release: typer.Typer = research.release
receipts.add_to_release(release)
