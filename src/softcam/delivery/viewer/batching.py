"""Requests that come in while the network is busy go through it together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Runs a function on whatever has come in while it was busy with what came before.

    A single request never waits for company; many share the cost of a call.

    Args:
        function: Items in, as many results out, in the same order.
        executor: Where it runs.
        largest: Items that it takes at once.

    Example:
        batcher = Batcher(explain_all, ThreadPoolExecutor(1), largest=8)
        evidence = await batcher(image)
    """

    def __init__(self, function: Callable[[Sequence[Item]], Sequence[Result]], executor: Executor, largest: int):
        self._function = function
        self._executor = executor
        self._largest = largest
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """Return the function's result for ``item``; what it raises is raised for all items of its batch."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next_batch():
                items = [item for item, _ in batch]
                try:
                    results = await loop.run_in_executor(self._executor, self._function, items)
                except Exception as error:
                    for _, future in batch:
                        _settle(future, error)
                else:
                    for (_, future), result in zip(batch, results, strict=True):
                        _settle(future, result)
        finally:
            self._working = None

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take the oldest items off the queue, without those whose askers have left."""
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._largest:
            item, future = self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
        return batch


def _settle(future: asyncio.Future[Result], outcome: Result | Exception) -> None:
    if future.done():  # its asker has left meanwhile
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
