"""The lock of the one writer as Windows has it, over a stand-in for its C library. The rest: test_durable_index.py."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sightline.locking
from sightline import IndexLockedError


class StandIn(ModuleType):
    """``msvcrt`` as far as it locks: bytes from the position of a descriptor on, for that open file only."""

    LK_UNLCK, LK_NBLCK = 0, 2

    def __init__(self) -> None:
        super().__init__("msvcrt")
        self.held: dict[tuple[int, int], int] = {}  # the descriptor that locked a byte of a file

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert count == 1
        key = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        if mode == self.LK_NBLCK:
            if key in self.held:
                raise OSError(errno.EACCES, "Permission denied")
            self.held[key] = descriptor
        elif self.held.get(key) == descriptor:
            del self.held[key]
        else:
            raise OSError(errno.EACCES, "Permission denied")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module as Windows loads it, and the stand-in."""
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "msvcrt", stand_in)
    path = sightline.locking.__file__
    assert path is not None
    spec = importlib.util.spec_from_file_location("locking_on_windows", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as loading:
        loading.setattr(sys, "platform", "win32")
        spec.loader.exec_module(module)
    return module, stand_in


def test_one_writer_at_a_time_and_the_second_is_told_who(tmp_path: Path, windows: Any) -> None:
    module, stand_in = windows
    path = tmp_path / "writer.lock"
    lock = module.WriterLock(path)
    ((_, at),) = stand_in.held
    assert at > 1 << 20  # where nobody reads: a locked byte cannot be read by others there
    with pytest.raises(IndexLockedError, match=f"process {os.getpid()} "):
        module.WriterLock(path)
    lock.release()
    assert not stand_in.held
    module.WriterLock(path).release()
    lock.release()  # harmless
    assert path.stat().st_size < 1000
