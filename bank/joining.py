"""Joining: a node that cannot go on from its own journal takes a copy of a peer's, and begins anew with it.

Two cases: an empty journal at a log with a long history, which would take long to replay; and a log that was
reopened from a place where this node is not. The copy is examined whole, and compared with what its giver and one
more node say of that position. Belongs to the applier's thread; nothing is applied meanwhile.
"""

import logging
import time
from pathlib import Path

from bank.desk import Desk, monotonic_ms
from bank.errors import JournalFailed, JournalReplaced, LogUnreachable
from bank.journal_copy import STAGED_NAME, adopt, examine
from replication.presence import Heartbeat
from replication.snapshot import Peers

__all__ = ["Joiner"]

log = logging.getLogger(__name__)

LISTEN_MS = 1_500
"""Three heartbeats: whoever lives was heard twice by then, which is what counts."""
REPLAYED_MAX = 2_000
"""A history of this many records is replayed sooner than a copy is fetched."""
SECOND_OPINION_MS = 5_000
AGAIN_S = 1.0


class Joiner:
    """Fetches a journal for the node in `folder`."""

    def __init__(self, desk: Desk, folder: Path, peers: Peers) -> None:
        """Take copies for the node of `desk`."""
        self._desk = desk
        self._folder = folder
        self._peers = peers

    def join_late(self) -> None:
        """Take a copy if this node's journal is empty and some peer's history is long. Raises JournalReplaced."""
        desk = self._desk
        if desk.committed.position > 0:
            return
        until_ms = monotonic_ms() + LISTEN_MS
        while monotonic_ms() < until_ms and not desk.stopping.is_set():
            if any(giver.position > REPLAYED_MAX for giver in self._givers(least_epoch=1)):
                self.take_journal("This node is new.", least_epoch=1)
                break  # nobody gives one: replaying takes longer, and always works
            time.sleep(0.05)
        desk.join("")

    def take_journal(self, why: str, least_epoch: int) -> None:
        """Take a copy from whoever gives one. Raises JournalReplaced when it is here.

        Only a history of this epoch or a later one will do. Returns if nobody gave a good one for as long as makes
        a peer silent.
        """
        desk = self._desk
        until_ms = monotonic_ms() + desk.config.peer_silent_ms_max
        while not desk.stopping.is_set() and monotonic_ms() < until_ms:
            givers = self._givers(least_epoch)
            if not givers:
                desk.join(f"{why} No peer that could give its journal is heard.")
            for giver in givers:
                try:
                    self._take_from(giver, least_epoch, why)
                except (LogUnreachable, JournalFailed) as error:
                    log.warning("no copy", extra={"peer": giver.node, "reason": str(error)})
                    desk.join(f"{why} {giver.node} gave no copy: {error}")
            desk.pause(AGAIN_S)

    def _givers(self, least_epoch: int) -> list[Heartbeat]:
        """Return the healthy live peers that have enough, the furthest first."""
        desk = self._desk
        with desk.mutex:
            live = [peer.heartbeat for peer in desk.peers.live(monotonic_ms())]
        log_id = desk.committed.log_id
        fit = [
            peer
            for peer in live
            if peer.state == "pronto" and peer.epoch >= least_epoch and peer.log_id == (log_id or peer.log_id)
        ]
        return sorted(fit, key=lambda peer: (-peer.epoch, -peer.position, peer.node))

    def _take_from(self, giver: Heartbeat, least_epoch: int, why: str) -> None:
        desk = self._desk
        part = self._folder / "entrada.part"
        desk.join(f"{why} {giver.node} gives a copy of its journal.")
        tenth = 0

        def tell(came: int, total: int) -> None:
            nonlocal tenth
            if came * 10 // max(1, total) > tenth:
                tenth = came * 10 // total
                desk.join(f"{why} {giver.node} gives its journal: {tenth * 10} % of {total} bytes have come.")

        # A SQLite file takes what an interrupted attempt left beside it for its own.
        for left in self._folder.glob(f"{part.name}*"):
            left.unlink()
        self._peers.fetch(giver.addresses[0], part, tell)
        state, digest = examine(part)
        if state.epoch < least_epoch or state.log_id != giver.log_id:
            raise JournalFailed(f"the copy is of epoch {state.epoch} of log {state.log_id}")
        self._compare(giver, state.position, (state.chain.hex(), digest.hex()))
        adopt(part, node=desk.config.node_name)
        part.rename(self._folder / STAGED_NAME)
        raise JournalReplaced(f"Begins anew with the journal of {giver.node}, position {state.position}.")

    def _compare(self, giver: Heartbeat, position: int, found: tuple[str, str]) -> None:
        """Let the giver and one more node confirm the digests; a node that is alone with its history is believed."""
        others = [peer for peer in self._givers(giver.epoch) if peer.node != giver.node]
        for peer in [giver, *others[:1]]:
            said = self._digests(peer, position)
            if said != found:
                raise JournalFailed(f"{peer.node} has other digests for position {position}: {said}, not {found}")

    def _digests(self, peer: Heartbeat, position: int) -> tuple[str, str] | None:
        until_ms = monotonic_ms() + SECOND_OPINION_MS
        while (said := self._peers.digests(peer.addresses[0], position)) is None and monotonic_ms() < until_ms:
            self._desk.pause(0.1)  # it may be a little behind the giver
        return said
