"""How much memory a test's work took. The kernel starts a child's ``ru_maxrss`` at its parent's, so it is not asked."""

from __future__ import annotations

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb() -> int:
    """Peak resident memory of this process since its program began, or since ``forget_peak``, in MiB."""
    return _mb("VmHWM")


def forget_peak() -> int:
    """Count the peak from now on; the resident memory of now, in MiB."""
    CLEAR.write_text("5")
    return _mb("VmRSS")


def _mb(name: str) -> int:
    line = next(line for line in STATUS.read_text("utf-8").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) // 1024
