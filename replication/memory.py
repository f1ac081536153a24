"""The memory log: the same contract without a disk, with faults to order. For tests and simulation.

Not for service: it is gone when its process ends.
"""

import threading
from collections import deque

from bank.errors import LogUnreachable
from replication.log import LAST, Replicas, Stored

__all__ = ["Fault", "MemoryLog"]


class Fault:
    """What may be ordered for the next append, in the order in which it was ordered."""

    LOST = "lost"
    """Raise, and do not store."""
    STORED = "stored"
    """Store, and raise all the same: a confirm that never came."""


class MemoryLog:
    """One log in memory, shared by all who hold the object."""

    kind = "memoria"
    identity = "memoria"

    def __init__(self) -> None:
        """Begin empty, without faults."""
        self._records: list[Stored] = []
        self._next_offset = 1
        self._changed = threading.Condition()
        self.faults: deque[str] = deque()
        self.reachable = True

    def append(self, body: bytes) -> None:
        """Store one record, unless a fault was ordered. Raises LogUnreachable."""
        with self._changed:
            self._check_reachable()
            fault = self.faults.popleft() if self.faults else None
            if fault != Fault.LOST:
                self._records.append(Stored(self._next_offset, body))
                self._next_offset += 1
                self._changed.notify_all()
            if fault is not None:
                raise LogUnreachable(f"ordered fault: {fault}")

    def cut(self, records: int) -> None:
        """Lose this many of the newest records; their offsets are used again, as a stream's are."""
        with self._changed:
            del self._records[len(self._records) - records :]
            self._next_offset = self._records[-1].offset + 1 if self._records else 1

    def read_from(self, offset: int) -> "MemoryReader":
        """Return a reader that begins at `offset`, at the next record there is, or at the last one."""
        with self._changed:
            self._check_reachable()
            if offset == LAST:
                offset = self._records[-1].offset if self._records else 0
        return MemoryReader(self, offset)

    def tend(self) -> None:
        """Nothing to do."""

    def renew(self) -> None:
        """Nothing to do: names are all that is known of the log."""

    def replicas(self) -> Replicas:
        """Return that there is this one."""
        return Replicas(held=1, brokers=1)

    def close(self) -> None:
        """Nothing to release."""

    def _check_reachable(self) -> None:
        if not self.reachable:
            raise LogUnreachable("ordered: the log does not answer")

    def take(self, offset: int, timeout_s: float) -> list[Stored]:
        """Return the records at `offset` and after, as soon as there are any."""
        with self._changed:
            self._changed.wait_for(lambda: self._at(offset), timeout_s)
            self._check_reachable()
            return self._at(offset)

    def _at(self, offset: int) -> list[Stored]:
        return [stored for stored in self._records if stored.offset >= offset]


class MemoryReader:
    """Reads a memory log in order."""

    def __init__(self, log: MemoryLog, offset: int) -> None:
        """Begin at `offset`."""
        self._log = log
        self._next = offset

    def poll(self, timeout_s: float) -> list[Stored]:
        """Return the next records, oldest first; empty if none came in time."""
        batch = self._log.take(self._next, timeout_s)
        if batch:
            self._next = batch[-1].offset + 1
        return batch

    def close(self) -> None:
        """Nothing to release."""
