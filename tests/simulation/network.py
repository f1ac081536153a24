"""What lies between nodes, and between a node and the log: links that delay, refuse and fall silent.

The log is the memory log; what a link does to it is what a network and a broker do. A record may be stored although
its publisher was told that it was not, stored twice, or stored seconds after its publisher gave it up.
"""

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bank.errors import BankError, LogUnreachable
from replication.log import LAST, Replicas, Stored
from replication.memory import MemoryLog
from replication.presence import Heartbeat
from tests.simulation.scheduler import Scheduler

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

__all__ = ["Bus", "Link", "NodeLog", "NodePeers", "NodePresence", "Store"]

GIVEN_UP_S = 10.0
"""After this long a connection on which nothing comes is taken for dead."""


class Link:
    """One way out of a machine. `state`: up, slow, refused, or silent, in which nothing arrives and nobody is told."""

    def __init__(self, scheduler: Scheduler, draw: random.Random, usual_s: float) -> None:
        """`usual_s` is the longest that a message takes while the link is up."""
        self._scheduler = scheduler
        self._usual_s = usual_s
        self.draw = draw
        self.state = "up"

    def cross(self) -> None:
        """Take a message across. Raises LogUnreachable."""
        self._scheduler.sleep(self.draw.random() ** 3 * (1.5 if self.state == "slow" else self._usual_s))
        if self.state == "silent":
            self._scheduler.sleep(GIVEN_UP_S)
            raise LogUnreachable("nothing comes")
        if self.state == "refused":
            raise LogUnreachable("connection refused")


