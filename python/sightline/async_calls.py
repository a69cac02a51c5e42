"""The methods of an index for programs with an event loop: each runs in a worker thread, and the loop goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import TimeoutError  # another than the built-in one before Python 3.11
from typing import Any, TypeVar

__all__ = ["AsyncCalls"]

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
_LOOK_SECONDS = 0.1  # how soon a stream that waits for its next document notices that nobody wants it any more


class AsyncCalls:
    """Give an index ``asearch``, ``aadd`` and the others: the methods of the same names without the ``a``.

    Arguments, results and errors are theirs. Calls run in the threads of ``asyncio.to_thread``; the index is safe to
    use from several. Cancelling a task ends its waiting. A search then goes on in its thread and its result is dropped;
    a write whose stream is not at its end yet adds nothing, one beyond that is finished.
    """

    async def asearch(self, query: Any, k: int = 10, **options: Any) -> Any:
        """Search, see ``search``.

        Parameters: as for ``search``
        Returns:    as ``search``
        Raises:     as ``search``
        """
        return await _called(self, "search", query, k, **options)

    async def aadd(self, documents: Any, **options: Any) -> list[str]:
        """Add documents, see ``add``.

        Parameters: documents : as for ``add``, or an asynchronous iterable of documents, which is consumed on the event
                    loop while the thread checks, embeds and writes; the others as for ``add``
        Returns:    the ids, in order
        Raises:     as ``add``; whatever the iterable raises
        """
        return await self._awrite("add", documents, options)

    async def aupsert(self, documents: Any, **options: Any) -> list[str]:
        """Add or replace documents, see ``upsert``.

        Parameters: documents : as for ``aadd``; the others as for ``upsert``
        Returns:    the ids, in order
        Raises:     as ``upsert``; whatever the iterable raises
        """
        return await self._awrite("upsert", documents, options)

    async def adelete(self, ids: Any = None, where: Any = None) -> int:
        """Remove documents, see ``delete``.

        Parameters: as for ``delete``
        Returns:    how many were removed
        Raises:     as ``delete``
        """
        removed: int = await _called(self, "delete", ids, where)
        return removed

    async def aget(self, ids: Any) -> list[Any]:
        """Return documents by id, see ``get``.

        Parameters: as for ``get``
        Returns:    as ``get``
        Raises:     as ``get``
        """
        found: list[Any] = await _called(self, "get", ids)
        return found

    async def acount(self, where: Any = None) -> int:
        """Count documents, see ``count``.

        Parameters: as for ``count``
        Returns:    int
        Raises:     as ``count``
        """
        count: int = await _called(self, "count", where)
        return count

    async def aids(self, where: Any = None) -> list[str]:
        """Return the ids of documents, see ``ids``.

        Parameters: as for ``ids``
        Returns:    list of str
        Raises:     as ``ids``
        """
        found: list[str] = await _called(self, "ids", where)
        return found

    async def _awrite(self, name: str, documents: Any, options: dict[str, Any]) -> list[str]:
        abandoned = threading.Event()
        if isinstance(documents, AsyncIterable):
            documents = _stream(documents, asyncio.get_running_loop(), abandoned)
        elif hasattr(documents, "__iter__") and not isinstance(documents, (str, bytes, dict, list, tuple)):
            documents = _until(documents, abandoned)
        try:
            added: list[str] = await _called(self, name, documents, **options)
        except asyncio.CancelledError:
            abandoned.set()
            raise
        return added


async def _called(owner: object, name: str, *arguments: Any, **options: Any) -> Any:
    method: Callable[..., Any] = getattr(owner, name)
    return await asyncio.to_thread(method, *arguments, **options)


class _AbandonedError(Exception):
    """Ends a write that nobody waits for; its thread's result is dropped, so nobody sees it."""


def _until(documents: Any, abandoned: threading.Event) -> Iterator[Any]:
    """Yield documents as long as somebody waits for the write."""
    for document in documents:
        if abandoned.is_set():
            raise _AbandonedError
        yield document


def _stream(
    documents: AsyncIterable[_Item], loop: asyncio.AbstractEventLoop, abandoned: threading.Event
) -> Iterator[_Item]:
    """Yield what an asynchronous iterable yields on the event loop, to a thread that may wait."""
    iterator = documents.__aiter__()
    while True:
        waiting = asyncio.run_coroutine_threadsafe(_next(iterator), loop)
        while True:
            if abandoned.is_set() or loop.is_closed():
                waiting.cancel()
                raise _AbandonedError
            try:
                found = waiting.result(_LOOK_SECONDS)
                break
            except TimeoutError:
                if waiting.done():  # just now, or the error is the iterable's own
                    found = waiting.result()
                    break
        if not found:
            return
        yield found[0]


def _next(iterator: AsyncIterator[_Item]) -> Coroutine[Any, Any, tuple[_Item] | tuple[()]]:
    async def step() -> tuple[_Item] | tuple[()]:
        try:
            return (await iterator.__anext__(),)
        except StopAsyncIteration:  # which a future must not raise
            return ()

    return step()
