"""Whether this node stands on the log that it believes to stand on, and may therefore write.

A log can lose its end (a power cut of a broker, a restored file), and its counters lie. So the end of the log is
where a marker of one's own comes back, and a position that some member is known to have reached is *past the end*
if a marker published after it was known comes back while this node is still below it. Nobody writes operations on
a log that lost something. Pure: all times are handed in, monotonic, in milliseconds.
Invariant: no operation is published between `begin` and `settled` (tests/unit/test_attachment.py).
"""

from collections.abc import Collection

from bank.errors import LogLost

__all__ = ["Attachment", "Place"]

Place = tuple[int, int]
"""Epoch and position: a later epoch is further on, whatever its positions."""


class Attachment:
    """The steps of attaching to a log, and the checks that go on while attached."""

    def __init__(self, *, node: str, silent_ms_max: int, remembered: dict[str, Place]) -> None:
        """`remembered` is the highest place ever heard from each node, from the journal."""
        self._node = node
        self._silent_ms_max = silent_ms_max
        self.highest_heard = dict(remembered)
        self._began_ms = 0
        self._marker_seq = 0
        self._returned = False
        self._confirmed: set[str] = set()
        """The nodes that have read this node's marker, and were heard to say how far they were then."""
        self._is_proved = False
        self._claims: dict[str, tuple[Place, int]] = {}
        """Of a node ahead of this one: its place, and the record of one's own that will prove or refute it."""
        self._past_end: dict[str, Place] = {}

    def begin(self, *, now_ms: int, marker_seq: int) -> None:
        """Attach anew: the marker is this node's record `marker_seq` or a later one."""
        self._began_ms = now_ms
        self._marker_seq = marker_seq
        self._returned = False
        self._confirmed.clear()
        self._is_proved = False
        self._past_end.clear()
        self._claims = {name: (place, marker_seq) for name, place in self.highest_heard.items() if name != self._node}

    def end_heard(self, offset: int, last_offset: int) -> None:
        """Take in where the marker came back. Raises LogLost if this node had applied what stood there or later."""
        if offset <= last_offset:
            raise LogLost(
                f"The log ends at offset {offset}, but this node has applied offset {last_offset}: the log was lost "
                "or cut. Nothing was overwritten; give the log back, or rebuild it."
            )

    def heard(self, node: str, place: Place, *, read_seq: int, own_place: Place, next_seq: int) -> bool:
        """Take in a heartbeat. Returns True if a record must be published to find out whether the log lost it.

        `read_seq` is the latest record of this node's that the other had read when it was at `place`; 0 if none. Who
        has read the marker can bring no older surprise: all that it had before is in its place, and all that it reads
        later stands behind the marker. A heartbeat that merely arrives late proves nothing.
        """
        if place > self.highest_heard.get(node, (0, 0)):
            self.highest_heard[node] = place
        claim = self._claims.get(node)
        if claim is not None and place > claim[0]:
            return False  # more than is being proved: its next heartbeat will claim it
        if read_seq >= self._marker_seq:
            self._confirmed.add(node)
        if place <= own_place or claim is not None:
            return False
        self._claims[node] = (place, next_seq)
        return True

    def returned(self, seq: int, place: Place) -> None:
        """Take in that this node's record `seq` came back in log order, when the node was at `place`."""
        self._returned = self._returned or seq >= self._marker_seq
        for name, (reached, proof_seq) in list(self._claims.items()):
            if seq >= proof_seq:
                del self._claims[name]
                if place < reached:
                    self._past_end[name] = reached

    def reached(self, place: Place) -> None:
        """Take in what is committed: a log that was reopened leaves behind what was past the end of the old one."""
        if self._past_end:
            self._past_end = {name: past for name, past in self._past_end.items() if past[0] >= place[0]}

    def past_end(self, members: Collection[str]) -> dict[str, Place]:
        """Return the members that have reached a place which the log has lost since, with that place.

        Before a log has members, any node counts: whoever has a history did not get it from this log.
        """
        return {name: self._past_end[name] for name in members or self._past_end if name in self._past_end}

    @property
    def is_past_end(self) -> bool:
        """True if the log is known to have lost what some node has."""
        return bool(self._past_end)

    @property
    def is_proved(self) -> bool:
        """True once `settled` was found, for whatever company, and nothing speaks against it since."""
        return self._returned and self._is_proved and not self._past_end

    @property
    def at_end(self) -> bool:
        """True once the marker came back through the reader that applies: all that the log had is applied."""
        return self._returned

    def settled(self, members: Collection[str], *, now_ms: int) -> bool:
        """Tell whether operations may be published, as far as the log is concerned.

        Once all members have confirmed the marker, or have not for as long as makes a node silent, and none proved to
        be past the end, the log is the one that it was for as long as this attachment lasts: who is a little ahead
        from then on, or joins, holds up nobody.
        """
        if not self._returned or self.past_end(members):
            return False
        if not self._is_proved:
            missing = set(members) - self._confirmed - {self._node}
            is_confirmed = not missing or now_ms - self._began_ms >= self._silent_ms_max
            self._is_proved = is_confirmed and not self._claims.keys() & set(members or self._claims)
        return self._is_proved
