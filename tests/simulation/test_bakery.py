"""Every interleaving of two and of three threads in the bakery lock, and mutants that the same search must catch.

How: the code of locks/bakery.py itself runs on greenlets. Its registers are replaced by ones of which every access,
also each of the accesses inside `any`, `max`, `in` and `count`, is one step of its own. What a thread does next
depends only on what it read. So the real code is run once to each point that one thread can reach (same place in
the same frames, same numbers in their locals), and the step that it takes from there is kept. The search then visits
every state that the threads can reach together: all registers, and the point of each thread. Under CPython
3.11 these are 87,420 states for three threads, 224,868 if each may give up at every step, some 230,000 if one of the
three comes back, 19,808 for two that come three times and may give up: 11 seconds on one core.

Checked in all of them: never two inside (mutual exclusion); whoever finished the doorway before another one began
it enters first; somebody can move until all are through, and no way leads back to an earlier state except a look
that found nothing new, so that every scheduler which forgets nobody lets everybody in; a register is written by its
owner alone; who gives up, at whatever step, leaves nothing behind. Under the GIL each scan is a single step; here
others may come in between, so this is never coarser than the real thing. Slots and pauses are the fakes.
"""

import bisect
import contextlib
import dis
import functools
import inspect
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from locks import bakery

greenlet = pytest.importorskip("greenlet")

QUIT = "quit"
"""What a script says instead of a value that was read: here the thread is interrupted, or its time is up."""


class Interrupted(BaseException):
    """Raised inside a thread at any step: as bad as a time-out can come."""


class Violation(Exception):  # noqa: N818 - what the search looks for
    """A state that must not be, with the way there."""


class Step(NamedTuple):
    """What a thread does next. The register is a place in the state: first all of choosing, then all of number."""

    kind: str
    """read, write, pause, inside, end, or broken."""
    register: int = -1
    value: Any = None


LOOK = Step("look")


class Registers:
    """Stands for `_choosing` or `_number`: its owner's runs stop at each access to it."""

    def __init__(self, run: "Run", first: int, size: int) -> None:
        self._run = run
        self._first = first
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, slot: int) -> int:
        return self._run.read(range(self._size)[slot] + self._first)

    def __setitem__(self, slot: int, value: int) -> None:
        self._run.write(range(self._size)[slot] + self._first, value)

    def __iter__(self) -> Iterator[int]:
        seen: tuple[int, ...] = ()  # what `max` would know at this point: part of the thread's state
        for slot in range(self._size):
            value = self[slot]
            seen = (*seen, value)
            yield value

    def count(self, wanted: int) -> int:
        found = 0
        for slot in range(self._size):
            found += self[slot] == wanted
        return found


class FixedSlot:
    """Stands for ThreadSlots: this thread has this slot."""

    def __init__(self, capacity: int, slot: int) -> None:
        self.capacity = capacity
        self._slot = slot

    def mine(self) -> int:
        return self._slot

    def watch(self, lock: bakery.BakeryLock) -> None:
        """Nobody ends inside here."""


class Point(NamedTuple):
    """Where a thread is: all that decides what it does from here on, apart from what it will read."""

    step: Step
    can_quit: bool
    own: tuple[int, ...]
    """The thread's two registers."""
    frames: tuple[tuple[Any, ...], ...] = ()
    """From its life to this step: function, place in it, the numbers in its locals."""


