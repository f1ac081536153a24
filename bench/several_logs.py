"""Several logs by ranges of accounts, on paper: `.venv/bin/python bench/several_logs.py`.

A simulation in steps, with no process and no clock. Each log takes so many operations a step, in order. A transfer
inside one log is one operation. One between two logs is three, each in a log, each idempotent by an id made of the
transfer's own: `<id>/reserva` holds the amount at the origin, `<id>/credito` pays it at the destination, `<id>/baixa`
uses the hold up, or gives it back if the credit was refused. Whoever moves transfers on remembers nothing: who comes
after a crash reads the holds that are open, asks for everything again by the same ids, and goes on.

Printed: transfers a step against the share of those between logs; then many seeds with many movers at once that die
at every step, where no money may be lost or made at any moment. docs/PERFORMANCE.md has the argument.
"""

import random
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Bank", "Transfer", "problems", "throughput"]

OPENED_CENTS = 100
ACCOUNTS = 20
"""Of each log."""
TRANSFERS = 60
"""Of each seed."""
SEEDS = 200
LOGS = (1, 2, 4, 8)
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
STEPS = 100
PER_STEP = 100
"""Operations that a log takes in a step."""

Place = tuple[int, int]
"""An account: the log that keeps it, and its number there."""


class Transfer(NamedTuple):
    """What a customer asks for."""

    id: str
    origin: Place
    destination: Place
    cents: int


@dataclass
class Log:
    """One log and its accounts: operations in order, each id remembered with its outcome for ever."""

    balances: dict[int, int]
    """What customers see: what is held has left already."""
    closed: set[int] = field(default_factory=set)
    """Accounts that take no money."""
    outcomes: dict[str, bool] = field(default_factory=dict)
    holds: dict[str, Transfer] = field(default_factory=dict)
    """Those that are open, by the transfer's id."""

    def reserve(self, transfer: Transfer) -> bool:
        """Hold the amount; False if the origin has it not."""
        if (key := f"{transfer.id}/reserva") not in self.outcomes:
            self.outcomes[key] = self.balances[transfer.origin[1]] >= transfer.cents
            if self.outcomes[key]:
                self.balances[transfer.origin[1]] -= transfer.cents
                self.holds[transfer.id] = transfer
        return self.outcomes[key]

    def credit(self, transfer: Transfer) -> bool:
        """Pay the amount; False if the destination refuses it, now and for ever."""
        if (key := f"{transfer.id}/credito") not in self.outcomes:
            self.outcomes[key] = transfer.destination[1] not in self.closed
            if self.outcomes[key]:
                self.balances[transfer.destination[1]] += transfer.cents
        return self.outcomes[key]

    def settle(self, transfer: Transfer, *, paid: bool) -> None:
        """Use the hold up, or give it back."""
        if (key := f"{transfer.id}/baixa") not in self.outcomes:
            self.outcomes[key] = paid
            del self.holds[transfer.id]
            self.balances[transfer.origin[1]] += 0 if paid else transfer.cents


