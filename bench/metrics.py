"""What counting for `GET /metrics` costs a deposit: `.venv/bin/python bench/metrics.py`.

Times all that `bank.metrics` is told on the way of one deposit alone, of one among many in a record, and of a whole
answer to `GET /metrics`, without anything else. Shown are the best of several rounds, in microseconds.
"""

import sys
import timeit
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a command, not a package: the tree is its library

from bank import records
from bank.ledger import Change, apply
from bank.metrics import Metrics
from bank.operations import Deposit, Open
from bank.records import Base, Record
from bank.state import State

ROUNDS = 7
LOOPS = 5_000
MANY = 1_000


def deposits(count: int) -> tuple[Record, Change]:
    """Return a record of so many deposits, as it was applied."""
    state = State(log_id="x")
    record = Record(
        version=1, log_id="x", epoch=1, node="banco-1", session="s", seq=1, instant_ms=0, base=Base(0, ""),
        operations=(Open("o", "A", 0, 0), *(Deposit(str(number), "A", 1) for number in range(count))),
    )  # fmt: skip
    change = apply(state, record, records.encode(record), {})
    assert len(change.entries) == count + 1
    return record, change


def main() -> None:
    """Measure and print."""
    metrics = Metrics()
    request = ("POST", "/contas/<id_conta>/deposito", 200, 0.002)

    def one_record(applied: tuple[Record, Change]) -> None:
        metrics.publishing(1)
        metrics.applier_waited(0.0)
        metrics.returned(1, timed=True)
        metrics.applied([applied])

    def best_us(what: Callable[[], object], loops: int) -> float:
        return min(timeit.repeat(what, number=loops, repeat=ROUNDS)) / loops * 1e6

    few, many = deposits(0), deposits(MANY)
    metrics.answered(*request)
    print(f"a request                      {best_us(lambda: metrics.answered(*request), LOOPS):8.2f}")
    print(f"a record of one operation      {best_us(lambda: one_record(few), LOOPS):8.2f}")
    each = best_us(lambda: one_record(many), LOOPS // 100) / MANY
    print(f"one of {MANY} in a record       {each:8.2f}")
    print(f"an answer to GET /metrics      {best_us(metrics.text, 100):8.2f}")


if __name__ == "__main__":
    main()
