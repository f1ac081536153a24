"""What a journal that was replaced has and the one in its place has not. Both are read, neither is changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bank.entries import Entry, from_row
from bank.errors import JournalFailed
from bank.journal import select_entries
from bank.journal_check import record_at
from bank.sqlite import connect

__all__ = ["entries_after_fork"]


def entries_after_fork(branch: Path, journal: Path) -> Iterator[Entry]:
    """Yield, in their order, the branch's entries from where its history is not the journal's any more.

    Raises JournalFailed if a file cannot be read.
    """
    try:
        # "rw" leaves no -wal and -shm beside a file that is about to be put aside.
        with closing(connect(branch, mode="rw")) as old, closing(connect(journal, mode="ro")) as new:
            fork = _fork(old, new)
            rows = old.execute(select_entries("e.position > ?") + " ORDER BY e.number", (fork,))
            for *row, instant_ms, bank in rows:
                yield from_row(tuple(row), instant_ms=instant_ms, bank=bank)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise JournalFailed(f"{branch} cannot be read: {error}") from error


def _fork(old: sqlite3.Connection, new: sqlite3.Connection) -> int:
    """Return the last position at which both have the same history: each chain digest covers all before it."""
    low, high = 0, min(_last_position(old), _last_position(new))
    while low < high:
        middle = (low + high + 1) // 2
        theirs, ours = record_at(old, middle), record_at(new, middle)
        if theirs is not None and ours is not None and theirs.chain == ours.chain:
            low = middle
        else:
            high = middle - 1
    return low


def _last_position(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(position), 0) FROM records").fetchone()[0])
