"""The bakery lock and the table of account locks under real threads: slots, misuse, time-outs, threads that die inside.

Every interleaving of the lock itself is tests/simulation/test_bakery.py; what it costs is bench/locks.py.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from locks.accounts import AccountLocks
from locks.bakery import BakeryLock, LockAbandoned, LockMisused, LockTimeout, ThreadSlots

DEADLINE_S = 20.0
"""Longer than anything here takes; what is not there by then never comes."""


class Call(threading.Thread):
    """Calls a function in a thread of its own and keeps what it returned or raised."""

    def __init__(self, function: Callable[[], Any], name: str | None = None) -> None:
        super().__init__(daemon=True, name=name)
        self._function = function
        self._returned: Any = None
        self._raised: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._returned = self._function()
        except Exception as error:  # noqa: BLE001 - `result` raises it
            self._raised = error

    def result(self) -> Any:
        """Return or raise what the function did, once the thread has ended."""
        self.join(DEADLINE_S)
        assert not self.is_alive(), "the thread did not end"
        if self._raised is not None:
            raise self._raised
        return self._returned


@contextlib.contextmanager
def elsewhere(block: AbstractContextManager[Any]) -> Iterator[None]:
    """Be inside `block` in another thread."""
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with block:
            entered.set()
            assert leave.wait(DEADLINE_S)

    call = Call(stay)
    try:
        assert entered.wait(DEADLINE_S), "the other thread did not get in"
        yield
    finally:
        leave.set()
        call.result()


@contextlib.contextmanager
def living(slots: ThreadSlots, count: int) -> Iterator[None]:
    """Let so many threads have a slot and stay alive."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(elsewhere(Slot(slots)))
        yield


class Slot:
    """A block whose thread has a slot."""

    def __init__(self, slots: ThreadSlots) -> None:
        self._slots = slots

    def __enter__(self) -> None:
        self._slots.mine()

    def __exit__(self, *_: object) -> None:
        """Keep it: slots are not handed back."""


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.001)


def is_waiting(lock: BakeryLock, slots: ThreadSlots) -> bool:
    """Tell whether another thread than this one is inside or on its way in."""
    return any(lock.is_marked(slot) for slot in range(slots.capacity) if slot != slots.mine())


def enter_and_leave(lock: BakeryLock) -> int:
    with lock:
        return lock._slots.mine()


def test_slots_of_threads_that_ended_are_used_again() -> None:
    slots = ThreadSlots(3)
    lock = BakeryLock(slots)
    taken = [Call(lambda: enter_and_leave(lock)).result() for _ in range(20)]
    assert set(taken) <= {0, 1, 2}


def test_a_thread_keeps_its_slot() -> None:
    slots = ThreadSlots(4)
    with living(slots, 2):
        assert slots.mine() == slots.mine()
        assert Call(lambda: (slots.mine(), slots.mine())).result() == (3, 3)


def test_more_living_threads_than_slots_are_refused_and_served_once_another_has_ended() -> None:
    slots = ThreadSlots(3)
    lock = BakeryLock(slots)
    with living(slots, 3), pytest.raises(LockMisused, match="more than 3 threads"):
        lock.acquire()
    assert not any(lock.is_marked(slot) for slot in range(3))
    with lock:
        assert lock.is_marked(slots.mine())


def test_reentry_is_refused_and_the_lock_stays_held_once() -> None:
    lock = BakeryLock(ThreadSlots(2))
    with lock:
        with pytest.raises(LockMisused, match="not re-entrant"):
            lock.acquire()
        with pytest.raises(LockTimeout):
            Call(lambda: lock.acquire(0.01)).result()
    assert Call(lambda: enter_and_leave(lock)).result() == 1
    with pytest.raises(LockMisused, match="not inside"):
        lock.release()


def test_a_thread_that_is_not_inside_cannot_release() -> None:
    lock = BakeryLock(ThreadSlots(2))
    with lock:
        with pytest.raises(LockMisused, match="not inside"):
            Call(lock.release).result()
        with pytest.raises(LockTimeout):
            Call(lambda: lock.acquire(0.01)).result()


@pytest.mark.parametrize("timeout", [0.0, 0.02])
def test_a_timeout_leaves_the_lock_as_if_it_had_never_been_asked_for(timeout: float) -> None:
    slots = ThreadSlots(3)
    lock = BakeryLock(slots)
    slots.mine()
    with elsewhere(lock):
        with pytest.raises(LockTimeout):
            lock.acquire(timeout)
        assert not lock.is_marked(slots.mine())
    with lock:  # a register left behind would say re-entry, or keep the next one out for ever
        pass
    assert Call(lambda: enter_and_leave(lock)).result() in {1, 2}


