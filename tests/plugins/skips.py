"""A skipped test is a promise not shown, so only the reasons listed in CONTRIBUTING.md may be given; any other fails.

The list is the bullet points under its heading "Permitted skips"; each starts with the reason between backticks.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest

_REASON = re.compile(r"^- `([^`]+)`", re.MULTILINE)
_listed: frozenset[str] = frozenset()


def permitted_skips(contributing: str) -> frozenset[str]:
    """The reasons listed in the text of CONTRIBUTING.md. Raises ValueError where the list is missing."""
    _, heading, rest = contributing.partition("\n## Permitted skips\n")
    reasons = frozenset(_REASON.findall(rest.partition("\n## ")[0]))
    if not heading or not reasons:
        raise ValueError("CONTRIBUTING.md has no list under 'Permitted skips'")
    return reasons


def reason_of(longrepr: object) -> str:
    """The sentence given to ``skip``, without pytest's own prefix."""
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return str(text).removeprefix("Skipped: ")


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure is reported as skipped too, but it ran.
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = reason_of(report.longrepr)
    if not reason.startswith(tuple(_listed)):
        report.longrepr = f"skipped for a reason that CONTRIBUTING.md does not list: {reason}"
        report.outcome = "failed"


def pytest_configure(config: pytest.Config) -> None:
    global _listed  # noqa: PLW0603  read once for the run; report hooks are given no config
    _listed = permitted_skips(Path(config.rootpath, "CONTRIBUTING.md").read_text("utf-8"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _judge(report)
    return report
