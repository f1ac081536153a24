"""What the bakery lock costs, side by side with `threading.Lock` in one run: `.venv/bin/python bench/locks.py`.

Two questions. What do an acquire and a release cost when nobody else comes? And how fast does one thread apply
deposits to one account (`bank.ledger.apply`, in memory, one deposit a record) while 31 threads read that account as
fast as they can: through `AccountLocks.hold_as_reader`, where one reader at a time stands in the bakery, and without
that door, where all of them do? Rounds of all variants alternate; shown are medians, of the ratios too, each taken
within its round: the machine is noisy, so compare within a run only.
Ends with status 1 if readers at the door leave the applier less than RATIO_MIN of its speed.
"""

import copy
import functools
import platform
import statistics
import sys
import threading
import time
import timeit
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a command, not a package: the tree is its library

from bank import ledger, records
from bank.operations import Deposit, Open, Operation
from bank.records import Base, Record
from bank.state import State
from locks.accounts import AccountLocks
from locks.bakery import BakeryLock, LockTimeout, ThreadSlots

SLOTS = 32
READERS = SLOTS - 1
ROUNDS = 9
ROUND_S = 0.25
LOOPS = 20_000
READ_TIMEOUT_S = 2.0
RATIO_MIN = 0.5
ACCOUNT = "conta-1"
NODE = "banco-1"

Guard = Callable[[], AbstractContextManager[object]]


class Variant(NamedTuple):
    """How the account is guarded, and how many read it meanwhile."""

    name: str
    applier: Guard
    reader: Guard
    readers: int
    against: str = ""
    """The variant whose speed is this one's measure."""


class Speed(NamedTuple):
    """What one round came to, a second."""

    applied: float
    reads: float


def main() -> int:
    """Measure and print."""
    print(f"Python {platform.python_version()}, {SLOTS} slots, medians of {ROUNDS} alternated rounds\n")
    print_costs(measure_costs())
    variants = make_variants()
    speeds = measure_speeds(variants)
    print_speeds(variants, speeds)
    ratio = ratio_of(next(variant for variant in variants if variant.against), speeds)
    verdict = "met" if ratio >= RATIO_MIN else "MISSED"
    print(
        f"\nReaders at the door leave the applier {ratio:.2f} of its speed; at least {RATIO_MIN} is asked: {verdict}."
    )
    return 0 if ratio >= RATIO_MIN else 1


