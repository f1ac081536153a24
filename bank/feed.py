"""The feed: what this node applies, in log order, from any place of the history on.

Reads the journal, so nothing is told that is not on the disk; woken by the desk after every commit. Knows no HTTP.
Invariant: who goes on from the mark of the last entry told misses none and hears none twice
(tests/integration/test_events.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bank.desk import Desk
from bank.entries import Entry
from bank.journal_reader import JournalReader
from bank.views import Token

__all__ = ["Feed", "Mark"]

PAGE_ENTRIES = 500

_MARK = re.compile(r"(.+)\.(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place between two entries: behind the first `told` ones of the record at `token`."""

    token: Token
    told: int

    def __str__(self) -> str:
        """Return the form that customers see."""
        return f"{self.token}.{self.told}"

    @classmethod
    def parse(cls, text: str) -> "Mark":
        """Read the form that customers see. Raises ValueError for any other text."""
        match = _MARK.fullmatch(text)
        if match is None:
            raise ValueError(f"not a mark: {text[:60]!r}")
        return cls(Token.parse(match[1]), int(match[2]))


class Feed:
    """What one node has applied and goes on applying. Any thread may read it."""

    def __init__(self, desk: Desk, history: JournalReader) -> None:
        """Read what `history` holds, woken by the desk."""
        self._desk = desk
        self._history = history

    @property
    def is_ending(self) -> bool:
        """True once the node stops."""
        return self._desk.stopping.is_set()

    def now(self) -> Mark:
        """Return the mark behind all that this node has applied."""
        token = self._desk.committed.token
        return Mark(token, self._last_entry(token.position) - self._last_entry(token.position - 1))

    def number_at(self, mark: Mark) -> int:
        """Return the number of the entry before the mark, whose position this node has reached.

        Raises ValueError if the record has not that many entries.
        """
        before = self._last_entry(mark.token.position - 1)
        if before + mark.told > self._last_entry(mark.token.position):
            raise ValueError(f"no such entry: {mark}")
        return before + mark.told

    def after(self, number: int) -> Iterator[tuple[Mark, Entry]]:
        """Yield the next entries after this number, a page at most, each with the mark behind it."""
        position, before, token = 0, 0, Token(1, 0, "")
        for entry in self._history.entries_after(number, PAGE_ENTRIES):
            if entry.position != position:
                position, before = entry.position, self._last_entry(entry.position - 1)
                record = self._history.record(position)
                assert record is not None, "an entry is committed together with its record"
                token = Token(record.epoch, position, record.chain.hex()[:8])
            yield Mark(token, entry.number - before), entry

    def wait_beyond(self, position: int, timeout_ms: int) -> None:
        """Wait until more than this position is on the disk, the time is up, or the node stops."""
        self._desk.wait_committed(position + 1, timeout_ms)

    def pause(self, seconds: float) -> None:
        """Wait, but not while the node stops."""
        self._desk.pause(seconds)

    @property
    def position(self) -> int:
        """How far this node is."""
        return self._desk.committed.position

    def _last_entry(self, position: int) -> int:
        record = self._history.record(position)
        return record.last_entry if record else 0
