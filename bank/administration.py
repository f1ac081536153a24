"""What operators and peers may ask of a node, besides its customers' business: reopen, retire, activate, copy.

Everything that changes the bank goes through the log, like any operation. Used by the watchdog (a lost log that can
be reopened without loss is) and by the routes under `/cluster`.
"""

import logging
from collections.abc import Callable, Collection

import uuid_utils

from bank import rebuilding
from bank.desk import Desk, monotonic_ms
from bank.errors import NotAccepted, OutcomeUnknown
from bank.journal_check import RecordRow
from bank.operations import Reopen
from bank.publisher import Publisher
from bank.views import Token
from replication.presence import Heartbeat

__all__ = ["Administration"]

log = logging.getLogger(__name__)

REOPEN_MS = 10_000


class Administration:
    """Of one node; from any thread."""

    def __init__(self, desk: Desk, publisher: Publisher, record_at: Callable[[int], RecordRow | None]) -> None:
        """`record_at` returns what the journal has for a position."""
        self._desk = desk
        self._publisher = publisher
        self.record_at = record_at

    def live(self) -> dict[str, Heartbeat]:
        """Return the last heartbeat of every other live node, by name."""
        with self._desk.mutex:
            return {peer.heartbeat.node: peer.heartbeat for peer in self._desk.peers.live(monotonic_ms())}

    def obstacle(self, given_up: Collection[str] = ()) -> str | None:
        """Say why this node must not reopen the log, or None."""
        with self._desk.mutex:
            is_stopped, committed = self._desk.is_stopped(), self._desk.committed
        if not is_stopped:
            return "The log is not lost for this node, or what is left of it has not been read to its end yet."
        return rebuilding.obstacle(
            node=self._desk.config.node_name,
            place=committed.place,
            log_id=committed.log_id,
            members=committed.members,
            live=self.live(),
            given_up=given_up,
        )

    def contradiction(self) -> str | None:
        """Say which member's history is not a beginning of this node's, or None."""
        return rebuilding.contradiction(self.live(), self._desk.committed.log_id, self._chain_at)

    def _chain_at(self, position: int) -> str:
        row = self.record_at(position)
        return row.chain.hex() if row else ""

    def publish_reopening(self) -> None:
        """Let the log go on from where this node is, in the next epoch."""
        desk = self._desk
        with desk.mutex:
            # Whoever reopens from here names the same epoch, so that of several the first in the log counts.
            epoch, position, chain = desk.committed.epoch + 1, desk.committed.position, desk.committed.chain.hex()
            self._publisher.beginning = Reopen(str(uuid_utils.uuid7()), epoch, position, chain)
            desk.work.notify()
        log.warning("reopening the log", extra={"epoch": epoch, "position": position})

    def rejoin(self) -> None:
        """Send this node, which has lost the log, to its peers for a journal. Raises NotAccepted if it has not."""
        with self._desk.mutex:
            if not self._desk.is_stopped():
                raise NotAccepted("The log is not lost for this node.")
        self._desk.rejoin.set()

    def reopen(self, given_up: Collection[str]) -> Token:
        """Reopen the lost log at an operator's word; return where it goes on.

        Raises NotAccepted, with what stands in the way, and OutcomeUnknown if the log does not answer in time.
        """
        if (obstacle := self.obstacle(given_up)) is not None:
            raise NotAccepted(obstacle)
        epoch = self._desk.committed.epoch
        self.publish_reopening()
        desk = self._desk
        with desk.mutex:
            if not desk.progress.wait_for(lambda: desk.committed.epoch > epoch, REOPEN_MS / 1000):
                raise OutcomeUnknown("The log did not bring the reopening back in time; see /cluster.")
            return desk.committed.token
