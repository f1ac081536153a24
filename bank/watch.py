"""Two watching threads.

The watchdog answers requests at their deadlines and notices what is wrong; the herald exchanges heartbeats.
Neither ever talks to the log: whoever does may hang for as long as the log does.
"""

import logging
import time
from collections.abc import Callable

import uuid_utils

from bank.administration import Administration
from bank.asking import Asked, resolve
from bank.desk import Desk, clock_ms, monotonic_ms
from bank.errors import LogUnreachable, StartRefused
from bank.ledger import genesis_operation
from bank.operations import Activate, Join, Operation
from bank.publisher import Publisher
from bank.records import VERSIONS
from bank.replica import Replica
from replication.presence import Heartbeat, Presence

__all__ = ["Herald", "Watchdog"]

log = logging.getLogger(__name__)

TICK_S = 0.025
TWIN_WAIT_MS = 10_000
FOLLOWING = {"pronto", "atrasado", "relogio", "divergente"}
"""States of a node that follows the log."""


class Watchdog:
    """Looks at the desk forty times a second."""

    def __init__(
        self, desk: Desk, publisher: Publisher, administration: Administration, *, histories: Callable[[], list[str]]
    ) -> None:
        """`histories` names the other nodes whose journals are known to have applied anything."""
        self._administration = administration
        self._desk = desk
        self._publisher = publisher
        self._histories = histories
        self._began_ms = monotonic_ms()
        self._genesis_after_ms = self._began_ms + desk.config.genesis_wait_ms
        self._join_again_ms = 0
        self._look_again_ms = 0
        self._reopen_after_ms: int | None = None
        self._state = ""

    def run(self) -> None:
        """Look until the node has stopped and nobody waits."""
        desk = self._desk
        while not (desk.stopping.is_set() and desk.node.is_idle):
            now_ms = monotonic_ms()
            with desk.mutex:
                completions = desk.node.expire(now_ms)
                self._look_for_trouble(now_ms)
                self._keep_log_alive(now_ms)
                self._join(now_ms)
                state = desk.condition().state
                desk.was_ready = desk.was_ready or state == "pronto"
            resolve(completions)
            self._begin_log(now_ms)
            if state == "livro_perdido":
                self._reopen_log(now_ms)
            if state != self._state:
                log.info("state changed", extra={"state": state, "position": desk.committed.position})
                self._state = state
            time.sleep(TICK_S)

    def _look_for_trouble(self, now_ms: int) -> None:
        desk, config = self._desk, self._desk.config
        applying_ms = now_ms - desk.applying_since_ms if desk.applying_since_ms is not None else 0
        desk.troubles.lagging = max(applying_ms, desk.behind_ms(now_ms)) > config.lag_ms_max
        desk.troubles.clock_off = desk.peers.clock_is_off(now_ms, config.clock_skew_ms_max)
        if self._is_record_lost(now_ms) and not desk.troubles.log_down:
            desk.troubles.log_down = "What this node published did not come back through the log in time."
            desk.reattach.set()

    def _is_record_lost(self, now_ms: int) -> bool:
        """Tell whether the log owes this node a record. Who is behind still has it ahead, however long the way."""
        desk, patience_ms = self._desk, self._desk.config.record_silent_ms_max
        oldest_ms = desk.node.oldest_flight_ms()
        if oldest_ms is None or now_ms - oldest_ms <= patience_ms:
            return False
        is_read_to_the_end = desk.attachment.at_end and desk.log_drained_ms - oldest_ms > patience_ms
        return is_read_to_the_end or now_ms - desk.log_heard_ms > patience_ms

    def _keep_log_alive(self, now_ms: int) -> None:
        """The live node of the lowest name publishes an empty record into a silent log, so that silence tells."""
        desk = self._desk
        if now_ms - desk.log_heard_ms < desk.config.log_heartbeat_ms or desk.node.oldest_flight_ms() is not None:
            return
        if all(desk.config.node_name < peer.heartbeat.node for peer in desk.peers.live(now_ms)):
            desk.node.want_record()
            desk.work.notify()

    def _join(self, now_ms: int) -> None:
        """Become a member of the log, before this node's first operation; say anew what a new program can read."""
        desk, name = self._desk, self._desk.config.node_name
        if desk.committed.members.get(name) == VERSIONS or now_ms < self._join_again_ms or not desk.may_publish():
            return
        self._join_again_ms = now_ms + desk.config.request_deadline_ms
        operations: list[Operation] = [Join(str(uuid_utils.uuid7()), name, VERSIONS)]
        if not desk.committed.members:  # a log that begins: nobody is there who could not read the newest
            operations.append(Activate(str(uuid_utils.uuid7()), VERSIONS[-1]))
        requests = list(zip(operations, Asked(len(operations)).waiters, strict=True))  # nobody waits for the answers
        desk.node.propose_all(requests, self._join_again_ms)
        desk.work.notify()

    def _begin_log(self, now_ms: int) -> None:
        """Begin the log if it is empty and nobody has a history; if several nodes do, the first record counts."""
        desk = self._desk
        if desk.config.join_only or desk.committed.log_id:
            return
        if now_ms < self._genesis_after_ms or not desk.attachment.at_end:
            return
        self._genesis_after_ms = now_ms + desk.config.genesis_wait_ms
        histories = self._histories()
        with desk.mutex:
            if histories or any(peer.heartbeat.position > 0 for peer in desk.peers.live(now_ms)):
                # Somebody has a history. Either its log is this one and will bring it, or this one lost it: a record
                # published from now on will tell.
                for name in histories:
                    desk.hear(name, (1, 1))
                return
            log_id = uuid_utils.uuid4().hex
            self._publisher.beginning = genesis_operation(operation_id=str(uuid_utils.uuid7()), log_id=log_id)
            desk.work.notify()
        log.info("log begun", extra={"log_id": log_id})

    def _reopen_log(self, now_ms: int) -> None:
        """Reopen a lost log if that loses nothing: all members are there, and this one has all that they have."""
        desk = self._desk
        if now_ms < self._look_again_ms:
            return
        self._look_again_ms = now_ms + desk.config.heartbeat_ms
        desk.obstacle = self._administration.obstacle() or self._administration.contradiction() or ""
        if desk.obstacle:
            self._reopen_after_ms = None
        elif self._reopen_after_ms is None:
            self._reopen_after_ms = now_ms + desk.config.genesis_wait_ms
        elif now_ms >= self._reopen_after_ms:
            self._reopen_after_ms = now_ms + desk.config.record_silent_ms_max
            self._administration.publish_reopening()