class Run:
    """The real code, once, on a greenlet: reads what the script says until that ends, then shows its next step."""

    def __init__(self, module: Any, thread: "Thread", script: tuple[Any, ...]) -> None:
        self._module = module
        self._thread = thread
        self._script = list(script)
        self._own = {thread.slot: 0, thread.slot + thread.size: 0}
        self._can_quit = False
        self._over = False
        self._main = greenlet.getcurrent()
        self._greenlet = greenlet.greenlet(self._live)

    def next_step(self) -> Point:
        """Return the point at which the script ends."""
        with patience_of(self._module, self.pause):
            point = self._greenlet.switch()
            self._over = True
            if not self._greenlet.dead:
                self._greenlet.throw()  # unwinds: what it writes on its way out goes nowhere
        return point

    def read(self, register: int) -> int:
        if register in self._own:  # no other thread can write it, so this is no step that anyone could notice
            return self._own[register]
        return self._stop(Step("read", register))

    def write(self, register: int, value: int) -> None:
        if self._over:
            return
        if register not in self._own:
            self._stop(Step("broken", register, "a register was written by another thread than its owner"))
        self._stop(Step("write", register, value))
        self._own[register] = value

    def pause(self) -> None:
        if self._stop(Step("pause")) == QUIT:
            raise self._module.LockTimeout("its time is up")

    def _live(self) -> Any:
        thread = self._thread
        lock = self._module.BakeryLock(FixedSlot(thread.size, thread.slot))
        assert list(lock._choosing) == list(lock._number) == [0] * thread.size
        lock._choosing = Registers(self, 0, thread.size)
        lock._number = Registers(self, thread.size, thread.size)
        for attempt in range(thread.attempts):  # noqa: B007 - `attempt` is part of the point
            try:
                self._can_quit = thread.may_quit
                lock.acquire()
            except (Interrupted, self._module.LockTimeout):
                if any(self._own.values()):
                    self._stop(Step("broken", value="who gave up left something behind"))
            except self._module.LockMisused as error:
                self._stop(Step("broken", value=str(error)))
            else:
                self._can_quit = False
                self._stop(Step("inside"))
                lock.release()
        if any(self._own.values()):
            self._stop(Step("broken", value="who is through left something behind"))
        return Point(Step("end"), can_quit=False, own=(0, 0))

    def _stop(self, step: Step) -> Any:
        if not self._script:
            return self._main.switch(self._point(step))
        value = self._script.pop(0)
        if value == QUIT:
            self._can_quit = False
            if step.kind != "pause":
                raise Interrupted
        return value

    def _point(self, step: Step) -> Point:
        frames = []
        frame = sys._getframe(2)
        while frame is not None:
            known = sorted((name, value) for name, value in frame.f_locals.items() if isinstance(value, int | tuple))
            frames.append((frame.f_code.co_name, place_of(frame), tuple(known)))
            frame = frame.f_back if frame.f_code is not Run._live.__code__ else None
        return Point(step, self._can_quit, tuple(self._own.values()), tuple(frames))


def place_of(frame: types.FrameType) -> int:
    """Return how many instructions up to this one a function has; what the interpreter caches there is none."""
    return bisect.bisect_right(offsets_of(frame.f_code), frame.f_lasti)


@functools.cache
def offsets_of(code: types.CodeType) -> list[int]:
    return [instruction.offset for instruction in dis.get_instructions(code)]


@contextlib.contextmanager
def patience_of(module: Any, pause: Callable[[], None]) -> Iterator[None]:
    """Let `pause` be how a waiter waits."""
    real, module._Patience = module._Patience, lambda *_: types.SimpleNamespace(pause=pause)
    try:
        yield
    finally:
        module._Patience = real


class Thread:
    """What the real code does in one slot, as far as known: the points it can reach and the ways between them."""

    def __init__(self, module: Any, *, slot: int, size: int, attempts: int, may_quit: bool) -> None:
        self.slot, self.size, self.attempts, self.may_quit = slot, size, attempts, may_quit
        self._module = module
        self._points: dict[Point, int] = {}
        self._scripts: list[dict[tuple[Any, ...], None]] = []
        self._ways: list[dict[Any, tuple[int, int]]] = []
        self.steps: list[Step] = []
        self.can_quit: list[bool] = []
        self.functions: set[str] = set()
        self.start = self._reach((), self._run(()))

    def after(self, point: int, value: Any) -> tuple[int, int]:
        """Return the point that follows when this step reads this value, and the one if its time is up then, or -1."""
        ways = self._ways[point]
        if value not in ways:
            ways[value] = self._follow((*next(iter(self._scripts[point])), value))
        return ways[value]

    def check_points(self) -> None:
        """Go on from each point in all known ways, however it was reached: if one differs, points are too coarse."""
        known = [(list(scripts), ways) for scripts, ways in zip(self._scripts, self._ways, strict=True)]
        for scripts, ways in known:
            for script in scripts[1:]:
                for value, way in ways.items():
                    assert self._follow((*script, value)) == way, "two runs at one point went on in two ways"

    def _follow(self, script: tuple[Any, ...]) -> tuple[int, int]:
        point = self._run(script)
        if point.step.kind != "pause":
            return self._reach(script, point), -1
        # A pause touches no register: it belongs to the look before it.
        patient = (*script, None)
        hasty = (*script, QUIT)
        return self._reach(patient, self._run(patient)), self._reach(hasty, self._run(hasty)) if self.may_quit else -1

    def _run(self, script: tuple[Any, ...]) -> Point:
        return Run(self._module, self, script).next_step()

    def _reach(self, script: tuple[Any, ...], point: Point) -> int:
        if point not in self._points:
            self._points[point] = len(self.steps)
            self.steps.append(point.step)
            self.can_quit.append(point.can_quit)
            self._scripts.append({})
            self._ways.append({})
            self.functions.update(function for function, *_ in point.frames)
        number = self._points[point]
        self._scripts[number].setdefault(script)
        return number


