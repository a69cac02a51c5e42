"""Calls with an event loop: they leave it free, take asynchronous streams, and end with their task."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline import HybridIndex
from sightline.errors import DuplicateIdError, InvalidInputError


def _slow(texts: list[str]) -> list[list[float]]:
    time.sleep(0.2)
    return [[1.0, float(len(text))] for text in texts]


def _run(check: Any) -> Any:
    """Run a coroutine beside a heart that must go on beating."""

    async def both() -> Any:
        gaps, last = [], time.perf_counter()

        async def beat() -> None:
            nonlocal last
            while True:
                await asyncio.sleep(0.01)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        heart = asyncio.create_task(beat())
        try:
            return await check
        finally:
            heart.cancel()
            assert gaps, "the loop was blocked all the time"
            assert sum(gap > 0.15 for gap in gaps) <= len(gaps) // 4  # each call blocks its thread for 0.2 s

    return asyncio.run(both())


@pytest.mark.parametrize("durable", [False, True])
def test_no_call_blocks_the_loop(tmp_path: Path, durable: bool) -> None:
    index = HybridIndex(tmp_path / "kb" if durable else None, embedder=_slow, batch_size=2)

    async def calls() -> None:
        assert await index.aadd({"id": f"d{i}", "text": f"text {i}", "metadata": {"n": i}} for i in range(6)) == [
            f"d{i}" for i in range(6)
        ]
        assert await index.aupsert([{"id": "d0", "text": "changed", "metadata": {"n": 0}}]) == ["d0"]
        found = await asyncio.gather(*[index.asearch(f"text {i}", 2) for i in range(3)])
        assert [len(hits) for hits in found] == [2, 2, 2]
        assert [document and document.text for document in await index.aget(["d0", "none"])] == ["changed", None]
        assert await index.acount() == 6
        assert await index.acount({"n": {"$lt": 2}}) == 2
        assert await index.aids({"n": 5}) == ["d5"]
        assert await index.adelete("d5") == 1
        assert await index.adelete(where={"n": 4}) == 1
        scope = index.scoped({"n": 3})
        assert await scope.acount() == 1
        assert [hit.id for hit in await scope.asearch("text", 5)] == ["d3"]
        with pytest.raises(InvalidInputError, match="outside the scope"):
            await scope.aadd([{"id": "x", "text": "x", "metadata": {"n": 2}}])
        with pytest.raises(DuplicateIdError):
            await index.aadd([{"id": "d0", "text": "again"}])

    _run(calls())
    assert len(index) == 4
    index.close()


def test_an_asynchronous_stream_is_read_on_the_loop() -> None:
    index = HybridIndex(batch_size=2)
    threads = set()

    async def documents() -> AsyncIterator[dict[str, Any]]:
        for i in range(7):
            await asyncio.sleep(0.005)
            threads.add(threading.get_ident())
            yield {"id": f"d{i}", "text": "a text"}

    async def failing() -> AsyncIterator[str]:
        yield "one"
        raise TimeoutError("the source")

    async def calls() -> None:
        assert len(await index.aadd(documents())) == 7
        assert threads == {threading.get_ident()}
        with pytest.raises(TimeoutError, match="the source"):
            await index.aadd(failing())
        assert len(index) == 7

    _run(calls())


@pytest.mark.parametrize("kind", ["asynchronous", "plain"])
def test_a_cancelled_write_adds_nothing(kind: str) -> None:
    index = HybridIndex(batch_size=1)
    taken = []

    async def endless() -> AsyncIterator[str]:
        while True:
            await asyncio.sleep(0.001)
            taken.append(1)
            yield "text"

    def endless_too() -> Iterator[str]:
        while True:
            time.sleep(0.001)
            taken.append(1)
            yield "text"

    async def calls() -> None:
        task = asyncio.create_task(index.aadd(endless() if kind == "asynchronous" else endless_too()))
        while len(taken) < 5:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)
        before = len(taken)
        await asyncio.sleep(0.2)
        assert len(taken) == before

    asyncio.run(calls())
    assert len(index) == 0
