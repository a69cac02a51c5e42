"""The lock that makes a process the one writer of a directory.

The operating system holds it, so it ends with the process, however that ends. The file names the holder for the message
that a second writer gets; its content decides nothing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
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
                file cannot be opened
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file: IO[Any] = path.open("r+b" if path.exists() else "w+b")
        except OSError as error:
            raise StorageError(f"'{path}' cannot be opened for writing: {error.strerror or error}") from None
        try:
            _lock(self._file)
        except OSError:
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

    def release(self) -> None:
        """Give the lock up; harmless if that was done."""
        self._file.close()


def _holder(file: IO[Any]) -> str:
    try:
        found = json.loads(file.read())
        return f"process {int(found['pid'])} ({found['command']}) on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[Any]) -> None:
        file.seek(_HELD_ELSEWHERE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        finally:
            file.seek(0)

else:
    import fcntl

    def _lock(file: IO[Any]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
