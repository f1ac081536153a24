"""The contract that every log keeps: one order of records for all nodes, stored before `append` returns.

Knows nothing of what a record says. Offsets grow in log order, may have gaps, and mean nothing outside one log.
Invariant: two readers see the same bodies at the same offsets in the same order (tests/contract/test_log.py,
which runs against every log there is).
"""

from typing import NamedTuple, Protocol

__all__ = ["FIRST", "LAST", "Log", "Reader", "Replicas", "Stored"]

FIRST = 0
"""Read from the first record there is."""
LAST = -1
"""Read from the last record there is or a few before it; on an empty log, from the first to come."""


class Stored(NamedTuple):
    """A record as the log holds it."""

    offset: int
    body: bytes


class Replicas(NamedTuple):
    """How many of the places that should hold the log do hold it."""

    held: int
    brokers: int


class Reader(Protocol):
    """One reader of the log; belongs to the thread that polls it."""

    def poll(self, timeout_s: float) -> list[Stored]:
        """Return the next records, oldest first, at most a few MiB; empty if none came within `timeout_s`.

        Raises LogUnreachable if the log does not answer, LogLost if it is not the log that was opened.
        """

    def close(self) -> None:
        """Release what the reader holds. May be called twice."""


class Log(Protocol):
    """One log, shared by all nodes."""

    kind: str
    """`embutido`, `rabbitmq` or `memoria`."""
    identity: str
    """Names backend and place; a journal attaches to no other."""

    def append(self, body: bytes) -> None:
        """Store one record behind all others. It is durable when this returns.

        Called by one thread only. Raises LogUnreachable, which leaves open whether the record was stored.
        """

    def read_from(self, offset: int) -> Reader:
        """Return a reader that begins exactly at `offset` if a record stands there, else at the next one.

        `offset` may be FIRST or LAST. Raises LogUnreachable or LogLost.
        """

    def tend(self) -> None:
        """Keep what `append` uses alive. Called by the same thread about once a second while nothing is appended.

        Raises LogUnreachable if it is not: the next `append` may reach another log than the last one did.
        """

    def renew(self) -> None:
        """Take what stands in the log's place now for the log: a node that lost it looks there for its rebuilding."""

    def replicas(self) -> Replicas:
        """Count the copies of the log. May take seconds; called from a thread that may wait."""

    def close(self) -> None:
        """Release the log."""
