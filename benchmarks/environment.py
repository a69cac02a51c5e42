"""Where figures come from: CPU, kernels, compiler, versions. Nothing that names a machine or a person."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import sightline as sl

__all__ = ["Others", "memory_left", "others_seconds", "record"]

_PACKAGES = (
    *("numpy", "faiss-cpu", "hnswlib", "usearch", "scann", "scalable-vs"),
    *("bm25s", "numba", "rank-bm25", "tantivy", "lancedb", "zvec", "matplotlib"),
)


def record(threads: int) -> dict[str, Any]:
    info = sl.cpu_info()
    return {
        "cpu": _cpu_name(),
        "cpus": info["cpus"],
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "memory_gb": _memory_gb(),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "huge_pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
        "isa": info["isa"],
        "features": info["features"],
        "compiler": info["compiler"],
        "compiler_flags": info["compiler_flags"],
        "threads": threads,
        "python": platform.python_version(),
        "sightline": sl.__version__,
        "blas": _blas(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


class Others:
    """Who else used the CPUs between its making and ``shares``: other processes, and other guests of the machine."""

    def __init__(self) -> None:
        self._before = _cpu_seconds()

    def shares(self) -> dict[str, float | None]:
        """Shares of all CPU time, by the kernel's count of ticks; None where that cannot be read."""
        after = _cpu_seconds()
        if self._before is None or after is None:
            return {"cpu_of_others": None, "cpu_stolen": None}
        total, busy, stolen, own = (late - early for late, early in zip(after, self._before, strict=True))
        total = max(total, 1e-9)
        return {"cpu_of_others": round(max(0.0, busy - own) / total, 3), "cpu_stolen": round(stolen / total, 3)}


def _cpu_seconds() -> tuple[float, float, float, float] | None:
    """Of all CPUs since the system started: in all, busy, stolen by the hypervisor; and of this process's family."""
    words = _text("/proc/stat").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    user, nice, system, idle, waiting, interrupts, soft, stolen = (
        int(word) / os.sysconf("SC_CLK_TCK") for word in words[1:9]
    )
    busy = user + nice + system + interrupts + soft
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system + _living_children()
    return busy + idle + waiting + stolen, busy, stolen, own


def others_seconds() -> float:
    """CPU seconds that others used since the system started: other processes, other guests of the machine.

    Differences count, to some hundredths of a second; always 0 where that cannot be read.
    """
    found = _cpu_seconds()
    if found is None:
        return 0.0
    _, busy, stolen, own = found
    return busy + stolen - own


def _living_children() -> float:
    """CPU seconds of the children that have not ended, with all their threads."""
    ticks = 0
    for child in _text("/proc/thread-self/children").split():
        words = _text(f"/proc/{child}/stat").rpartition(")")[2].split()
        if len(words) > 12:  # else it has just ended
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_left() -> float:
    """The share of the machine's memory that is free or can be had at once; 0 where that cannot be read."""
    sizes = dict(line.split()[:2] for line in _text("/proc/meminfo").splitlines())
    try:
        return int(sizes["MemAvailable:"]) / int(sizes["MemTotal:"])
    except (KeyError, ValueError, ZeroDivisionError):
        return 0.0


def _cpu_name() -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _blas() -> str:
    """NumPy's matrix library, which its figures depend on."""
    if sys.version_info < (3, 10) or not hasattr(np, "show_config"):
        return ""
    try:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    except (TypeError, KeyError):  # NumPy before 1.26 prints only
        return ""
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()
