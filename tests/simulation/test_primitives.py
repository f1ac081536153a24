"""What the simulator puts in the place of `threading` keeps to the same contract, on tasks as on threads."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.primitives import Primitives
from tests.simulation.scheduler import Life, Scheduler


class Real:
    """Threads, and the clock on the wall."""

    threading: Any = threading
    sleep = staticmethod(time.sleep)

    def run(self, *bodies: Callable[[], None]) -> None:
        """Run all of these at once; raise what one raises."""
        errors: list[BaseException] = []

        def guarded(body: Callable[[], None]) -> None:
            try:
                body()
            except BaseException as error:  # noqa: BLE001 - the test shows it
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        if errors:
            raise errors[0]


class Simulated:
    """Tasks, and the scheduler's clock."""

    def __init__(self, seed: int) -> None:
        self._scheduler = Scheduler(seed, restlessness=0.5)
        primitives = Primitives(self._scheduler, seed)
        self.threading: Any = primitives.threading
        self.sleep = self._scheduler.sleep

    def run(self, *bodies: Callable[[], None]) -> None:
        for place, body in enumerate(bodies):
            self._scheduler.spawn(f"task {place}", body, Life("all"))
        self._scheduler.run()


@pytest.fixture(params=["threads", *range(5)], ids=str)
def world(request: pytest.FixtureRequest) -> Any:
    return Real() if request.param == "threads" else Simulated(request.param)


def test_one_at_a_time_holds_a_lock(world: Any) -> None:
    lock, inside, most = world.threading.Lock(), [0], [0]

    def work() -> None:
        for _ in range(20):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                world.sleep(0.0001)
                inside[0] -= 1

    world.run(work, work, work)
    assert most == [1]


def test_a_lock_is_waited_for_no_longer_than_wanted(world: Any) -> None:
    lock, seen = world.threading.Lock(), []

    def hold() -> None:
        with lock:
            world.sleep(0.2)

    def want() -> None:
        world.sleep(0.05)
        seen.append(lock.acquire(blocking=False))
        seen.append(lock.acquire(timeout=0.01))
        seen.append(lock.acquire(timeout=5))

    world.run(hold, want)
    assert seen == [False, False, True]


def test_a_condition_wakes_as_many_as_it_is_told_to_and_time_wakes_the_rest(world: Any) -> None:
    condition, woken = world.threading.Condition(), []

    def wait() -> None:
        with condition:
            woken.append(condition.wait(0.2))

    def tell() -> None:
        world.sleep(0.1)
        with condition:
            condition.notify()

    world.run(wait, wait, wait, tell)
    assert sorted(woken) == [False, False, True]


def test_wait_for_looks_again_and_says_what_it_saw(world: Any) -> None:
    condition, box, seen = world.threading.Condition(), [], []

    def wait() -> None:
        with condition:
            seen.append(condition.wait_for(lambda: len(box) == 2, timeout=5))
            seen.append(condition.wait_for(lambda: len(box) == 3, timeout=0.01))

    def fill() -> None:
        for item in range(2):
            world.sleep(0.02)
            with condition:
                box.append(item)
                condition.notify_all()

    world.run(wait, fill)
    assert seen == [True, False]


def test_an_event_stays_set(world: Any) -> None:
    event, seen = world.threading.Event(), []

    def wait() -> None:
        seen.append(event.wait(0.001))
        seen.append(event.wait(5))
        seen.append(event.wait(0))

    def give() -> None:
        world.sleep(0.05)
        event.set()

    world.run(wait, give)
    assert seen == [False, True, True]


def test_a_lock_may_be_released_by_another_who_wakes_its_holder(world: Any) -> None:
    latch, seen = world.threading.Lock(), []
    latch.acquire()

    def wait() -> None:
        seen.append(latch.acquire(timeout=0.01))
        seen.append(latch.acquire(timeout=5))

    def give() -> None:
        world.sleep(0.1)
        latch.release()

    world.run(wait, give)
    assert seen == [False, True]


def test_a_thread_is_alive_until_it_ends_and_has_things_of_its_own(world: Any) -> None:
    local, seen = world.threading.local(), []

    def child() -> None:
        seen.append(hasattr(local, "name"))
        world.sleep(0.05)

    def parent() -> None:
        local.name = "parent"
        thread = world.threading.Thread(target=child, name="child", daemon=True)
        thread.start()
        seen.append(thread.is_alive())
        thread.join(5)
        seen.append(thread.is_alive())
        seen.append(local.name)

    world.run(parent)
    assert sorted(map(str, seen)) == ["False", "False", "True", "parent"]


def test_a_killed_life_ends_where_it_stands_and_leaves_its_locks_to_nobody() -> None:
    scheduler = Scheduler(1, restlessness=0)
    life, done = Life("killed"), []

    def long() -> None:
        try:
            scheduler.sleep(10)
            done.append("never")
        finally:
            done.append("unwound")

    def killer() -> None:
        scheduler.sleep(1)
        scheduler.kill(life)
        done.append(scheduler.now_ns)

    scheduler.spawn("long", long, life)
    scheduler.spawn("killer", killer)
    scheduler.run()
    assert done == ["unwound", 1_000_000_000]
