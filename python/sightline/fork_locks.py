"""Locks that a forked child may use: a thread that does not exist there may have held those of its parent."""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["renew_in_children"]

_RLOCK = type(threading.RLock())
_owners: weakref.WeakKeyDictionary[object, tuple[str, ...]] = weakref.WeakKeyDictionary()


def renew_in_children(owner: object, *names: str) -> None:
    """Give an object new locks in every child that forks from here on.

    Parameters: owner : which can be referenced weakly; names : of attributes that hold a ``threading.Lock`` or
                ``RLock``
    """
    _owners[owner] = names


def _renew() -> None:
    for owner, names in list(_owners.items()):
        for name in names:
            again = threading.RLock if isinstance(getattr(owner, name), _RLOCK) else threading.Lock
            setattr(owner, name, again())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
