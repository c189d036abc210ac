"""The clock port: a clock that somebody sets while the gateway runs is not believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Unavailable
from gateway.machine import MAX_JUMP, SystemClock

DAY = 86_400.0


class Machine:
    """A machine that has run for an hour, and its clock, which can be set."""

    def __init__(self) -> None:
        self.ran, self.set_by = 3600.0, 0.0
        self.clock = SystemClock(lambda: 1_800_000_000 + self.ran + self.set_by, lambda: self.ran)


def test_a_clock_that_keeps_pace_is_believed_for_years() -> None:
    machine = Machine()
    machine.ran += 1000 * DAY
    assert machine.clock.now() == datetime.fromtimestamp(1_800_000_000 + machine.ran, UTC)


@pytest.mark.parametrize("by", [-DAY, DAY, -MAX_JUMP - 1, MAX_JUMP + 1])
def test_a_clock_set_back_or_forward_while_the_gateway_runs_refuses_until_it_is_set_right(by: float) -> None:
    machine = Machine()
    machine.set_by = by
    with pytest.raises(Unavailable, match="the clock was set"):
        machine.clock.now()
    machine.set_by = 0
    assert machine.clock.now()


@pytest.mark.parametrize("by", [-MAX_JUMP + 1, MAX_JUMP - 1])
def test_small_corrections_are_nothing(by: float) -> None:
    machine = Machine()
    machine.set_by = by
    assert machine.clock.now()


def test_the_real_one_tells_the_time() -> None:
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=5)
