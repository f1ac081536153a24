"""The desk: what the threads of one node share, all of it under one mutex.

An ordinary mutex, for it guards requests and counters, not accounts: account state is behind the bakery locks.
Nobody does I/O or waits for an answer while holding it. Answers are given after it was released.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from bank.asking import Asked, resolve
from bank.attachment import Attachment, Place
from bank.committed import Committed
from bank.condition import Condition, Troubles, condition_of
from bank.config import Config
from bank.errors import NotReady, OutcomeUnknown
from bank.metrics import Metrics
from bank.node import Node
from bank.operations import Operation
from bank.records import Base, version_of
from bank.waiting import Head
from replication.log import Replicas
from replication.presence import Peer, PeerTable

__all__ = ["SESSIONS_MAX", "Desk", "clock_ms", "monotonic_ms"]

log = logging.getLogger(__name__)

SESSIONS_MAX = 256
"""Of so many sessions this node remembers how far it has read: of those heard last, which are those that live."""


def monotonic_ms() -> int:
    """Return a clock for durations."""
    return time.monotonic_ns() // 1_000_000


def clock_ms() -> int:
    """Return the wall clock: milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Desk:
    """Shared by the threads of one node."""

    def __init__(self, config: Config, *, session: str, committed: Committed, heard: dict[str, Place]) -> None:
        """Begin detached, with what the journal had."""
        self.config = config
        self.metrics = Metrics()
        self.mutex = threading.Lock()
        self.work = threading.Condition(self.mutex)
        """Notified when there may be something to publish."""
        self.progress = threading.Condition(self.mutex)
        """Notified after every commit and every change of trouble."""
        self.node = Node(name=config.node_name, session=session, queue_max=config.queue_operations_max)
        self.attachment = Attachment(node=config.node_name, silent_ms_max=config.peer_silent_ms_max, remembered=heard)
        self.peers = PeerTable(config.peer_silent_ms_max)
        self.committed = committed
        self.troubles = Troubles()
        self.stopping = threading.Event()
        self.attached_once = False
        self.was_ready = False
        """True once this node has accepted writes: from then on its name is its own."""
        self._listen_until_ms = 0
        self.log_heard_ms = monotonic_ms()
        """When the log last brought anything."""
        self.log_drained_ms = 0
        """When it last had nothing more to bring."""
        self.read_up_to: OrderedDict[str, int] = OrderedDict()
        """Of each session heard through the log, its latest record; all before it is committed. Session to seq."""
        self._behind: tuple[Place, int] | None = None
        self.applying_since_ms: int | None = None
        self.reattach = threading.Event()
        """Set when the log is in doubt: the applier attaches anew."""
        self.branch = ""
        """Why a branch cannot come home yet. A sentence for operators."""
        self.obstacle = ""
        """Why this node does not reopen a lost log by itself. A sentence for operators."""
        self.replicas: Replicas | None = None
        """How many brokers hold the log, when last counted."""
        self.rejoin = threading.Event()
        """Set when an operator sends this node, which has lost the log, to its peers for a journal."""
        self.recheck = threading.Event()
        """Set when another node contradicts this one: the applier recomputes its digests."""

    # --- state ---------------------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """Return what the node is like now. Called under the mutex."""
        return condition_of(
            self.troubles,
            is_stopping=self.stopping.is_set(),
            lost_to_others=self._lost_to_others(),
            starting=self._starting(),
        )

    def _starting(self) -> str:
        if self.may_publish() and self.config.node_name in self.committed.members:
            return ""
        if self.config.join_only and self.attachment.at_end and not self.committed.log_id:
            return "The log holds no bank, and this node begins none (JOIN_ONLY)."
        return "The node is attaching to the log."

    def _lost_to_others(self) -> str:
        if not self.attachment.is_past_end:
            return ""
        past = self.attachment.past_end(self._company())
        ahead = ", ".join(f"{name} at position {position}" for name, (_, position) in sorted(past.items()))
        return f"The log lost what these members have: {ahead}." if ahead else ""

    def is_stopped(self) -> bool:
        """Tell whether the log is lost, and what is left of it was read to its end. Called under the mutex."""
        return self.condition().state == "livro_perdido" and self.attachment.at_end

    def has_stopped(self) -> bool:
        """Tell whether others may reopen the log as far as this node is concerned. Called under the mutex.

        They may as well if it looks for a journal that nobody has: it stays where it is until then.
        """
        return self.is_stopped() or bool(self.troubles.joining)

    def may_publish(self) -> bool:
        """Tell whether operations may go into the log. Called under the mutex."""
        troubles = self.troubles
        if troubles.log_down or troubles.log_lost or troubles.joining or troubles.diverged or not self.committed.log_id:
            return False
        if monotonic_ms() < self._listen_until_ms:
            return False
        return self.is_settled()

    def is_settled(self) -> bool:
        """Tell whether the log is known to be the one that this node knows, whole. Called under the mutex."""
        if self.attachment.is_proved:  # the way of nearly every request
            return True
        return self.attachment.settled(self._company(), now_ms=monotonic_ms())

    def _company(self) -> set[str]:
        """Return the members, and who lives and has this history too: joined, perhaps, in what this node lacks."""
        members = set(self.committed.members)
        return members and members | {peer.heartbeat.node for peer in self.peers_of_this_log()}

    def peers_of_this_log(self) -> list[Peer]:
        """Return the live nodes that have this log's history. Called under the mutex."""
        live = self.peers.live(monotonic_ms())
        return [peer for peer in live if peer.heartbeat.log_id == self.committed.log_id]

    def listen_first(self) -> None:
        """Publish no operations before three heartbeats have passed in which a twin would have been heard."""
        self._listen_until_ms = monotonic_ms() + 3 * self.config.heartbeat_ms

    def hear_twin(self) -> None:
        """Another live node has this node's name: whoever came later waits until it is silent. Under the mutex."""
        if not self.was_ready:
            self._listen_until_ms = monotonic_ms() + self.config.peer_silent_ms_max

    def head(self) -> Head:
        """Return what the next record says of the log and of this node. Called under the mutex."""
        committed = self.committed
        base = Base(committed.position, committed.chain.hex() if committed.position else "")
        return Head(committed.version, committed.log_id, committed.epoch, base)

    def behind_ms(self, now_ms: int, heard: Place = (0, 0)) -> int:
        """Return for how long a place that a peer announced was not reached; 0 if none is. Under the mutex."""
        if self._behind is not None and self.committed.place >= self._behind[0]:
            self._behind = None
        if self._behind is None and heard > self.committed.place:
            self._behind = (heard, now_ms)
        return now_ms - self._behind[1] if self._behind else 0

    def begin_attach(self) -> int:
        """Detach, and have a marker published; return the least seq that it can have."""
        with self.mutex:
            marker_seq = self.node.want_record()
            self.attachment.begin(now_ms=monotonic_ms(), marker_seq=marker_seq)
            self.work.notify()
        return marker_seq

    def hear(self, node: str, place: Place, *, read_seq: int = 0) -> None:
        """Take in how far another node is: if ahead, a record will tell whether the log lost that. Under the mutex.

        `read_seq` is the latest record of this node's that the other had read by then.
        """
        own_place, next_seq = self.committed.place, self.node.next_seq
        if self.attachment.heard(node, place, read_seq=read_seq, own_place=own_place, next_seq=next_seq):
            self.node.want_record()
            self.work.notify()

    def returned(self, seq: int, place: Place) -> None:
        """Take in that a record of this node's own came back. Called under the mutex."""
        self.attachment.returned(seq, place)
        self.attached_once = self.attached_once or self.attachment.at_end

    def has_read(self, session: str, seq: int) -> None:
        """Take in that a record came, and that all before it is committed. Called under the mutex."""
        self.read_up_to[session] = max(seq, self.read_up_to.get(session, 0))
        self.read_up_to.move_to_end(session)
        if len(self.read_up_to) > SESSIONS_MAX:
            self.read_up_to.popitem(last=False)

    def log_is_up(self) -> None:
        """The log answers, and it is the one that this node knows."""
        self.log_heard_ms = monotonic_ms()
        self._set_trouble("log_down", "")
        self._set_trouble("log_lost", "")

    def log_is_down(self, sentence: str) -> None:
        """The log does not answer: reads are marked at once, writes refused at once."""
        self._set_trouble("log_down", sentence)

    def lose_log(self, sentence: str) -> None:
        """The log is another one, or was cut: nothing more is accepted until it is rebuilt; nobody need wait."""
        if sentence != self.troubles.log_lost:
            log.error("log lost", extra={"reason": sentence, "position": self.committed.position})
        self._set_trouble("log_lost", sentence)
        self._give_up_all()

    def join(self, sentence: str) -> None:
        """The node takes a copy of a peer's journal; the sentence says how far it is, "" that it looks for none."""
        if sentence not in {"", self.troubles.joining}:
            log.info("joining", extra={"reason": sentence})
        self._set_trouble("joining", sentence)

    def diverge(self, sentence: str) -> None:
        """The node contradicts the others: it stays up and serves nothing."""
        self._set_trouble("diverged", sentence)

    def _set_trouble(self, name: str, sentence: str) -> None:
        with self.mutex:
            setattr(self.troubles, name, sentence)
            self.progress.notify_all()
            self.work.notify()

    def fail(self, sentence: str) -> None:
        """Stop accepting anything, for good; whoever waits is told what is known."""
        with self.mutex:
            self.troubles.failure = self.troubles.failure or sentence
            self.progress.notify_all()
        self._give_up_all()

    def _give_up_all(self) -> None:
        with self.mutex:
            completions = self.node.give_up_all()
        resolve(completions)

    def pause(self, seconds: float) -> None:
        """Wait, but not while the node stops."""
        self.stopping.wait(seconds)

    # --- requests ------------------------------------------------------------------------------------------------

    def submit(self, operations: Sequence[Operation]) -> Asked:
        """Hand the operations of one request in, all or none, to take effect in this order.

        The result of each is an Answer or an error. Raises NotAccepted at once.
        """
        asked = Asked(len(operations))
        with self.mutex:
            refusal = self.condition().refusal or self._too_new(operations)
            if refusal is not None:
                if any(self.node.is_unsettled(operation.id) for operation in operations):
                    raise OutcomeUnknown(f"An earlier attempt is not settled. {refusal}")
                raise refusal
            requests = list(zip(operations, asked.waiters, strict=True))
            self.node.propose_all(requests, monotonic_ms() + self.config.request_deadline_ms)
            self.work.notify()
        return asked

    def _too_new(self, operations: Sequence[Operation]) -> NotReady | None:
        """Say that some member may be unable to read one of these operations, if so."""
        if all(version_of(operation) <= self.committed.version for operation in operations):
            return None
        return NotReady("Not every node reads batches yet: activate the newer record version.")

    def read(self, account_id: str, deadline_ms: int) -> Asked:
        """Hand a linearizable read in; the result is an AccountView or a Timeout."""
        asked = Asked(1)
        with self.mutex:
            self.node.read(account_id, asked.waiters[0], monotonic_ms() + deadline_ms)
            self.work.notify()
        return asked

    def wait_committed(self, position: int, timeout_ms: int) -> bool:
        """Wait until this position is on the disk; tell whether it is."""
        with self.mutex:
            return self.progress.wait_for(
                lambda: self.committed.position >= position or self.stopping.is_set(), timeout_ms / 1000
            )
