from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings, strategies as st

from softcam.delivery.viewer.batching import Batcher


class Doubler:
    """Doubles numbers, notes how many come at once, and waits before the first if asked to."""

    def __init__(self, wait: threading.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self._wait = wait

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if self._wait is not None:
            assert self._wait.wait(10)
        if -1 in items:
            raise ValueError("minus one")
        return [2 * item for item in items]


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 30), largest=st.integers(1, 8))
def test_every_asker_gets_its_own_answer_in_batches_no_larger_than_allowed(count: int, largest: int) -> None:
    function = Doubler()

    async def ask() -> list[int]:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(function, pool, largest)
            return await asyncio.gather(*map(batcher, range(count)))

    assert asyncio.run(ask()) == [2 * item for item in range(count)]
    assert [item for batch in function.batches for item in batch] == list(range(count))
    assert max(map(len, function.batches)) <= largest


def test_what_comes_in_while_it_is_busy_goes_together() -> None:
    wait = threading.Event()
    function = Doubler(wait)

    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(function, pool, 8)
            first = asyncio.create_task(batcher(0))
            while not function.batches:
                await asyncio.sleep(0.001)
            others = [asyncio.create_task(batcher(number)) for number in range(1, 6)]
            await asyncio.sleep(0)
            wait.set()
            await asyncio.gather(first, *others)

    asyncio.run(ask())
    assert function.batches == [[0], [1, 2, 3, 4, 5]]


def test_those_who_have_left_are_not_computed_and_hold_nobody_up() -> None:
    wait = threading.Event()
    function = Doubler(wait)

    async def ask() -> int:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(function, pool, 8)
            first, second, third = (asyncio.create_task(batcher(number)) for number in range(3))
            while not function.batches:
                await asyncio.sleep(0.001)
            late = asyncio.create_task(batcher(3))
            gone = asyncio.create_task(batcher(4))
            await asyncio.sleep(0)
            gone.cancel()
            first.cancel()
            wait.set()
            assert await asyncio.gather(second, third) == [2, 4]
            return await late

    assert asyncio.run(ask()) == 6
    assert function.batches == [[0, 1, 2], [3]]


def test_an_error_reaches_all_of_its_batch_and_the_next_batch_goes_on() -> None:
    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(Doubler(), pool, 2)
            results = await asyncio.gather(*map(batcher, (-1, 5, 7)), return_exceptions=True)
            assert [str(each) for each in results] == ["minus one", "minus one", "14"]
            assert await batcher(4) == 8

    asyncio.run(ask())
