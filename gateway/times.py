"""Times as they are stored and counted: RFC 3339 text in UTC; legal windows are counted in Asia/Shanghai."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def stamp(moment: datetime) -> str:
    """Fixed-width text that sorts like the time it names."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """An aware time from RFC 3339 text. Raises ValueError when the offset is missing."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time needs an offset: {text}")
    return moment


def legal_day(moment: datetime) -> date:
    """The calendar day the law counts by."""
    return moment.astimezone(SHANGHAI).date()
