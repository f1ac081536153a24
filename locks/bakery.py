"""Lamport's bakery lock: mutual exclusion, first come first served, from plain reads and writes.

Source: Lamport, CACM 17(8), 1974. Labels e1..w2 are those of Bakery.tla (tlaplus/Examples).
Knows no account and no broker; `locks/accounts.py` hands out one lock per account. The argument needs registers
that are sequentially consistent: CPython's are, under the GIL, and without one the lock refuses to be made.
Invariant: no two threads are at `cs` of one lock (tests/simulation/test_bakery.py explores every interleaving).
"""

import sys
import threading
import time
from types import TracebackType
from weakref import WeakSet

__all__ = ["BakeryLock", "LockAbandoned", "LockMisused", "LockTimeout", "ThreadSlots"]

SPINS = 20
"""Looks without sleeping before a waiter sleeps: most holders are out again by then."""
PAUSE_S_MIN = 0.00005
PAUSE_S_MAX = 0.001
OWNER_CHECK_S = 0.1


class LockMisused(RuntimeError):  # noqa: N818 - a state, as in bank/errors.py
    """A bug of the caller: re-entry, release by a thread that is not inside, no slot left, no GIL."""


class LockAbandoned(RuntimeError):  # noqa: N818 - a state, as in bank/errors.py
    """A thread ended inside a lock, which nobody can enter any more: the process must stop."""


class LockTimeout(TimeoutError):  # noqa: N818 - a state, as in bank/errors.py
    """The lock was not had in time; it was left as if it had never been asked for."""


class ThreadSlots:
    """Which register of every lock belongs to which thread. Slots of threads that ended are used again."""

    def __init__(self, capacity: int) -> None:
        """Serve at most `capacity` living threads. Raises LockMisused on an interpreter without the GIL."""
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            raise LockMisused("the bakery lock needs the GIL: without it registers are not sequentially consistent")
        self.capacity = capacity
        self._owners: list[threading.Thread | None] = [None] * capacity
        self._local = threading.local()
        self._registry = threading.Lock()
        self._locks: WeakSet[BakeryLock] = WeakSet()

    def mine(self) -> int:
        """Return the calling thread's slot; the first call assigns one."""
        try:
            slot: int = self._local.slot
        except AttributeError:
            slot = self._local.slot = self._assign()
        return slot

    def _assign(self) -> int:
        with self._registry:
            for slot, owner in enumerate(self._owners):
                if owner is None or (not owner.is_alive() and not self._is_left_behind(slot)):
                    self._owners[slot] = threading.current_thread()
                    return slot
        raise LockMisused(f"more than {self.capacity} threads use the locks: raise the number of slots")

    def watch(self, lock: "BakeryLock") -> None:
        """Look into this lock too before a slot is used again."""
        with self._registry:
            self._locks.add(lock)

    def abandoned(self) -> str | None:
        """Name a thread that ended inside a lock, if there is one."""
        with self._registry:
            for slot, owner in enumerate(self._owners):
                if owner is not None and not owner.is_alive() and self._is_left_behind(slot):
                    return owner.name
        return None

    def check_owner(self, slot: int, lock: "BakeryLock") -> None:
        """Raise LockAbandoned if the thread that a waiter waits for has ended inside."""
        owner = self._owners[slot]
        if owner is None or owner.is_alive():
            return
        # First dead, then marked, then still the owner: a thread may leave, and only then end, after the waiter's
        # look; and its slot may be another's by now, whose mark this would be.
        if lock.is_marked(slot) and self._owners[slot] is owner:
            raise LockAbandoned(f"thread {owner.name!r} ended inside a lock")

    def _is_left_behind(self, slot: int) -> bool:
        return any(lock.is_marked(slot) for lock in self._locks)


class BakeryLock:
    """One lock. `with lock:` waits for ever; `acquire(timeout)` does not."""

    def __init__(self, slots: ThreadSlots) -> None:
        """Make a lock for the threads that `slots` knows. Two registers a slot, each written by its owner alone."""
        self._slots = slots
        self._others = slots.capacity - 1
        self._choosing = bytearray(slots.capacity)
        self._number = [0] * slots.capacity
        slots.watch(self)

    def acquire(self, timeout: float | None = None) -> None:
        """Enter; at most `timeout` seconds are waited, None is for ever.

        Raises LockTimeout, LockMisused if this thread is inside already, LockAbandoned if nobody can ever enter.
        """
        choosing, number, me = self._choosing, self._number, self._slots.mine()
        if number[me]:
            raise LockMisused("this thread is inside already: the bakery lock is not re-entrant")
        try:
            choosing[me] = 1  # e1
            # e2, e3: a number above all that others hold; any() sees an empty bakery nine times faster than max()
            ticket = number[me] = 1 + max(number) if any(number) else 1
            choosing[me] = 0  # e4
            # w1 and w2 for all others at once, at C speed. It is Lamport's loop whose every wait ended at its first
            # look: each choosing[j] is read before number[j], as there, and each number[j] is read as 0.
            if 1 not in choosing and number.count(0) == self._others:
                return  # cs
            self._wait(me, ticket, timeout)
        except BaseException:
            number[me] = 0
            choosing[me] = 0
            raise

    def _wait(self, me: int, ticket: int, timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        for other in range(len(self._number)):
            if other == me:
                continue
            patience = _Patience(self, self._slots, other, deadline)
            while self._choosing[other]:  # w1
                patience.pause()
            # w2: whoever has the lower pair goes first; the number is read once a look
            while (theirs := self._number[other]) and (theirs, other) < (ticket, me):
                patience.pause()

    def release(self) -> None:
        """Leave. Raises LockMisused if this thread is not inside."""
        me = self._slots.mine()
        if not self._number[me]:
            raise LockMisused("this thread is not inside")
        self._number[me] = 0  # exit

    def is_marked(self, slot: int) -> bool:
        """Tell whether the owner of this slot is inside, or on its way in."""
        return bool(self._number[slot] or self._choosing[slot])

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class _Patience:
    """How a waiter waits: looks a few times, then sleeps longer and longer; notices a holder that died."""

    def __init__(self, lock: BakeryLock, slots: ThreadSlots, other: int, deadline: float | None) -> None:
        self._lock = lock
        self._slots = slots
        self._other = other
        self._deadline = deadline
        self._looks = 0
        self._pause_s = PAUSE_S_MIN
        self._check_owner_at = 0.0

    def pause(self) -> None:
        """Let others run. Raises LockTimeout or LockAbandoned."""
        self._looks += 1
        if self._looks <= SPINS:
            time.sleep(0)
            return
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise LockTimeout("the lock was not had in time")
        if now >= self._check_owner_at:
            self._check_owner_at = now + OWNER_CHECK_S
            self._slots.check_owner(self._other, self._lock)
        time.sleep(self._pause_s)
        self._pause_s = min(PAUSE_S_MAX, self._pause_s * 2)
