"""What waits at a node, and what it gets in the end. Plain values, moved by `node.Node`."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bank.errors import NotAccepted, OutcomeUnknown
from bank.operations import Operation
from bank.records import Base
from bank.views import AccountView, Answer

__all__ = ["Completion", "Flight", "Head", "Packed", "Pending", "Read", "Result", "Timeout", "Waiter"]

Waiter = Any
"""Opaque: whoever waits hands it in and gets it back with the result."""


class Timeout(NamedTuple):
    """A read's barrier did not come back in time, or through a log that is not known to be whole."""


Result = Answer | AccountView | Timeout | NotAccepted | OutcomeUnknown


class Completion(NamedTuple):
    """What a waiter gets: of an operation, its Answer or an error to raise; of a read, a view or a Timeout."""

    waiter: Waiter
    result: Result


class Head(NamedTuple):
    """What the next record says of the log and of what its node has applied."""

    version: int
    log_id: str
    epoch: int
    base: Base


class Packed(NamedTuple):
    """A record ready to be published."""

    seq: int
    body: bytes


@dataclass(eq=False, slots=True)
class Read:
    """A read that waits for its barrier."""

    waiter: Waiter
    account_id: str
    is_open: bool = True


@dataclass(eq=False, slots=True)
class Pending:
    """An operation that somebody waits for."""

    operation: Operation
    encoded: bytes
    waiters: list[Waiter]
    after: "tuple[Pending, ...]" = ()
    """What was asked for before it in one request: it goes into no record before these are settled, or with them."""
    seq: int = 0
    """The last record that it went into; 0 if none."""
    queued: bool = True
    settled: bool = False


@dataclass(eq=False, slots=True)
class Flight:
    """A record that was packed and has not come back."""

    packed_ms: int
    pending: list[Pending] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
