"""Copies of journals: made while a node runs, examined as if they came from a stranger, put in a journal's place.

A copy is a closed file made by `VACUUM INTO`, of one moment. Who takes one recomputes everything in it: pages,
accounts, totals and the whole history. A journal that another replaces is kept aside, never deleted.
Invariant: whatever is interrupted, the folder holds the old journal or the examined copy under the journal's name
(tests/unit/test_journal_copy.py).
"""

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from bank.errors import JournalFailed
from bank.journal_check import history_problem, load_state, record_at, state_problem
from bank.sqlite import connect, transaction
from bank.state import State

__all__ = ["BRANCH", "FILE_NAME", "STAGED_NAME", "adopt", "copy_journal", "examine", "set_in_place"]

FILE_NAME = "diario.sqlite"
STAGED_NAME = "entrada.sqlite"
"""An examined copy that becomes the journal at the next start."""
BRANCH = "ramo-*.sqlite"
"""Journals that were replaced, and may hold what the new one lacks."""


def copy_journal(source: Path, target: Path) -> None:
    """Write a copy of a journal that may be in use; its owner goes on meanwhile. Raises sqlite3.Error."""
    target.unlink(missing_ok=True)
    with closing(connect(source, mode="ro")) as db:
        db.execute("VACUUM INTO ?", (str(target),))


def examine(path: Path) -> tuple[State, bytes]:
    """Return the state that a closed copy holds, and its state digest, all recomputed. Raises JournalFailed."""
    try:
        with closing(connect(path, mode="ro")) as db:
            state = load_state(db)
            problem = state_problem(db, state) or history_problem(db)
            last = record_at(db, state.position)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise JournalFailed(f"The copy {path} is damaged: {error}.") from error
    if problem is not None or last is None:
        raise JournalFailed(f"The copy {path} does not hold together: {problem or 'it is empty'}.")
    return state, last.digest


def adopt(path: Path, *, node: str) -> None:
    """Make a closed copy the journal of another node, on the disk when this returns. Raises JournalFailed."""
    try:
        with closing(connect(path, mode="rw")) as db, transaction(db):
            db.execute("UPDATE facts SET value = ? WHERE name = 'node'", (node,))
            db.execute("DELETE FROM heard WHERE node = ?", (node,))
    except sqlite3.Error as error:
        raise JournalFailed(f"The copy {path} cannot be written: {error}.") from error
    _sync(path)


def set_in_place(folder: Path) -> None:
    """Let the staged copy, if there is one, take the journal's place; the old one is kept aside as a branch.

    Called by the owner of the folder, before the journal is opened. May be interrupted anywhere and called again.
    """
    staged, journal = folder / STAGED_NAME, folder / FILE_NAME
    if not staged.exists():
        return
    if journal.exists():
        with suppress(sqlite3.Error), closing(connect(journal, mode="rw")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that one rename moves all of it
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        journal.rename(folder / BRANCH.replace("*", stamp))
    for suffix in ("-wal", "-shm"):
        journal.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
    staged.rename(journal)
    _sync(folder)


def _sync(path: Path) -> None:
    """Bring a closed file, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
