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
    for name in sorted(set(members) - {node} - set(given_up)):
        heard = live.get(name)
        if heard is None:
            return f"{name} does not answer: start it, or give it up with --sem {name}."
        if heard.log_id != log_id:
            return f"{name} follows another log."
        if not heard.stopped:
            return f"{name} is in state {heard.state}: it has not stopped at the end of the log."
        theirs = (heard.epoch, heard.position)
        if theirs > place or (theirs == place and name < node):
            where = ", ".join(heard.addresses)
            return f"{name} comes first, with position {heard.position}: reopen the log there, at {where}."
    return None


def contradiction(
    live: Mapping[str, Heartbeat], members: Collection[str], chain_at: Callable[[int], str]
) -> str | None:
    """Say which member's history is not a beginning of this node's, or None."""
    for name in sorted(set(members) & set(live)):
        heard = live[name]
        if heard.position and chain_at(heard.position) != heard.chain:
            return f"{name} has another history at position {heard.position}: an operator must choose."
    return None