class Store:
    """The log, and what may befall it as a whole."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.memory = MemoryLog()
        self.lives = 0
        """How often it lost its end; whoever was connected was cut off each time."""

    @property
    def length(self) -> int:
        """How many records it holds."""
        return len(self.memory.take(0, 0))

    def lose(self, records: int) -> None:
        """Lose the newest records."""
        self.memory.cut(min(records, self.length))
        self.lives += 1


class NodeLog:
    """The log as one node reaches it."""

    kind = "memoria"
    identity = "memoria"

    def __init__(self, store: Store, link: Link, at: Callable[[str], None]) -> None:
        """`at` is told of the places at which a node may be made to crash."""
        self._store = store
        self._link = link
        self._at = at
        self._lives = store.lives
        self.faults: list[str] = []
        """What happens to the next records: lost, unconfirmed, twice or late."""

    def append(self, body: bytes) -> None:
        """Store a record. Raises LogUnreachable."""
        lives, fault = self._connection(), self.faults.pop(0) if self.faults else ""
        self._at("before the record is stored")
        if fault == "late":
            self._store.scheduler.spawn("late", lambda: self._come_late(body, lives))
        if fault in {"lost", "late"}:
            raise LogUnreachable("the connection broke")
        self._link.cross()
        if lives != self._store.lives:
            raise LogUnreachable("the broker is another")
        for _ in range(2 if fault == "twice" else 1):
            self._store.memory.append(body)
        self._at("after the record is stored")
        if fault == "unconfirmed":
            raise LogUnreachable("no confirm came")
        self._link.cross()

    def _connection(self) -> int:
        """Return the life of the log that the connection reaches. Raises LogUnreachable if it has ended meanwhile.

        A connection is not mended in silence: what it reaches next may be a log that has lost something.
        """
        before, self._lives = self._lives, self._store.lives
        if before != self._lives:
            raise LogUnreachable("the connection had died")
        return before

    def _come_late(self, body: bytes, lives: int) -> None:
        self._store.scheduler.sleep(self._link.draw.random() * 3)
        if lives == self._store.lives:
            self._store.memory.append(body)

    def read_from(self, offset: int) -> "NodeReader":
        """Open a reader; of the last records, one to three."""
        self._link.cross()
        if offset == LAST:
            offset = max(0, self._store.length - self._link.draw.randrange(3))
        return NodeReader(self._store, self._link, offset)

    def tend(self) -> None:
        """Find out whether the connection lives."""
        self._connection()
        self._link.cross()

    def renew(self) -> None:
        """Nothing to do."""

    def replicas(self) -> Replicas:
        """Return that there is one."""
        return Replicas(held=1, brokers=1)

    def close(self) -> None:
        """Nothing to release."""


class NodeReader:
    """Delivers as much at a time as it likes, and now and then something once more."""

    def __init__(self, store: Store, link: Link, offset: int) -> None:
        self._store = store
        self._link = link
        self._lives = store.lives
        self._next = offset

    def poll(self, timeout_s: float) -> list[Stored]:
        """Return the next records. Raises LogUnreachable."""
        link = self._link
        if link.state == "silent":
            self._store.scheduler.sleep(timeout_s)
            return []
        found = self._store.memory.take(self._next, timeout_s)
        if found:
            link.cross()
        if link.state == "refused" or self._lives != self._store.lives:
            raise LogUnreachable("the connection broke")
        batch = found[: 1 + link.draw.randrange(len(found))] if found else []
        if batch:
            self._next = batch[-1].offset + (link.draw.random() > 0.02)
        return batch

    def close(self) -> None:
        """Nothing to release."""


class Bus:
    """Where heartbeats go: rows of a file that nodes share, or an exchange that hands them to whoever listens."""

    def __init__(self) -> None:
        self.rows: dict[str, Heartbeat] = {}
        self.listeners: list[NodePresence] = []


class NodePresence:
    """Presence as one node reaches it: as `EmbeddedPresence` on one machine, as `RabbitPresence` across machines."""

    def __init__(self, bus: Bus, link: Link, *, spans_machines: bool) -> None:
        self.spans_machines = spans_machines
        self._bus = bus
        self._link = link
        self._mine: Heartbeat | None = None
        self._latest: dict[str, Heartbeat] = {}

    def exchange(self, mine: Heartbeat) -> list[Heartbeat]:
        """Tell and hear. Raises LogUnreachable."""
        self._link.cross()
        self._mine = mine
        if not self.spans_machines:
            self._bus.rows[mine.node] = mine
            return [heartbeat for node, heartbeat in self._bus.rows.items() if node != mine.node]
        if self not in self._bus.listeners:
            self._bus.listeners.append(self)
        for listener in self._bus.listeners:
            if listener is not self:
                listener.hear(mine)
        return list(self._latest.values())

    def hear(self, heartbeat: Heartbeat) -> None:
        """Take in what another node sends: its new session replaces its old one."""
        if self._link.state in {"up", "slow"}:
            self._latest = {key: old for key, old in self._latest.items() if old.node != heartbeat.node}
            self._latest[heartbeat.session] = heartbeat

    def leave(self) -> None:
        """Say that this node stops."""
        self._link.cross()
        if self._mine is not None:
            self._bus.rows.pop(self._mine.node, None)
            for listener in self._bus.listeners:
                listener._latest.pop(self._mine.session, None)

    def close(self) -> None:
        """Nothing to release."""


class NodePeers:
    """Asks other machines what `replication.snapshot.Peers` would ask them over HTTP."""

    def __init__(self, machines: "dict[str, Machine]", link: Link, scheduler: Scheduler) -> None:
        """`machines` by address."""
        self._machines = machines
        self._link = link
        self._scheduler = scheduler

    def digests(self, address: str, position: int) -> tuple[str, str] | None:
        """Return what a machine has for a position. Raises LogUnreachable."""
        self._link.cross()
        try:
            row = self._machines[address].ask(lambda bank: bank.history.record(position), timeout_s=5)
        except (BankError, ConnectionError) as error:
            raise LogUnreachable(f"{address}: {error}") from error
        return (row.chain.hex(), row.digest.hex()) if row else None

    def fetch(self, address: str, target: Path, told: Callable[[int, int], None]) -> None:
        """Write a machine's copy to `target`, piece by piece. Raises LogUnreachable."""
        giver = self._machines[address]
        life = giver.life
        try:
            copy = gzip.decompress(giver.ask(lambda bank: bank.shelf.take(), timeout_s=75).read_bytes())
        except (BankError, ConnectionError) as error:
            raise LogUnreachable(f"{address}: {error}") from error
        size = len(copy) // 4 + 1
        with target.open("wb") as file:
            for start in range(0, len(copy), size):
                self._link.cross()
                if giver.life is not life:
                    raise LogUnreachable(f"{address}: the copy ended after {start} of {len(copy)} bytes")
                file.write(copy[start : start + size])
                told(min(start + size, len(copy)), len(copy))
