"""The lock that makes a process the one writer of a directory.

The operating system holds it, so it ends with the process, however that ends. A child that forks shares the open file
and would go on holding it, so it closes its own at once. The file names the holder for the message that a second writer
gets; its content decides nothing.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sightline.errors import IndexLockedError, StorageError

__all__ = ["WriterLock"]

_HELD_ELSEWHERE = 1 << 30  # the byte that is locked where locks are mandatory, past the text that others must read


class WriterLock:
    """Hold the lock of a file from construction to ``release``.

    Parameters: path : file, made if missing, never removed (another process may be about to lock it)
    Raises:     IndexLockedError at once, naming the holder, if another process or object has it; StorageError if the
                file cannot be opened or locked at all
    """

    def __init__(self, path: Path) -> None:
        self._opened_in = os.getpid()
        try:
            self._file: IO[Any] = path.open("r+b" if path.exists() else "w+b")
        except OSError as error:
            raise StorageError(f"'{path}' cannot be opened for writing: {error.strerror or error}") from None
        try:
            _lock(self._file)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):  # such as a mount without locks
                self._file.close()
                raise StorageError(f"'{path}' cannot be locked: {error.strerror or error}") from None
            holder = _holder(self._file)
            self._file.close()
            raise IndexLockedError(
                f"'{path.parent}' is open for writing by {holder}; close it there, or open it with read_only=True"
            ) from None
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "command": Path(sys.argv[0] or "-").name})
        with suppress(OSError):  # a full disk, where deleting and compacting must still be possible
            self._file.truncate(0)
            self._file.write(text.encode())
            self._file.flush()
        _held.add(self)

    def release(self) -> None:
        """Give the lock up; harmless if that was done, and in a child, whose parent keeps it."""
        if not self._file.closed and self._opened_in == os.getpid():
            _unlock(self._file)
        self._close()

    def _close(self) -> None:
        with suppress(OSError):  # of the holder's name, if the disk was full
            self._file.close()


def _holder(file: IO[Any]) -> str:
    try:
        found = json.loads(file.read())
        return f"process {int(found['pid'])} ({found['command']}) on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


_held: weakref.WeakSet[WriterLock] = weakref.WeakSet()

if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[Any]) -> None:
        _change(file, msvcrt.LK_NBLCK)

    def _unlock(file: IO[Any]) -> None:
        with suppress(OSError):  # closing gives it up, too, but perhaps not at once
            _change(file, msvcrt.LK_UNLCK)

    def _change(file: IO[Any], how: int) -> None:
        file.seek(_HELD_ELSEWHERE)
        try:
            msvcrt.locking(file.fileno(), how, 1)
        finally:
            file.seek(0)

else:
    import fcntl

    def _lock(file: IO[Any]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: IO[Any]) -> None:
        with suppress(OSError):
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)

    def _close_in_child() -> None:
        for lock in list(_held):
            lock._close()

    os.register_at_fork(after_in_child=_close_in_child)
