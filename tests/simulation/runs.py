"""Runs of seeds: one, or many on all cores; and what is left of a failing plan when all is taken out that it can spare.

make simulate SEED=42             one seed, with its trace if it fails
make simulate SEED=42 ONLY=0,3    the same with these events of its plan alone
make simulate SEEDS=1-20000       many; prints the command that repeats each failure, shrunk
"""

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation.plan import Plan, plan_of
from tests.simulation.world import Verdict, World

__all__ = ["Outcome", "main", "outcomes", "run", "shrink"]

TRACE_LINES = 400


@dataclass
class Outcome:
    """What became of one seed. `problem` is empty if nothing was wrong."""

    seed: int
    problem: str = ""
    attempts: int = 0
    faults: int = 0
    virtual_s: float = 0.0
    was_operated: bool = False


def run(seed: int, only: Sequence[int] | None = None) -> Verdict:
    """Run a seed, perhaps with these events of its plan alone. Raises what the run raises."""
    plan = plan_of(seed)
    return World(seed, plan if only is None else _with(plan, only)).run()


def _with(plan: Plan, only: Iterable[int]) -> Plan:
    return plan._replace(events=tuple(plan.events[place] for place in only))


def outcome(seed: int) -> Outcome:
    """Run a seed and tell what became of it; raises nothing."""
    try:
        verdict = run(seed)
    except Exception as error:  # noqa: BLE001 - any error is what is looked for
        return Outcome(seed, f"{type(error).__name__}: {error}")
    faults = len(plan_of(seed).events)
    return Outcome(seed, "", len(verdict.history.events), faults, verdict.virtual_s, verdict.was_operated)


def outcomes(seeds: Iterable[int]) -> Iterator[Outcome]:
    """Run many seeds on all cores, in their order."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(outcome, seeds, chunksize=4)


def shrink(seed: int) -> tuple[int, ...]:
    """Return the events that a failing plan cannot spare, found by leaving out one after the other."""
    kept = tuple(range(len(plan_of(seed).events)))
    place = 0
    while place < len(kept):
        fewer = kept[:place] + kept[place + 1 :]
        if _fails(seed, fewer):
            kept = fewer
        else:
            place += 1
    return kept


def _fails(seed: int, only: Sequence[int]) -> bool:
    try:
        run(seed, only)
    except Exception:  # noqa: BLE001 - any error will do
        return True
    return False


def command(seed: int, only: Sequence[int]) -> str:
    """Return the command that repeats a failure."""
    return f"make simulate SEED={seed} ONLY={','.join(map(str, only)) or 'none'}"


def main() -> int:
    """Run what the command line names; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Run seeds of the simulator.")
    parser.add_argument("seeds", help="a seed, or a range of them: 42, 1-500")
    parser.add_argument("--only", help="the events of the plan that happen: 0,3, or none", default=None)
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    if last:
        return _many(range(int(first), int(last) + 1))
    only = None if arguments.only is None else [int(place) for place in arguments.only.split(",") if place != "none"]
    return _one(int(first), only)


def _one(seed: int, only: Sequence[int] | None) -> int:
    plan = plan_of(seed) if only is None else _with(plan_of(seed), only)
    print(f"seed {seed}: {plan.machines} nodes, {plan.customers} customers, shared disk: {plan.shared_disk}")
    for event in plan.events:
        print(f"  {event}")
    world = World(seed, plan)
    try:
        verdict = world.run()
    except Exception:
        print("\n".join(list(world.scheduler.events)[-TRACE_LINES:]))
        raise
    print(f"{len(verdict.history.events)} attempts, {verdict.virtual_s:.0f} s, digest {verdict.digest}")
    return 0


def _many(seeds: range) -> int:
    failed, attempts, faults, virtual_s, operated = 0, 0, 0, 0.0, 0
    for done in outcomes(seeds):
        attempts, faults, virtual_s = attempts + done.attempts, faults + done.faults, virtual_s + done.virtual_s
        operated += done.was_operated
        if done.problem:
            failed += 1
            print(f"seed {done.seed}: {done.problem[:600]}\n  {command(done.seed, shrink(done.seed))}", flush=True)
    print(
        f"{len(seeds)} seeds, {failed} failed; {attempts} attempts of customers, {faults} faults, "
        f"{virtual_s / 3600:.1f} h of virtual time, an operator was needed in {operated}"
    )
    return 1 if failed else 0
