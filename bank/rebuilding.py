"""Who may reopen a lost or shortened log, and from where.

The log goes on, in a new epoch, from the longest history there is. It happens by itself if every member is there,
stopped, and holds a beginning of that history; otherwise an operator says which members are given up. Pure.
Invariant: of several nodes that reopen a log at once, the first in the log counts (tests/unit/test_rebuilding.py).
"""

from collections.abc import Callable, Collection, Mapping

from bank.attachment import Place
from replication.presence import Heartbeat

__all__ = ["contradiction", "obstacle"]


def obstacle(
    *, node: str, place: Place, log_id: str, members: Collection[str], live: Mapping[str, Heartbeat],
    given_up: Collection[str] = (),
) -> str | None:  # fmt: skip
    """Say why this node must not reopen the log, or None. A sentence for operators.

    `live` has the last heartbeat of every other live node, by name. The node itself is stopped.
    """
    if not log_id or place[1] == 0:
        return "This node has no history that the log could go on from."
    for name in sorted(given_up):
        if name == node or name in live:
            return f"{name} answers: stop it before it is given up."
    for name, heard in sorted(live.items()):
        if heard.log_id not in {"", log_id}:
            return f"{name} follows another log: a second history in one log would help nobody."
    for name in sorted(set(members) - {node} - set(given_up)):
        if (why := _waits_for(name, live.get(name), node, place)) is not None:
            return why
    for name, heard in sorted(live.items()):
        if (heard.epoch, heard.position) > place:  # it joined in what this node lacks
            return _comes_first(name, heard)
    return None


def _waits_for(name: str, peer: Heartbeat | None, node: str, place: Place) -> str | None:
    if peer is None:
        return f"{name} does not answer: start it, or give it up with --sem {name}."
    if not peer.log_id:
        return f"{name} has an empty journal and may have lost answers: stop it and give it up with --sem {name}."
    if not peer.stopped:
        return f"{name} is in state {peer.state}: it has not stopped at the end of the log."
    theirs = (peer.epoch, peer.position)
    return _comes_first(name, peer) if theirs > place or (theirs == place and name < node) else None


def _comes_first(name: str, peer: Heartbeat) -> str:
    where = ", ".join(peer.addresses)
    return f"{name} comes first, with position {peer.position}: reopen the log there, at {where}."


def contradiction(live: Mapping[str, Heartbeat], log_id: str, chain_at: Callable[[int], str]) -> str | None:
    """Say which live node's history is not a beginning of this node's, or None."""
    for name, heard in sorted(live.items()):
        if heard.log_id != log_id:
            continue
        if heard.position and chain_at(heard.position) != heard.chain:
            return f"{name} has another history at position {heard.position}: an operator must choose."
    return None
