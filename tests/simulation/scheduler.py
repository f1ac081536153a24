"""Virtual threads and virtual time: one runs at a time, and a seed says which, so the same seed is the same run.

Each thread is a greenlet that gives way where it blocks and, now and then, at every other point at which `step` is
called. Time stands still while anybody can run and jumps to the next deadline when nobody can. A thread may be killed
at any of these points; code that is being unwound then neither waits nor gives way. Knows nothing of the bank.
"""

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["MS", "Life", "Livelock", "S", "Scheduler", "Task"]

MS = 1_000_000
S = 1_000_000_000
SWITCHES_MAX = 3_000_000


class Livelock(Exception):  # noqa: N818 - a state
    """Far too many steps: somebody goes round in circles."""


@dataclass(eq=False)
class Life:
    """What dies together: the tasks of one process."""

    name: str
    paused_until_ns: int = 0
    clock_offset_ns: int = 0
    tasks: "dict[Task, None]" = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Task:
    """One virtual thread."""

    name: str
    life: Life
    greenlet: greenlet
    ticket: int = 0
    """Counts its waits: a deadline of an earlier wait wakes nobody."""
    is_waiting: bool = False
    was_woken: bool = False
    is_dead: bool = False
    is_done: bool = False
    result: Any = None
    joiners: "list[Task]" = field(default_factory=list)
    own: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What stands in for `threading.local`."""


class Scheduler:
    """Runs tasks until one calls `finish`."""

    def __init__(self, seed: int, restlessness: float) -> None:
        """`restlessness` is how likely a step gives way to others."""
        self.now_ns = 0
        self.switches = 0
        self.random = random.Random(f"schedule {seed}")
        self.outside = Life("world")
        self.current: Task | None = None
        self.events: deque[str] = deque(maxlen=4000)
        self.on_crash: Callable[[Task, BaseException], None] | None = None
        self._restlessness = restlessness
        self._draw = self.random.random
        self._ready: list[Task] = []
        self._timers: list[tuple[int, int, Task, int]] = []
        self._order = 0
        self._hub = getcurrent()
        self._hash = hashlib.blake2b(digest_size=16)
        self._is_finished = False

    # --- tasks ---------------------------------------------------------------------------------------------------

    def spawn(self, name: str, run: Callable[[], Any], life: Life | None = None) -> Task:
        """Begin a task; it runs when its turn comes."""
        life = life or self.outside
        task = Task(name, life, greenlet(self._main, self._hub))
        task.greenlet.switch_args = (task, run)  # type: ignore[attr-defined]
        life.tasks[task] = None
        self._ready.append(task)
        return task

    def _main(self, task: Task, run: Callable[[], Any]) -> None:
        try:
            task.result = run()
        except GreenletExit:
            raise
        except BaseException as error:
            if self.on_crash is None:
                raise
            self.on_crash(task, error)
        finally:
            self._end(task)

    def _end(self, task: Task) -> None:
        task.is_done = True
        task.own.clear()
        task.life.tasks.pop(task, None)
        for joiner in task.joiners:
            self.wake(joiner)

    def kill(self, life: Life) -> None:
        """End all tasks of a life where they stand. Not to be called by one of them."""
        for task in list(life.tasks):
            task.is_dead = True
        for task in list(life.tasks):
            if task.greenlet:  # it has begun, and has not ended
                before, self.current = self.current, task
                task.greenlet.parent = getcurrent()
                task.greenlet.throw(GreenletExit)
                self.current = before
            if not task.is_done:
                self._end(task)

    def join(self, task: Task, timeout_s: float | None = None) -> bool:
        """Wait until a task has ended; tell whether it has."""
        if not task.is_done and self.current is not None:
            task.joiners.append(self.current)
            self.park(timeout_s)
        return task.is_done

    # --- waiting -------------------------------------------------------------------------------------------------

    def park(self, timeout_s: float | None = None) -> bool:
        """Let others run until somebody wakes this task, or the time is up; tell whether it was woken."""
        task = self.current
        assert task is not None, "only tasks wait"
        if task.is_dead:
            raise GreenletExit
        task.ticket += 1
        task.was_woken = False
        task.is_waiting = True
        if timeout_s is not None:
            self._at(self.now_ns + max(0, int(timeout_s * S)), task)
        self._hub.switch()
        return task.was_woken

    def _at(self, when_ns: int, task: Task) -> None:
        self._order += 1
        heapq.heappush(self._timers, (when_ns, self._order, task, task.ticket))

    def wake(self, task: Task) -> None:
        """Let a waiting task go on."""
        if task.is_waiting and not task.is_dead:
            task.is_waiting = False
            task.was_woken = True
            self._ready.append(task)

    def sleep(self, seconds: float) -> None:
        """Wait for that long."""
        self.park(seconds)

    def step(self) -> None:
        """Perhaps let others come in between, perhaps for some milliseconds."""
        task = self.current
        if task is None or task.is_dead:
            return
        luck = self._draw()
        if luck < self._restlessness:
            if luck < self._restlessness * 0.2:
                self.park(self._draw() ** 4 * 0.05)
            else:
                self._ready.append(task)
                self._hub.switch()

    # --- the loop ------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End the run after this step."""
        self._is_finished = True

    def run(self) -> None:
        """Run until finished or nobody is left."""
        ready = self._ready
        while not self._is_finished:
            if not ready:
                if not self._timers:
                    return
                self._advance()
                continue
            place = int(self._draw() * len(ready))
            task = ready[place]
            ready[place] = ready[-1]
            ready.pop()
            if task.is_dead or task.is_done:
                continue
            if task.life.paused_until_ns > self.now_ns:
                task.is_waiting = False
                self._order += 1
                heapq.heappush(self._timers, (task.life.paused_until_ns, self._order, task, -1))
                continue
            self._switch_to(task)

    def _switch_to(self, task: Task) -> None:
        self.switches += 1
        if self.switches > SWITCHES_MAX:
            raise Livelock(f"{self.switches} steps, {self.now_ns / S:.3f} s of virtual time")
        self._hash.update(b"%d %s\n" % (self.now_ns, task.name.encode()))
        self.current = task
        try:
            arguments = task.greenlet.__dict__.pop("switch_args", ())
            task.greenlet.switch(*arguments)
        finally:
            self.current = None

    def _advance(self) -> None:
        """Jump to the next deadline, and let everybody go on whose time is up then."""
        self.now_ns = max(self.now_ns, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.now_ns:
            _, _, task, ticket = heapq.heappop(self._timers)
            if ticket == -1 and not task.is_dead:
                self._ready.append(task)
            elif task.is_waiting and task.ticket == ticket and not task.is_dead:
                task.is_waiting = False
                self._ready.append(task)

    # --- the trace -----------------------------------------------------------------------------------------------

    def note(self, event: str) -> None:
        """Put an event into the trace."""
        line = f"{self.now_ns / S:10.4f}  {event}"
        self.events.append(line)
        self._hash.update(line.encode())

    def digest(self) -> str:
        """Return the hash of every decision and event so far."""
        return self._hash.hexdigest()
