"""Memory of this process, as Linux counts it; None on other systems."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

__all__ = ["peak_bytes", "reset_peak", "resident_bytes", "trim"]

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int | None:
    """Resident bytes now."""
    return _status("VmRSS")


def peak_bytes() -> int | None:
    """The most that was resident since ``reset_peak``. Not getrusage, whose peak is inherited from the parent."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Make the kernel's peak start anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def trim() -> None:
    """Have the C library return what is free to the system, so that resident means in use."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no library without a name
        ctypes.CDLL(None).malloc_trim(0)


def _status(key: str) -> int | None:
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return None
