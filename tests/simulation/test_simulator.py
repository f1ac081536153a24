"""The simulator finds nothing in 500 seeds, repeats itself byte for byte, and shrinks what it finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import Event, Plan, plan_of
from tests.simulation.runs import command, outcomes, run, shrink
from tests.simulation.world import Violation, World

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(1, 501)


@pytest.mark.long
def test_some_seeds_break_no_promise() -> None:
    failed = [one for one in outcomes(range(1, 91)) if one.problem]
    assert not failed, failed[0].problem


@pytest.mark.slow
@pytest.mark.timeout(800)
def test_500_seeds_break_no_promise() -> None:
    done = list(outcomes(SEEDS))
    failed = [one for one in done if one.problem]
    assert not failed, "\n".join(f"{one.problem}\n  {command(one.seed, shrink(one.seed))}" for one in failed[:5])
    assert sum(one.attempts for one in done) > 100_000, "customers did little, so nothing was proved"
    assert sum(one.was_operated for one in done) < len(SEEDS) / 20, "the bank should mend itself"


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    here = [run(seed).digest for seed in (4, 17)]
    assert here[0] != here[1]
    program = "from tests.simulation.runs import run; print(run(4).digest, run(17).digest)"
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    there = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert there.stdout.split() == here


def test_a_failing_plan_is_shrunk_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(seed for seed in range(1000) if [event.kind for event in plan_of(seed).events].count("wipe") == 1)
    kinds = [event.kind for event in plan_of(seed).events]

    def fail_after_a_wipe(world: World) -> None:
        world.check(all(event.kind != "wipe" for event in world.plan.events), "wiped")
        world.scheduler.finish()

    monkeypatch.setattr(World, "_direct", fail_after_a_wipe)
    assert len(kinds) > 1
    assert shrink(seed) == (kinds.index("wipe"),)
    with pytest.raises(Violation):
        run(seed, [kinds.index("wipe")])


KEPT = {
    # A node read on a log that had lost its end while the only node that could tell was down.
    "read before the log was known to be whole": (23, Plan(
        machines=4, customers=3, shared_disk=True, restlessness=0.02, leisure_s=3.0,
        events=(
            Event(8.182, "crash", 3, (0.112,)),
            Event(9.861, "log link", 0, (0.123, "slow")),
            Event(10.281, "crash", 3, (11.135,)),
            Event(13.601, "log link", 1, (0.101, "silent")),
            Event(15.485, "log link", 2, (0.711, "slow")),
            Event(17.377, "crash", 1, (2.739,)),
            Event(19.438, "cut", 2, (1,)),
            Event(20.068, "cut", 1, (3,)),
            Event(21.753, "cut", 2, (1,)),
        ),
    )),
    # A node that had joined a log without a bank, for it was wiped, told a customer that there was no such account.
    "read where no bank was": (6839, Plan(
        machines=1, customers=5, shared_disk=False, restlessness=0.1, leisure_s=1.0,
        events=(
            Event(7.668, "wipe", 0, ()),
            Event(8.318, "crash", 0, (0.066,)),
            Event(14.269, "crash at", 0, (0.083, "before the record is stored")),
            Event(16.34, "crash all", 0, (3.608,)),
            Event(16.436, "wipe", 0, ()),
            Event(19.546, "wipe", 0, ()),
            Event(20.328, "join", 0, ()),
            Event(20.427, "crash all", 0, (0.118,)),
            Event(20.711, "crash at", 0, (1.105, "before the record is stored")),
            Event(22.345, "crash", 0, (0.103,)),
            Event(23.629, "wipe", 0, ()),
            Event(25.98, "join", 0, ()),
        ),
    )),
    # A read was let in before the log lost its end, and answered when its barrier came back through what was left.
    "read answered by a log that had lost something": (4908, Plan(
        machines=2, customers=2, shared_disk=False, restlessness=0.02, leisure_s=1.0,
        events=(Event(7.975, "cut", 1, (1,)), Event(15.754, "cut", 0, (10,))),
    )),
}  # fmt: skip
"""What runs found and was mended. `make mutants` takes out what mended it, and sees that a test notices."""


@pytest.mark.parametrize("name", KEPT)
def test_what_was_once_found_stays_mended(name: str) -> None:
    seed, plan = KEPT[name]
    World(seed, plan).run()