def test_a_free_lock_is_had_without_time() -> None:
    lock = BakeryLock(ThreadSlots(2))
    lock.acquire(0.0)
    lock.release()


def test_an_error_inside_the_block_releases() -> None:
    lock = BakeryLock(ThreadSlots(2))
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert Call(lambda: enter_and_leave(lock)).result() == 1


def test_who_comes_while_others_wait_goes_in_after_them() -> None:
    slots = ThreadSlots(6)
    lock = BakeryLock(slots)
    order: list[int] = []

    def visit(number: int) -> None:
        with lock:
            order.append(number)

    calls = []
    with lock:
        for number in range(5):
            calls.append(Call(lambda number=number: visit(number)))
            wait_until(
                lambda number=number: sum(map(lock.is_marked, range(6))) == number + 2 and not any(lock._choosing)
            )
    for call in calls:
        call.result()
    assert order == [0, 1, 2, 3, 4]


def test_a_thread_that_ended_inside_is_named_and_nobody_waits_for_it_for_ever() -> None:
    slots = ThreadSlots(4)
    lock, other = BakeryLock(slots), BakeryLock(slots)
    assert slots.abandoned() is None
    Call(lock.acquire, name="the lost one").result()
    with pytest.raises(LockAbandoned, match="'the lost one' ended inside"):
        lock.acquire()
    with pytest.raises(LockAbandoned, match="'the lost one' ended inside"):
        Call(lambda: lock.acquire(DEADLINE_S)).result()
    assert slots.abandoned() == "the lost one"
    assert not lock.is_marked(slots.mine())
    with other:
        assert slots.abandoned() == "the lost one"


def test_the_slot_of_a_thread_that_ended_inside_is_not_used_again() -> None:
    slots = ThreadSlots(3)
    lock, other = BakeryLock(slots), BakeryLock(slots)
    lost = Call(lambda: (lock.acquire(), slots.mine())[1]).result()
    assert {Call(lambda: enter_and_leave(other)).result() for _ in range(10)}.isdisjoint({lost})
    with living(slots, 2), pytest.raises(LockMisused, match="more than 3 threads"):
        other.acquire()


def test_a_thread_that_ended_outside_is_no_loss() -> None:
    slots = ThreadSlots(2)
    lock = BakeryLock(slots)
    Call(lambda: enter_and_leave(lock)).result()
    assert slots.abandoned() is None


def test_eight_threads_do_not_lose_an_increment() -> None:
    lock = BakeryLock(ThreadSlots(8))
    counter = [0]
    start = threading.Barrier(8)

    def add() -> None:
        start.wait(DEADLINE_S)
        for _ in range(200):
            with lock:
                read = counter[0]
                time.sleep(0)  # lets another thread run: between the read and the write, if the lock let it in
                counter[0] = read + 1

    for call in [Call(add) for _ in range(8)]:
        call.result()
    assert counter == [1_600]


def test_without_the_gil_the_lock_refuses_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(LockMisused, match="needs the GIL"):
        ThreadSlots(2)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert ThreadSlots(2).capacity == 2


class Recorder:
    """Stands for one lock of the table, and writes down what is done to it."""

    def __init__(self, index: int, deeds: list[tuple[str, int]]) -> None:
        self._index = index
        self._deeds = deeds

    def acquire(self, timeout: float | None = None) -> None:
        self._deeds.append(("acquire", self._index))

    def release(self) -> None:
        self._deeds.append(("release", self._index))


def test_several_accounts_are_held_in_table_order_each_lock_once() -> None:
    locks = AccountLocks(ThreadSlots(2), size=16)
    deeds: list[tuple[str, int]] = []
    locks._table = [Recorder(index, deeds) for index in range(16)]
    ids = [f"conta-{number}" for number in range(40)]
    wanted = sorted({locks.index_of(account_id) for account_id in ids})
    assert len(wanted) < len(ids), "no two of them share a lock: this would show nothing"
    assert wanted != [locks.index_of(account_id) for account_id in ids][: len(wanted)]
    with locks.hold(ids):
        assert deeds == [("acquire", index) for index in wanted]
    assert deeds[len(wanted) :] == [("release", index) for index in reversed(wanted)]