State = tuple[int, ...]
"""choosing, number, points, elders: one of each for every thread; then the queue.

The queue is the set (bits) of the threads that finished the doorway and are not yet inside. The elders of a thread
are those that stood in the queue when it came to the doorway and have not been inside since: they go first.
"""


class Search:
    """Depth first, each state once."""

    def __init__(self, module: Any, *attempts: int, may_quit: bool = False) -> None:
        self.size = size = len(attempts)
        self.threads = [
            Thread(module, slot=slot, size=size, attempts=number, may_quit=may_quit)
            for slot, number in enumerate(attempts)
        ]
        self.states = 0
        self.ends = 0
        self.idle_looks = 0

    def run(self) -> "Search":
        """Visit all states. Raises Violation."""
        start: State = (*[0] * (2 * self.size), *[thread.start for thread in self.threads], *[0] * self.size, 0)
        path: dict[State, Iterator[State]] = {start: iter(self._successors(start))}
        try:
            self.states = self._visit(path)
        except Violation as violation:
            raise Violation("\n".join([*self._story(list(path)), str(violation)])) from None
        for thread in self.threads:
            thread.check_points()
        return self

    def _visit(self, path: dict[State, Iterator[State]]) -> int:
        seen = set(path)
        while path:
            state = next(reversed(path))
            following = next(path[state], None)
            if following is None:
                del path[state]
            elif following not in seen:
                seen.add(following)
                path[following] = iter(())  # stands there if looking on from it fails
                path[following] = iter(self._successors(following))
            elif following in path:
                raise Violation("the threads can go round in a circle for ever")
        return len(seen)

    def _successors(self, state: State) -> list[State]:
        points = state[2 * self.size : 3 * self.size]
        kinds = [thread.steps[point].kind for thread, point in zip(self.threads, points, strict=True)]
        if kinds.count("inside") > 1:
            raise Violation("two are inside")
        moves: list[State] = []
        quits: list[State] = []
        for thread, point, kind in zip(self.threads, points, kinds, strict=True):
            if kind == "end":
                continue
            step = thread.steps[point]
            if kind == "broken":
                raise Violation(step.value)
            way, given_up = thread.after(point, state[step.register] if kind == "read" else None)
            moves.append(self._moved(state, thread, way, step))
            if given_up >= 0:
                quits.append(self._moved(state, thread, given_up))
            if thread.can_quit[point]:
                quits.append(self._moved(state, thread, thread.after(point, QUIT)[0]))
        found = [following for following in moves if following != state]
        self.idle_looks += len(moves) - len(found)
        if not moves:
            self.ends += 1
        elif not found:
            raise Violation("nobody can move, for ever")
        return found + quits

    def _moved(self, state: State, thread: Thread, way: int, step: Step = LOOK) -> State:
        """Return the state after one thread went this way, which may have written a register."""
        slot, size, me = thread.slot, self.size, 1 << thread.slot
        after = list(state)
        after[2 * size + slot] = way
        if step.kind == "write":
            after[step.register] = step.value
            if step.register == slot and step.value:  # e1
                after[3 * size + slot] = state[-1]
            elif step.register == slot and state[slot] and state[slot + size]:  # e4
                after[-1] |= me
        if thread.steps[way].kind == "inside" and after[3 * size + slot]:
            raise Violation(f"thread {slot} overtook one that was through the doorway before it came")
        if thread.steps[way].kind == "inside" or not after[slot + size]:  # is in, or gave up
            for place in range(3 * size, 4 * size + 1):
                after[place] &= ~me
        return tuple(after)

    def _story(self, path: list[State]) -> Iterator[str]:
        """Yield the steps that lead along a path, for whoever has to understand a violation."""
        for before, after in itertools.pairwise(path):
            for thread in self.threads:
                point, way = before[2 * self.size + thread.slot], after[2 * self.size + thread.slot]
                if point == way:
                    continue
                kind, register, value = thread.steps[point]
                name = f"{('choosing', 'number')[register // self.size]}[{register % self.size}]"
                if thread.can_quit[point] and way == thread.after(point, QUIT)[0]:
                    yield f"thread {thread.slot} is interrupted"
                elif kind == "read":
                    yield f"thread {thread.slot} reads {name}: {before[register]}"
                elif kind == "write":
                    yield f"thread {thread.slot} writes {name} = {value}"
                else:
                    yield f"thread {thread.slot} leaves"


