"""A machine with one node on it: the real node, from `open_runtime` on, its threads under the scheduler.

A crash ends all its tasks where they stand, and what SQLite had not committed is gone, as `synchronous = FULL` has it.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bank.attachment import Place
from bank.config import Config
from bank.errors import BankError
from bank.runtime import Ending, Runtime, open_runtime
from tests.simulation.network import Link, NodeLog, NodePeers, NodePresence
from tests.simulation.scheduler import Life

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Gone", "Machine"]

T = TypeVar("T")


class Gone(ConnectionError):  # noqa: N818 - a state
    """The connection broke before an answer came: nobody knows what became of the request."""


class Machine:
    """Started, crashed, paused and stopped by the world."""

    def __init__(self, world: "World", number: int, *, join_only: bool) -> None:
        self._world = world
        self.name = f"banco-{number}"
        folder = world.folder if world.draw_shared_disk else world.folder / f"machine-{number}"
        self.config = Config(
            node_name=self.name, port=5000 + number, data_dir=folder, threads=8, join_only=join_only,
            cluster_key=f"key-of-{self.name:.>20}",
        )  # fmt: skip
        self.log_link, self.presence_link, self.peer_link = (
            Link(world.scheduler, world.draw, world.draw.choice([0.02, 0.02, 0.4])) for _ in range(3)
        )
        self.life: Life | None = None
        self.bank: Runtime | None = None
        self.log: NodeLog | None = None
        self.clock_offset_ns = 0
        self.connections: list[sqlite3.Connection] = []
        self._crashed_ns = 0
        self._place = (0, 0)
        self.crash_at = ""
        """The place at which the node crashes as soon as it comes there."""

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the node, if it does not run."""
        if self.life is None:
            self.life = Life(self.name, clock_offset_ns=self.clock_offset_ns)
            self._world.scheduler.spawn(f"{self.name}/start", partial(self._start, self.life), self.life)

    def _start(self, life: Life) -> None:
        self.bank = open_runtime(self.config, partial(self._end, life))
        self.bank.start()

    def open_log(self) -> tuple[NodeLog, NodePresence]:
        """Stand for `bank.backends.open_log`."""
        world = self._world
        self.log = NodeLog(world.store, self.log_link, self.at)
        return self.log, NodePresence(world.bus, self.presence_link, spans_machines=not world.draw_shared_disk)

    def open_peers(self) -> NodePeers:
        """Stand for `replication.snapshot.Peers`."""
        return NodePeers(self._world.by_address, self.peer_link, self._world.scheduler)

    def _end(self, life: Life, ending: Ending) -> None:
        """The process wants to end: it does, and somebody starts it again."""
        self._world.note(f"{self.name} ends: {ending.value}")
        self._world.scheduler.spawn(f"{self.name}/again", partial(self._begin_anew, life))

    def _begin_anew(self, life: Life) -> None:
        if self.life is life:
            self.crash()
            self.start()

    def at(self, place: str) -> None:
        """Come to a place at which others may come in between, or the node may crash."""
        scheduler = self._world.scheduler
        if self.crash_at == place and scheduler.current is not None and not scheduler.current.is_dead:
            self.crash_at = ""
            scheduler.spawn(f"{self.name}/crash", self.crash)
            scheduler.park()
        scheduler.step()

    def crash(self) -> None:
        """End the node where it stands. Not to be called by one of its own tasks."""
        life, bank, self._place = self.life, self.bank, self.place
        self.life = self.bank = None
        if life is not None:
            self._world.note(f"{self.name} crashes")
            self._world.scheduler.kill(life)
        if bank is not None:
            is_member = self.name in bank._desk.committed.members
            self._crashed_ns = self._world.scheduler.now_ns if is_member else 0
            bank._journal.close()
        while self.connections:
            self.connections.pop().close()

    def stop(self) -> None:
        """Let the node end in good order, as SIGTERM does."""
        with suppress(BankError, ConnectionError):
            self.ask(lambda bank: bank.stop(), timeout_s=10)
        self.crash()

    @property
    def place(self) -> Place:
        """What the node has, or had when it was last up."""
        if self.bank is not None:
            self._place = self.bank._desk.committed.place
        return self._place

    def is_long_gone(self) -> bool:
        """Tell whether the node has been a member, and is down for so long that all others know."""
        silent_ns = self.config.peer_silent_ms_max * 1_000_000 + 1_000_000_000
        return self.life is None and 0 < self._crashed_ns < self._world.scheduler.now_ns - silent_ns

    # --- requests ------------------------------------------------------------------------------------------------

    def ask(self, what: Callable[[Runtime], T], timeout_s: float) -> T:
        """Have a request thread of the node do something. Raises what it raises, or ConnectionError."""
        scheduler, life, bank = self._world.scheduler, self.life, self.bank
        if life is None or bank is None:
            raise ConnectionRefusedError(f"{self.name} is down")
        answers: list[T] = []
        errors: list[BankError] = []

        def serve() -> None:
            try:
                answers.append(what(bank))
            except BankError as error:
                errors.append(error)

        task = scheduler.spawn(f"{self.name}/request", serve, life)
        scheduler.join(task, timeout_s)
        if errors:
            raise errors[0]
        if not answers:
            raise Gone(f"{self.name} did not answer")
        return answers[0]
