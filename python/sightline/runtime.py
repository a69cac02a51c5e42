"""Threads and kernels: what this process uses and why."""

from __future__ import annotations

from typing import Any

from sightline import _core
from sightline.errors import checked_integer

__all__ = ["cpu_info", "get_num_threads", "set_num_threads"]


def set_num_threads(n: int) -> None:
    """Set how many threads may run native work at once, in the whole process.

    Callers count: with n = 2, two Python threads that search at the same time run on their own, and neither gets a
    helper. Takes effect at the next search or build.

    Parameters: n : int, 1 to 4096
    Raises:     InvalidInputError if n is not an integer from 1 to 4096
    """
    _core.set_num_threads(checked_integer("n", n, 1, 4096))


def get_num_threads() -> int:
    """Return how many threads may run native work at once.

    At first this is ``SIGHTLINE_NUM_THREADS`` if that is set, else the CPUs that this process may use (affinity mask
    and container quota).
    """
    return _core.get_num_threads()


def cpu_info() -> dict[str, Any]:
    """Return which kernels are active and why.

    Returns:    dict with ``isa`` (active kernel table), ``reason``, ``available`` (tables this machine can run, best
                first), ``compiled`` (tables in this build), ``features`` (of the CPU, as detected), ``cpus``,
                ``threads``, ``forced`` (what SIGHTLINE_ISA said when the table was chosen, or None), ``compiler``,
                ``compiler_flags`` (of what is not a kernel)
    Raises:     InvalidInputError if SIGHTLINE_ISA names a table that does not exist or cannot run here
    """
    info: dict[str, Any] = _core.cpu_info()
    info["threads"] = _core.get_num_threads()
    return info