@pytest.mark.parametrize(
    ("attempts", "may_quit", "states_min"),
    [
        pytest.param((1, 1, 1), False, 50_000, id="three threads"),
        pytest.param((1, 1, 1), True, 150_000, id="three threads that may give up"),
        pytest.param((2, 1, 1), False, 150_000, id="three threads, the first comes back"),
        pytest.param((1, 2, 1), False, 150_000, id="three threads, the second comes back"),
        pytest.param((1, 1, 2), False, 150_000, id="three threads, the third comes back"),
        pytest.param((3, 3), True, 10_000, id="two threads, three times each, that may give up"),
    ],
)
def test_in_every_interleaving_one_is_inside_at_a_time_in_order_of_arrival_and_all_get_in(
    attempts: tuple[int, ...], *, may_quit: bool, states_min: int
) -> None:
    search = Search(bakery, *attempts, may_quit=may_quit).run()
    assert search.states > states_min, "a search that saw little proves little"
    assert search.ends == 1
    assert search.idle_looks > 0, "nobody ever waited"
    assert all(thread.functions >= {"acquire", "_wait", "release"} for thread in search.threads)


W1 = "            while self._choosing[other]:  # w1\n                patience.pause()\n"
FAST = "if 1 not in choosing and number.count(0) == self._others:"
PAIRS = "(theirs, other) < (ticket, me)"
TICKET = "1 + max(number) if any(number) else 1"
GIVE_UP = "            number[me] = 0\n            choosing[me] = 0\n            raise\n"
MUTANTS = {
    "nobody waits for those who choose": ("two are inside", {W1: "", FAST: "if number.count(0) == self._others:"}),
    "the slow way does not wait for those who choose": ("two are inside", {W1: ""}),
    "the fast way does not look at who chooses": (
        "two are inside",
        {FAST: "if number.count(0) == self._others:"},
    ),
    "the fast way looks at the numbers first": (
        "two are inside",
        {FAST: "if number.count(0) == self._others and 1 not in choosing:"},
    ),
    "of equal tickets both go": ("two are inside", {PAIRS: "theirs < ticket"}),
    "of equal tickets none goes": ("nobody can move", {PAIRS: "theirs <= ticket"}),
    "the slot goes before the ticket": ("overtook", {PAIRS: "other < me"}),
    "a ticket like that of the last": ("overtook", {TICKET: "max(1, *number)"}),
    "a ticket is left behind": ("left something behind", {GIVE_UP: GIVE_UP.replace("number[me] = 0", "pass")}),
    "a choice is left behind": ("left something behind", {GIVE_UP: GIVE_UP.replace("choosing[me] = 0", "pass")}),
}


@pytest.mark.parametrize(("message", "changes"), MUTANTS.values(), ids=MUTANTS)
def test_the_search_finds_what_is_wrong_with_a_mutant(message: str, changes: dict[str, str]) -> None:
    source = inspect.getsource(bakery)
    for old, new in changes.items():
        assert source.count(old) == 1, f"the real code reads otherwise now: {old}"
        source = source.replace(old, new)
    mutant = types.ModuleType("mutant of locks.bakery")
    exec(compile(source, mutant.__name__, "exec"), mutant.__dict__)
    search = Search(mutant, 1, 1, 1, may_quit=message == "left something behind")
    with pytest.raises(Violation, match=message) as found:
        search.run()
    assert "writes choosing[" in str(found.value), "the way there is not told"