class Bank:
    """A bank of several logs."""

    def __init__(self, number: int, rng: random.Random) -> None:
        """Open the accounts, of which some take no money."""
        self.logs = [
            Log(dict.fromkeys(range(ACCOUNTS), OPENED_CENTS), set(rng.sample(range(ACCOUNTS), ACCOUNTS // 5)))
            for _ in range(number)
        ]
        self.opened_cents = number * ACCOUNTS * OPENED_CENTS

    def move(self, transfer: Transfer) -> Iterator[str]:
        """Bring a transfer to its end; yields wherever a mover may die, which is behind each operation."""
        origin, destination = self.logs[transfer.origin[0]], self.logs[transfer.destination[0]]
        yield "asked"
        if not origin.reserve(transfer):
            return
        yield "held"
        paid = destination.credit(transfer)
        yield "credited" if paid else "refused"
        origin.settle(transfer, paid=paid)
        yield "settled"

    def open_holds(self) -> list[Transfer]:
        """Return what is on its way, by what the logs say."""
        return [transfer for log in self.logs for transfer in log.holds.values()]

    def is_credited(self, transfer: Transfer) -> bool:
        """Tell whether the destination was paid."""
        return self.logs[transfer.destination[0]].outcomes.get(f"{transfer.id}/credito", False)

    def total_cents(self) -> int:
        """Return all money: in accounts, and held for credits that have not been paid."""
        held = sum(transfer.cents for transfer in self.open_holds() if not self.is_credited(transfer))
        return held + sum(sum(log.balances.values()) for log in self.logs)


def random_transfer(rng: random.Random, name: str, logs: int, share: float) -> Transfer:
    """Return a transfer, with this chance between two logs."""
    origin = rng.randrange(logs)
    others = [log for log in range(logs) if log != origin]
    destination = rng.choice(others) if others and rng.random() < share else origin
    return Transfer(name, (origin, rng.randrange(ACCOUNTS)), (destination, rng.randrange(ACCOUNTS)), rng.randint(1, 80))


def problems(seed: int, died: Counter[str]) -> list[str]:
    """Let movers run at once, die and be followed by others; return what was wrong, and count where they died."""
    rng = random.Random(seed)
    bank = Bank(3, rng)
    wanted = [random_transfer(rng, f"t{number}", 3, share=1.0) for number in range(TRANSFERS)]
    movers = [bank.move(transfer) for transfer in wanted + wanted[::3]]  # some customers ask twice at once
    found: list[str] = []
    while movers or bank.open_holds():
        if (on_the_way := bank.open_holds()) and (not movers or rng.random() < 0.1):
            movers.append(bank.move(rng.choice(on_the_way)))  # somebody looks, while others may be moving it
        mover = rng.choice(movers)
        where = next(mover, None)
        if where is None:
            movers.remove(mover)
        elif rng.random() < 0.2:
            died[where] += 1
            movers.remove(mover)
        if bank.total_cents() != bank.opened_cents:
            found.append(f"seed {seed}: {bank.total_cents()} cents of {bank.opened_cents} behind {where}")
        if min(min(log.balances.values()) for log in bank.logs) < 0:
            found.append(f"seed {seed}: a balance below zero behind {where}")
    for transfer in wanted:
        outcomes = bank.logs[transfer.origin[0]].outcomes
        if outcomes.get(f"{transfer.id}/baixa", False) != bank.is_credited(transfer):
            found.append(f"seed {seed}: {transfer.id} left one account and did not reach the other, or the reverse")
    return found


def throughput(logs: int, share: float, seed: int = 1) -> float:
    """Return the transfers that end in a step while each log has as much to do as it can take."""
    rng = random.Random(seed)
    queues: list[deque[tuple[Transfer, int]]] = [deque() for _ in range(logs)]
    ended = started = 0
    for _ in range(STEPS):
        while min(map(len, queues)) < 2 * PER_STEP:
            transfer = random_transfer(rng, f"t{started}", logs, share)
            queues[transfer.origin[0]].append((transfer, 1))
            started += 1
        taken = [(queue, [queue.popleft() for _ in range(PER_STEP)]) for queue in queues]
        for transfer, stage in (each for _, some in taken for each in some):
            is_last = transfer.origin[0] == transfer.destination[0] or stage == 3
            ended += is_last
            if not is_last:
                following = transfer.destination if stage == 1 else transfer.origin
                queues[following[0]].appendleft((transfer, stage + 1))  # what is on its way goes first
    return ended / STEPS


def main() -> int:
    """Print both; return 1 if money was lost or made."""
    print(f"transfers a step, where a log takes {PER_STEP} operations a step; by the share of those between logs")
    print(f"{'logs':>6}" + "".join(f"{share:>9.0%}" for share in SHARES))
    for logs in LOGS:
        print(f"{logs:>6}" + "".join(f"{throughput(logs, share):>9.0f}" for share in SHARES))
    died: Counter[str] = Counter()
    found = [problem for seed in range(SEEDS) for problem in problems(seed, died)]
    where = ", ".join(f"{name} {count:,}" for name, count in sorted(died.items()))
    print(f"\n{SEEDS} seeds of {TRANSFERS} transfers between three logs; movers died behind: {where}")
    print(
        "\n".join(found) or "No money was lost or made, at no moment, and every transfer was paid or given back whole."
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