def test_two_accounts_that_share_a_lock_can_be_held_together() -> None:
    locks = AccountLocks(ThreadSlots(2), size=1)
    with locks.hold(["a", "b", "a"]), pytest.raises(LockTimeout):
        Call(lambda: locks._table[0].acquire(0.01)).result()
    with locks.hold_as_reader("c", 0.0):
        pass


def test_the_lock_of_an_account_does_not_depend_on_the_process() -> None:
    locks = AccountLocks(ThreadSlots(2))
    assert (locks.index_of("conta-1"), locks.index_of("conta-2")) == (428, 22)


def test_who_cannot_have_all_accounts_keeps_none() -> None:
    slots = ThreadSlots(3)
    locks = AccountLocks(slots, size=2)
    first, second = (next(name for name in map(str, range(99)) if locks.index_of(name) == index) for index in (0, 1))
    Call(locks._table[1].acquire, name="the lost one").result()
    with pytest.raises(LockAbandoned), locks.hold([second, first]):
        pytest.fail("got in")
    with locks.hold_as_reader(first, 0.01):
        pass


def test_two_opposite_transfers_never_wait_for_each_other() -> None:
    locks = AccountLocks(ThreadSlots(4), size=64)
    balances = {"a": 1_000, "b": 1_000}
    assert locks.index_of("a") != locks.index_of("b")
    start = threading.Barrier(2)

    def move(origin: str, destination: str) -> None:
        start.wait(DEADLINE_S)
        for _ in range(200):
            with locks.hold([origin, destination]):
                left = balances[origin] - 1
                time.sleep(0)
                balances[origin], balances[destination] = left, balances[destination] + 1

    for call in [Call(lambda: move("a", "b")), Call(lambda: move("b", "a"))]:
        call.result()
    assert balances == {"a": 1_000, "b": 1_000}


def test_a_reader_times_out_at_the_door() -> None:
    locks = AccountLocks(ThreadSlots(4), size=1)
    with (
        elsewhere(locks.hold_as_reader("a", DEADLINE_S)),
        pytest.raises(LockTimeout, match="too many readers"),
        locks.hold_as_reader("a", 0.01),
    ):
        pytest.fail("got in")
    with locks.hold_as_reader("a", 0.0):
        pass


def test_a_reader_times_out_at_the_lock_and_lets_the_next_to_the_door() -> None:
    slots = ThreadSlots(4)
    locks = AccountLocks(slots, size=1)
    slots.mine()
    with elsewhere(locks.hold(["a"])):
        for _ in range(2):
            with pytest.raises(LockTimeout, match="not had in time"), locks.hold_as_reader("a", 0.01):
                pytest.fail("got in")
        assert not locks._table[0].is_marked(slots.mine())
    with locks.hold_as_reader("a", 0.0), pytest.raises(LockTimeout):
        Call(lambda: locks._table[0].acquire(0.01)).result()


def test_of_all_readers_only_one_at_a_time_stands_before_the_applier() -> None:
    slots = ThreadSlots(8)
    locks = AccountLocks(slots, size=1)
    read: list[int] = []

    def look(number: int) -> None:
        with locks.hold_as_reader("a", DEADLINE_S):
            read.append(number)

    with locks.hold(["a"]):
        calls = [Call(lambda number=number: look(number)) for number in range(6)]
        wait_until(lambda: is_waiting(locks._table[0], slots))
        assert sum(map(locks._table[0].is_marked, range(8))) == 2, "the applier and one reader"
    for call in calls:
        call.result()
    assert sorted(read) == list(range(6))


def test_accounts_of_other_locks_do_not_wait() -> None:
    locks = AccountLocks(ThreadSlots(4), size=64)
    with elsewhere(locks.hold(["a"])), locks.hold_as_reader("b", 0.0), locks.hold([]):
        pass


def test_a_holder_that_leaves_and_ends_while_one_waits_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiter saw it inside, and asks whether it lives only after it has left and ended."""
    slots = ThreadSlots(3)
    lock = BakeryLock(slots)
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with lock:
            entered.set()
            leave.wait(DEADLINE_S)

    call = Call(stay)
    assert entered.wait(DEADLINE_S)
    check_owner = slots.check_owner

    def check_late(*args: Any) -> None:
        leave.set()
        call.result()
        check_owner(*args)

    monkeypatch.setattr(slots, "check_owner", check_late)
    with lock:
        assert slots.abandoned() is None
