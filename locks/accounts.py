"""Which lock guards which account: a fixed table of bakery locks, so memory does not grow with accounts.

Several accounts are held in ascending order of the table, each lock once: two holders never wait for each other in
a circle. Readers pass one at a time through a door before the bakery, for first come, first served makes convoys:
31 readers of one account in a bakery slowed the applier to 48 operations a second.
Invariant: whoever reads or changes an account's state is inside its lock (bench/locks.py measures the price).
"""

import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from locks.bakery import BakeryLock, LockTimeout, ThreadSlots

__all__ = ["AccountLocks"]

TABLE_SIZE = 4096


def _tell_nobody(_seconds: float) -> None:
    pass


class AccountLocks:
    """The table. `waited` and `reader_waited` are told how many seconds each holder waited."""

    def __init__(
        self,
        slots: ThreadSlots,
        size: int = TABLE_SIZE,
        *,
        waited: Callable[[float], None] = _tell_nobody,
        reader_waited: Callable[[float], None] = _tell_nobody,
    ) -> None:
        """Make `size` locks and their doors."""
        self._waited = waited
        self._reader_waited = reader_waited
        self._table = [BakeryLock(slots) for _ in range(size)]
        self._doors = [threading.Lock() for _ in range(size)]

    def index_of(self, account_id: str) -> int:
        """Return the place in the table of the lock that guards this account."""
        return zlib.crc32(account_id.encode()) % len(self._table)

    @contextmanager
    def hold(self, account_ids: Iterable[str]) -> Iterator[None]:
        """Hold the locks of all these accounts, each once. For the applier: never times out."""
        held: list[BakeryLock] = []
        began = time.monotonic()
        try:
            for index in sorted({self.index_of(account_id) for account_id in set(account_ids)}):
                lock = self._table[index]
                lock.acquire()
                held.append(lock)
            self._waited(time.monotonic() - began)
            yield
        finally:
            for lock in reversed(held):
                lock.release()

    @contextmanager
    def hold_as_reader(self, account_id: str, timeout: float) -> Iterator[None]:
        """Hold the lock of one account, for reading: at most one reader at a time stands in its bakery.

        Raises LockTimeout after `timeout` seconds.
        """
        index = self.index_of(account_id)
        timeout = max(0.0, timeout)
        began = time.monotonic()
        deadline = began + timeout
        if not self._doors[index].acquire(timeout=timeout):
            raise LockTimeout("too many readers of one account")
        try:
            self._table[index].acquire(max(0.0, deadline - time.monotonic()))
            try:
                self._reader_waited(time.monotonic() - began)
                yield
            finally:
                self._table[index].release()
        finally:
            self._doors[index].release()
