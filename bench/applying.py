"""One node's applier without HTTP and without a log, in a process of its own: what `make bench ONLY=apply` measures.

Each record holds 2,000 transfers between accounts at random, and takes the way that bank/applier.py sends it: decode,
look-up of the ids, the accounts' locks, apply with both digests, one journal transaction with its fsync.
"""

import gc
import random
import time
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import uuid_utils

from bank import records
from bank.journal import AppliedRecord, Journal
from bank.ledger import genesis_operation
from bank.operations import Open, Operation, Transfer, ids_of
from bank.records import Base, Record
from bank.replica import Replica
from bank.state import State
from bench.measure import Round, percentiles
from locks.accounts import AccountLocks
from locks.bakery import ThreadSlots

__all__ = ["Applying", "measure", "prepare"]

TRANSFERS = 2_000
OPENED_CENTS = 1_000_000_00
STEPS = ("decode", "look-up", "locks and apply", "journal")
LOG_ID = "bench"
SEED = 1


def time_ordered() -> str:
    """Return an id as nodes make them."""
    return str(uuid_utils.uuid7())


def at_random() -> str:
    """Return an id as many clients make them."""
    return str(uuid.uuid4())


class Applying:
    """A journal, the state, and records made for them."""

    def __init__(self, folder: Path, accounts: int, *, random_ids: bool) -> None:
        """Begin a log and open its accounts."""
        self._new_id: Callable[[], str] = at_random if random_ids else time_ordered
        self._random = random.Random(SEED)
        self._names = [f"conta-{number}" for number in range(accounts)]
        self._offset = 0
        self._journal = Journal(folder)
        locks = AccountLocks(ThreadSlots(32))
        self._replica = Replica(
            node="banco-1", state=State(), last_offset=0, last_checksum=b"", marks_at=lambda _: None, hold=locks.hold
        )
        self.take(self._packed([genesis_operation(operation_id="genesis", log_id=LOG_ID)]))
        for first in range(0, accounts, TRANSFERS):
            names = self._names[first : first + TRANSFERS]
            self.take(self._packed([Open(self._new_id(), name, OPENED_CENTS, 0) for name in names]))
        gc.freeze()  # as api.py does
        gc.set_threshold(100_000, 50, 100)

    def _packed(self, operations: list[Operation]) -> bytes:
        self._offset += 1
        return records.encode(
            Record(
                version=1, log_id=LOG_ID, epoch=1, node="banco-1", session="s", seq=self._offset,
                instant_ms=self._offset, base=Base(0, ""), operations=tuple(operations),
            )
        )  # fmt: skip

    def _transfers(self) -> bytes:
        pairs = (self._random.sample(self._names, 2) for _ in range(TRANSFERS))
        return self._packed([Transfer(self._new_id(), origin, destination, 1) for origin, destination in pairs])

    def take(self, body: bytes) -> list[float]:
        """Apply and commit one record; return the processor time that each step took, in seconds."""
        replica, clock = self._replica, time.process_time
        marks = [clock()]
        record = replica.admit(self._offset, body)
        assert record is not None, replica.skipped
        marks.append(clock())
        remembered = self._journal.remembered(one for operation in record.operations for one in ids_of(operation))
        marks.append(clock())
        change = replica.deliver(self._offset, body, record, remembered).change
        assert change is not None, replica.skipped
        marks.append(clock())
        self._journal.commit([AppliedRecord(self._offset, record, change)], replica.state, {})
        marks.append(clock())
        assert len(change.entries) == len(record.operations), "an operation was known already"
        return [after - before for before, after in pairwise(marks)]

    def measure(self, seconds: float) -> Round:
        """Apply records until they took so many seconds; making them is not counted."""
        taken_s: list[float] = []
        spent_s = [0.0] * len(STEPS)
        while sum(taken_s) < seconds:
            body = self._transfers()
            began = time.perf_counter()
            steps = self.take(body)
            taken_s.append(time.perf_counter() - began)
            spent_s = [total + step for total, step in zip(spent_s, steps, strict=True)]
        applied = TRANSFERS * len(taken_s)
        costs_us = {name: spent * 1e6 / applied for name, spent in zip(STEPS, spent_s, strict=True)}
        milliseconds = percentiles([each * 1000 for each in taken_s])
        return Round(applied / sum(taken_s), *milliseconds, costs_us, 1 / TRANSFERS)

    def close(self) -> None:
        """Give the journal up."""
        self._journal.close()


_here: dict[str, Applying] = {}
"""What this process prepared."""


def prepare(folder: Path, accounts: int, *, random_ids: bool) -> None:
    """Make this process ready for `measure`."""
    _here["one"] = Applying(folder, accounts, random_ids=random_ids)


def measure(seconds: float) -> Round:
    """Measure what this process prepared."""
    return _here["one"].measure(seconds)
