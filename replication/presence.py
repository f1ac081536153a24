"""Presence: which nodes live, where they are reached, how far they are and what they hold.

A node beats every half second; one that was not heard for five is silent. Hearing is a *change*: what a dead node
left behind on a shared disk is never taken for life. Knows no transport; the clock is handed in.
Invariant: a peer is live if and only if a new beat of it came within the silence limit
(tests/unit/test_presence.py).
"""

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

__all__ = ["Heartbeat", "Peer", "PeerTable", "Presence"]


class Heartbeat(Struct, frozen=True, kw_only=True):
    """What a node says of itself. Positions and digests are of what it has committed.

    Unknown fields are let pass: while nodes are upgraded one by one, old and new must hear each other.
    """

    node: str
    session: str
    beat: int
    addresses: tuple[str, ...]
    log_id: str
    epoch: int
    position: int
    chain: str
    digest: str
    state: str
    lag_ms: int
    stopped: bool = False
    """It found the log lost, has read what is left of it to the end, and publishes nothing."""
    read: dict[str, int] = {}
    """Of each session, the latest record that the node had read when it was at this position: session to seq."""
    clock_ms: int
    """The node's wall clock when it beat: milliseconds since 1970, UTC."""


class Presence(Protocol):
    """Carries heartbeats between nodes. Belongs to one thread."""

    spans_machines: bool
    """If so, no lock on a file keeps two nodes from running under one name."""

    def exchange(self, mine: Heartbeat) -> list[Heartbeat]:
        """Tell the others of this node; return the latest heartbeat of each other session that has not left.

        Raises LogUnreachable.
        """

    def leave(self) -> None:
        """Tell the others that this node stops."""

    def close(self) -> None:
        """Release the transport."""


@dataclass(slots=True)
class Peer:
    """Another node, as last heard."""

    heartbeat: Heartbeat
    heard_ms: int
    """When its last new beat came, monotonic; -1 until one came."""
    skew_ms: int = 0
    """Its wall clock minus ours, when it was heard."""


class PeerTable:
    """The other nodes, by name. All times are milliseconds; `now_ms` is monotonic, `clock_ms` the wall clock."""

    def __init__(self, silent_ms_max: int) -> None:
        """Call a node silent after this long without a new beat."""
        self._silent_ms_max = silent_ms_max
        self._peers: dict[str, Peer] = {}

    def observe(self, heartbeats: list[Heartbeat], *, now_ms: int, clock_ms: int) -> list[Heartbeat]:
        """Take in what an exchange returned; return those heartbeats that are new."""
        named = {heartbeat.node for heartbeat in heartbeats}
        self._peers = {name: peer for name, peer in self._peers.items() if name in named}
        fresh = []
        for heartbeat in heartbeats:
            peer = self._peers.get(heartbeat.node)
            if peer is None:
                self._peers[heartbeat.node] = Peer(heartbeat, heard_ms=-1)
            elif (heartbeat.session, heartbeat.beat) != (peer.heartbeat.session, peer.heartbeat.beat):
                self._peers[heartbeat.node] = Peer(heartbeat, now_ms, heartbeat.clock_ms - clock_ms)
                fresh.append(heartbeat)
        return fresh

    def live(self, now_ms: int) -> list[Peer]:
        """Return the peers heard within the silence limit, by name."""
        peers = (self._peers[name] for name in sorted(self._peers))
        return [peer for peer in peers if peer.heard_ms >= 0 and now_ms - peer.heard_ms <= self._silent_ms_max]

    def clock_is_off(self, now_ms: int, skew_ms_max: int) -> bool:
        """Tell whether this node's clock is far from those of more than half of the live nodes, itself counted."""
        live = self.live(now_ms)
        far = sum(abs(peer.skew_ms) > skew_ms_max for peer in live)
        return 2 * far > len(live) + 1
