"""What befalls a run: drawn from the seed, a list that can be shortened, so that a failure can be shrunk.

Each seed draws which kinds of fault it has at all: a run of everything hides what a run of two kinds shows.
"""

import random
from typing import Any, NamedTuple

__all__ = ["CRASH_PLACES", "FAULTS_FROM_S", "FAULTS_UNTIL_S", "Event", "Plan", "plan_of"]

FAULTS_FROM_S = 6.0
FAULTS_UNTIL_S = 26.0
CRASH_PLACES = (
    "before the record is stored",
    "after the record is stored",
    "before a transaction",
    "before its commit",
    "after its commit",
    "before the answers",
)
_LOG_LOSSES = ("cut", "wipe", "fork")
_KINDS = (
    "crash", "crash at", "crash all", "stop", "pause", "log link", "presence link", "peer link", "clock", "append",
    "join", "disk", *_LOG_LOSSES,
)  # fmt: skip


class Event(NamedTuple):
    """At a time of the run, in seconds, something happens; the details depend on the kind."""

    at_s: float
    kind: str
    machine: int
    details: tuple[Any, ...]

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.at_s:7.3f} s  {self.kind:13}  banco-{self.machine + 1}  {' '.join(map(str, self.details))}"


class Plan(NamedTuple):
    """A run's size and what befalls it."""

    machines: int
    customers: int
    shared_disk: bool
    """One folder for all nodes, as on one machine; else one for each."""
    restlessness: float
    """How likely a step gives way to others."""
    leisure_s: float
    """How long customers wait between requests, at most."""
    events: tuple[Event, ...]


def plan_of(seed: int) -> Plan:
    """Draw the plan of a seed."""
    draw = random.Random(f"plan {seed}")
    machines = draw.choice([1, 2, 3, 3, 3, 4])
    kinds = draw.sample(_KINDS, draw.randint(1, 5))
    if any(kind in _LOG_LOSSES for kind in kinds):
        # The log and a disk lost at once may take an answer that only these two held: nobody promises otherwise.
        kinds = [kind for kind in kinds if kind != "disk"]
    events = [_event(draw, draw.choice(kinds), machines) for _ in range(draw.randint(1, 12))] if kinds else []
    return Plan(
        machines=machines,
        customers=draw.randint(1, 5),
        shared_disk=draw.random() < 0.5,
        restlessness=draw.choice([0.02, 0.1, 0.3]),
        leisure_s=draw.choice([0.3, 1.0, 3.0]),
        events=tuple(sorted(events)),
    )


def _event(draw: random.Random, kind: str, machines: int) -> Event:
    at_s = round(draw.uniform(FAULTS_FROM_S, FAULTS_UNTIL_S), 3)
    for_s = round(draw.choice([0.1, 1.0, 4.0, 9.0]) * draw.uniform(0.3, 1.5), 3)
    details: tuple[Any, ...] = (for_s,)
    if kind == "crash at":
        details = (for_s, draw.choice(CRASH_PLACES))
    elif kind in {"log link", "presence link", "peer link"}:
        details = (for_s, draw.choice(["slow", "refused", "silent"]))
    elif kind == "clock":
        details = (round(draw.choice([-1, 1]) * draw.choice([0.5, 10, 4_000]) * draw.random(), 3),)
    elif kind == "append":
        details = tuple(draw.choices(["lost", "unconfirmed", "twice", "late"], k=draw.randint(1, 4)))
    elif kind == "fork":
        details = (for_s + 6, draw.randint(1, 30))
    elif kind == "cut":
        details = (draw.choice([1, 1, 2, 3, 10, 60]),)
    elif kind in {"wipe", "join"}:
        details = ()
    return Event(at_s, kind, draw.randrange(machines), details)
