"""Deadlines: until when those who wait at a node may wait.

Whoever was answered in time is forgotten soon, not at the deadline: fast batches would fill the memory by then.
Pure: all times are handed in, in milliseconds.
"""

import heapq
from collections.abc import Iterator
from itertools import count

from bank.waiting import Pending, Read, Waiter

__all__ = ["Deadlines", "Waiting"]

Waiting = Read | list[tuple[Pending, Waiter]]
"""A read, or all who wait for the operations of one request."""

KEPT_MIN = 8192


class Deadlines:
    """What waits, by the time when it gives up."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._heap: list[tuple[int, int, Waiting]] = []
        self._order = count()
        self._kept = 0
        self._kept_max = KEPT_MIN

    def push(self, deadline_ms: int, waiting: Waiting) -> None:
        """Note until when these may wait."""
        self._kept += _size(waiting)
        if self._kept > self._kept_max:
            self._heap = [late for late in self._heap if _is_open(late[2])]
            heapq.heapify(self._heap)
            self._kept = _size(waiting) + sum(_size(late[2]) for late in self._heap)
            self._kept_max = max(KEPT_MIN, 2 * self._kept)
        heapq.heappush(self._heap, (deadline_ms, next(self._order), waiting))

    def due(self, now_ms: int) -> Iterator[Waiting]:
        """Yield those whose time is up, perhaps answered meanwhile, and forget them."""
        while self._heap and self._heap[0][0] <= now_ms:
            *_, waiting = heapq.heappop(self._heap)
            self._kept -= _size(waiting)
            yield waiting


def _size(waiting: Waiting) -> int:
    return 1 if isinstance(waiting, Read) else len(waiting)


def _is_open(waiting: Waiting) -> bool:
    if isinstance(waiting, Read):
        return waiting.is_open
    return any(waiter in pending.waiters for pending, waiter in waiting)