class Herald:
    """Owns the presence transport: tells of this node, hears of the others."""

    def __init__(self, desk: Desk, presence: Presence, replica: Replica) -> None:
        """Exchange heartbeats for `desk`; compare what others hold with `replica`."""
        self._desk = desk
        self._presence = presence
        self._replica = replica
        self._beat = 0
        self._known_against: list[str] = []
        self._twins: dict[str, int] = {}
        """The last beat of each other session of this node's name."""
        self._refuse_at_ms = monotonic_ms() + TWIN_WAIT_MS

    def run(self) -> None:
        """Beat until the node stops, then say so."""
        desk = self._desk
        is_unreachable = False
        while not desk.stopping.is_set():
            try:
                self._exchange()
                if is_unreachable:
                    log.info("presence answers")
                is_unreachable = False
            except LogUnreachable as error:
                if not is_unreachable:
                    log.warning("presence unreachable", extra={"reason": str(error)})
                is_unreachable = True
            desk.pause(desk.config.heartbeat_ms / 1000)
        try:
            self._presence.leave()
        except LogUnreachable as error:
            log.warning("presence unreachable", extra={"reason": str(error)})

    def _exchange(self) -> None:
        desk = self._desk
        heard = self._presence.exchange(self.heartbeat())
        others = [heartbeat for heartbeat in heard if heartbeat.node != desk.config.node_name]
        self._notice_twin([heartbeat for heartbeat in heard if heartbeat.node == desk.config.node_name])
        now_ms = monotonic_ms()
        with desk.mutex:
            fresh = desk.peers.observe(others, now_ms=now_ms, clock_ms=clock_ms())
            for heartbeat in fresh:
                if heartbeat.log_id == desk.committed.log_id or not desk.committed.log_id:
                    place, read_seq = (heartbeat.epoch, heartbeat.position), heartbeat.read.get(desk.node.session, 0)
                    desk.hear(heartbeat.node, place, read_seq=read_seq)
            peers = [peer.heartbeat for peer in desk.peers.live(now_ms)]
            places = ((peer.epoch, peer.position) for peer in peers if peer.log_id == desk.committed.log_id)
            desk.behind_ms(now_ms, heard=max(places, default=(0, 0)))
        for heartbeat in fresh:
            is_of_this_history = (heartbeat.log_id, heartbeat.epoch) == (desk.committed.log_id, desk.committed.epoch)
            # Who has not proved yet that it stands on the log, or knows that it does not, contradicts nobody.
            if is_of_this_history and heartbeat.position > 0 and heartbeat.state in FOLLOWING:
                digests = bytes.fromhex(heartbeat.chain), bytes.fromhex(heartbeat.digest)
                self._replica.hear(heartbeat.node, heartbeat.position, *digests)
        against = self._replica.contradicting()
        if against != self._known_against:
            self._known_against = against
            desk.recheck.set()

    def _notice_twin(self, twins: list[Heartbeat]) -> None:
        """Wait for an old holder of this node's name to fall silent. Raises StartRefused if it does not."""
        # What a dead session left behind is heard as well, and does not beat.
        living = [twin for twin in twins if self._twins.get(twin.session, twin.beat) != twin.beat]
        self._twins = {twin.session: twin.beat for twin in twins}
        if not living:
            return
        log.warning("another node has this node's name", extra={"peer": living[0].addresses})
        with self._desk.mutex:
            self._desk.hear_twin()
            if self._desk.was_ready or monotonic_ms() < self._refuse_at_ms:
                return
        raise StartRefused(
            f"A node named {self._desk.config.node_name} runs already, at {', '.join(living[0].addresses)}: "
            "stop it, or give this one another NODE_NAME."
        )

    def heartbeat(self) -> Heartbeat:
        """Return what this node says of itself now."""
        desk = self._desk
        self._beat += 1
        with desk.mutex:
            committed, state, stopped = desk.committed, desk.condition().state, desk.has_stopped()
            lag_ms = desk.behind_ms(monotonic_ms())
            sessions = [peer.heartbeat.session for peer in desk.peers.live(monotonic_ms())]
            read = {session: desk.read_up_to[session] for session in sessions if session in desk.read_up_to}
        return Heartbeat(
            node=desk.config.node_name,
            session=desk.node.session,
            beat=self._beat,
            addresses=desk.config.addresses,
            log_id=committed.log_id,
            epoch=committed.epoch,
            position=committed.position,
            chain=committed.chain.hex(),
            digest=committed.digest.hex(),
            state=state,
            lag_ms=lag_ms,
            stopped=stopped,
            read=read,
            clock_ms=clock_ms(),
        )
