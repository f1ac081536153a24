"""What the bank's threads block on, as they see it in `threading` and `time`, under a scheduler.

`installed` puts these in the place of the real ones in the modules that use them, and takes them out again. Whatever
draws at random draws from the seed. Same meanings as the real ones; a lock wakes all who wait, for one may be dead.
"""

import random
import time
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from tests.simulation.scheduler import S, Scheduler, Task

__all__ = ["Primitives"]

EPOCH_NS = 1_790_000_000 * S
"""The wall clock at the beginning of a run."""
MONOTONIC_NS = 1_000 * S


class Lock:
    """`threading.Lock`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._holder: Task | None = None
        self._is_held = False
        self._waiting: list[Task] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as threading has it
        scheduler, task = self._scheduler, self._scheduler.current
        if task is not None and task.is_dead:
            return True
        scheduler.step()
        deadline_ns = scheduler.now_ns + int(timeout * S) if timeout >= 0 else None
        while self._is_held:
            if not blocking or (deadline_ns is not None and scheduler.now_ns >= deadline_ns) or task is None:
                return False
            self._waiting.append(task)
            scheduler.park(None if deadline_ns is None else (deadline_ns - scheduler.now_ns) / S)
            if task in self._waiting:
                self._waiting.remove(task)
        self._is_held, self._holder = True, task
        return True

    def release(self) -> None:
        task = self._scheduler.current
        if task is not None and task.is_dead and self._holder is not task:
            return  # unwound while it did not hold it, as inside a condition's wait
        assert self._is_held, "release of a lock that is free"
        self._is_held, self._holder = False, None
        waiting, self._waiting = self._waiting, []
        for other in waiting:
            self._scheduler.wake(other)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition:
    """`threading.Condition`."""

    def __init__(self, scheduler: Scheduler, lock: Lock | None = None) -> None:
        self._scheduler = scheduler
        self._lock = lock or Lock(scheduler)
        self._waiting: list[Task] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        task = self._scheduler.current
        assert task is not None, "only tasks wait"
        self._waiting.append(task)
        self._lock.release()
        try:
            self._scheduler.park(timeout)
        finally:
            was_notified = task not in self._waiting
            if not was_notified:
                self._waiting.remove(task)
            self._lock.acquire()
        return was_notified

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        deadline_ns = None if timeout is None else self._scheduler.now_ns + int(timeout * S)
        while not (result := predicate()):
            if deadline_ns is None:
                self.wait()
            elif self._scheduler.now_ns >= deadline_ns:
                break
            else:
                self.wait((deadline_ns - self._scheduler.now_ns) / S)
        return result

    def notify(self, n: int = 1) -> None:
        woken, self._waiting = self._waiting[:n], self._waiting[n:]
        for task in woken:
            self._scheduler.wake(task)

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


class Event:
    """`threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_set = False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            task = self._scheduler.current
            assert task is not None, "only tasks wait"
            self._waiting.append(task)
            self._scheduler.park(timeout)
            if task in self._waiting:
                self._waiting.remove(task)
        return self._is_set


class BoundedSemaphore:
    """`threading.BoundedSemaphore`, which nobody here waits for."""

    def __init__(self, value: int) -> None:
        self._value = value

    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking, "nobody waits for a semaphore"
        self._value -= self._value > 0
        return self._value >= 0

    def release(self) -> None:
        self._value += 1


class Thread:
    """`threading.Thread`: a task in the life of whoever starts it."""

    def __init__(self, scheduler: Scheduler, target: Callable[[], Any], name: str) -> None:
        self._scheduler = scheduler
        self._target = target
        self._name = name
        self._task: Task | None = None
        self.ident: int | None = None

    def start(self) -> None:
        current = self._scheduler.current
        assert current is not None, "a thread is started by a task"
        self._task = self._scheduler.spawn(f"{current.life.name}/{self._name}", self._target, current.life)
        self.ident = 1

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.is_done

    def join(self, timeout: float | None = None) -> None:
        if self._task is not None:
            self._scheduler.join(self._task, timeout)


class CurrentThread:
    """What `threading.current_thread` returns."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.name = task.name

    def is_alive(self) -> bool:
        return not self._task.is_done


class Local:
    """`threading.local`, one for each task."""

    def __init__(self, scheduler: Scheduler) -> None:
        object.__setattr__(self, "scheduler", scheduler)

    def __getattribute__(self, name: str) -> Any:
        task = object.__getattribute__(self, "scheduler").current
        mine = task.own.setdefault(id(self), {})
        if name == "__dict__":
            return mine
        try:
            return mine[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value


class Primitives:
    """The modules, as the bank sees them."""

    def __init__(self, scheduler: Scheduler, seed: int) -> None:
        draw = random.Random(f"primitives {seed}")

        def make_uuid() -> uuid.UUID:
            return uuid.UUID(int=draw.getrandbits(128), version=4)

        def wall_ns() -> int:
            offset_ns = scheduler.current.life.clock_offset_ns if scheduler.current else 0
            return EPOCH_NS + scheduler.now_ns + offset_ns

        def current_thread() -> CurrentThread:
            assert scheduler.current is not None, "only tasks are threads"
            return CurrentThread(scheduler.current)

        self.threading = types.SimpleNamespace(
            Lock=lambda: Lock(scheduler),
            Condition=lambda lock=None: Condition(scheduler, lock),
            Event=lambda: Event(scheduler),
            BoundedSemaphore=BoundedSemaphore,
            Thread=lambda target, name, daemon: Thread(scheduler, target, name),
            local=lambda: Local(scheduler),
            current_thread=current_thread,
        )
        self.time = types.SimpleNamespace(
            monotonic=lambda: (MONOTONIC_NS + scheduler.now_ns) / S,
            monotonic_ns=lambda: MONOTONIC_NS + scheduler.now_ns,
            time_ns=wall_ns,
            sleep=scheduler.sleep,
            gmtime=lambda: time.gmtime(wall_ns() // S),
            strftime=time.strftime,
        )
        self.random = types.SimpleNamespace(uniform=draw.uniform)
        self.secrets = types.SimpleNamespace(token_hex=lambda count: draw.randbytes(count).hex())
        self.uuid_utils = types.SimpleNamespace(uuid4=make_uuid, uuid7=make_uuid)

    @contextmanager
    def installed(self, places: dict[str, types.ModuleType]) -> Iterator[Self]:
        """Replace, in each of these modules, whatever it imported that stands here."""
        stand_ins = {
            "threading": self.threading, "time": self.time, "random": self.random, "secrets": self.secrets,
            "uuid_utils": self.uuid_utils,
        }  # fmt: skip
        undo: list[tuple[types.ModuleType, str, Any]] = []
        try:
            for module in places.values():
                for name, stand_in in stand_ins.items():
                    if name in module.__dict__:
                        undo.append((module, name, module.__dict__[name]))
                        setattr(module, name, stand_in)
            yield self
        finally:
            for module, name, real in reversed(undo):
                setattr(module, name, real)