def measure_costs() -> dict[str, float]:
    """Return the nanoseconds that an uncontended entry and exit take."""
    slots = ThreadSlots(SLOTS)
    locks = AccountLocks(slots)
    bare, plain = BakeryLock(slots), threading.Lock()

    def with_each(guard: Guard) -> Callable[[], None]:
        def enter_and_leave() -> None:
            with guard():
                pass

        return enter_and_leave

    lines = {
        "bakery lock, acquire() and release()": timeit.Timer(
            "a(); r()", globals={"a": bare.acquire, "r": bare.release}
        ),
        "threading.Lock, acquire() and release()": timeit.Timer(
            "a(); r()", globals={"a": plain.acquire, "r": plain.release}
        ),
        "AccountLocks.hold, one account": timeit.Timer(with_each(functools.partial(locks.hold, [ACCOUNT]))),
        "AccountLocks.hold_as_reader": timeit.Timer(
            with_each(functools.partial(locks.hold_as_reader, ACCOUNT, READ_TIMEOUT_S))
        ),
    }
    rounds = [{name: timer.timeit(LOOPS) / LOOPS * 1e9 for name, timer in lines.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(each[name] for each in rounds) for name in lines}


def make_variants() -> list[Variant]:
    """Return the guards to compare, each alone and under its readers."""
    locks = AccountLocks(ThreadSlots(SLOTS + 1))  # the main thread has a slot too
    plain = threading.Lock()
    hold = functools.partial(locks.hold, [ACCOUNT])
    door = functools.partial(locks.hold_as_reader, ACCOUNT, READ_TIMEOUT_S)
    return [
        Variant("bakery, nobody reads", hold, door, 0),
        Variant(f"bakery, {READERS} read through the door", hold, door, READERS, "bakery, nobody reads"),
        Variant(f"bakery, {READERS} read without the door", hold, hold, READERS, "bakery, nobody reads"),
        Variant("threading.Lock, nobody reads", lambda: plain, lambda: plain, 0),
        Variant(
            f"threading.Lock, {READERS} read", lambda: plain, lambda: plain, READERS, "threading.Lock, nobody reads"
        ),
    ]


def measure_speeds(variants: list[Variant]) -> dict[str, list[Speed]]:
    """Return the speed of each round, by name of the variant."""
    rounds = [[measure_round(variant) for variant in variants] for _ in range(ROUNDS)]
    return {variant.name: [each[place] for each in rounds] for place, variant in enumerate(variants)}


def measure_round(variant: Variant) -> Speed:
    """Let the applier and the readers loose on a fresh account for ROUND_S."""
    state = State()
    for operation in (
        ledger.genesis_operation(operation_id="genesis", log_id="bench"),
        Open(id="abertura", account_id=ACCOUNT, balance_cents=0, limit_cents=0),
    ):
        ledger.apply(state, *packed(operation), {})
    start = threading.Barrier(variant.readers + 2)
    stop = threading.Event()
    reads = [0] * variant.readers
    applied = [0.0]

    def read(number: int) -> None:
        start.wait()
        while not stop.is_set():
            try:
                with variant.reader():
                    account = copy.copy(state.accounts[ACCOUNT])
            except LockTimeout:
                continue
            assert account.balance_cents == account.version - 1, "a torn read"
            reads[number] += 1

    def run_applier() -> None:
        record, body = packed(Deposit(id="deposito", account_id=ACCOUNT, amount_cents=1))
        count = 0
        start.wait()
        begun = now = time.perf_counter()
        while now - begun < ROUND_S:
            with variant.applier():
                ledger.apply(state, record, body, {})
            count += 1
            now = time.perf_counter()
        applied[0] = count / (now - begun)

    applier = threading.Thread(target=run_applier)
    threads = [applier, *(threading.Thread(target=read, args=(number,)) for number in range(variant.readers))]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    applier.join()
    speed = Speed(applied[0], sum(reads) / (time.perf_counter() - begun))
    stop.set()
    for thread in threads:
        thread.join()
    return speed


def packed(operation: Operation) -> tuple[Record, bytes]:
    """Return a record with this one operation, and its body."""
    record = Record(
        version=1,
        log_id="bench",
        epoch=1,
        node=NODE,
        session="bench",
        seq=1,
        instant_ms=0,
        base=Base(0, ""),
        operations=(operation,),
    )
    return record, records.encode(record)


def ratio_of(variant: Variant, speeds: dict[str, list[Speed]]) -> float:
    """Return how much of its speed alone the applier keeps."""
    pairs = zip(speeds[variant.name], speeds[variant.against], strict=True)
    return statistics.median(under.applied / alone.applied for under, alone in pairs)


def print_costs(costs: dict[str, float]) -> None:
    """Print what an entry and an exit cost."""
    print(f"{'nobody else comes':42}{'ns':>10}")
    for name, cost_ns in costs.items():
        print(f"{name:42}{cost_ns:>10,.0f}")


def print_speeds(variants: list[Variant], speeds: dict[str, list[Speed]]) -> None:
    """Print what the applier and the readers get done."""
    print(f"\n{'one account':42}{'applied/s':>10}{'reads/s':>10}{'ratio':>8}")
    for variant in variants:
        applied = statistics.median(speed.applied for speed in speeds[variant.name])
        reads = statistics.median(speed.reads for speed in speeds[variant.name])
        ratio = f"{ratio_of(variant, speeds):.3f}" if variant.against else ""
        print(f"{variant.name:42}{applied:>10,.0f}{reads:>10,.0f}{ratio:>8}")


if __name__ == "__main__":
    sys.exit(main())
