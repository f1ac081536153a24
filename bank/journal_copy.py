"""Copies of journals: made while a node runs, examined as if they came from a stranger, put in a journal's place.

A copy is a closed file made by `VACUUM INTO`, of one moment. Who takes one recomputes everything in it: pages,
accounts, totals and the whole history. A journal that another replaces is kept aside, never deleted.
Invariant: whatever is interrupted, the folder holds the old journal or the examined copy under the journal's name
(tests/unit/test_journal_copy.py).
"""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bank.errors import JournalFailed
from bank.journal_check import history_problem, load_state, record_at, state_problem
from bank.journal_schema import check_schema
from bank.sqlite import connect, transaction
from bank.state import State

__all__ = ["BRANCH", "FILE_NAME", "STAGED_NAME", "adopt", "copy_journal", "examine", "set_in_place", "sync"]

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
            check_schema(db)  # an older one is upgraded when the copy is opened as a journal
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
    sync(path)


def set_in_place(folder: Path) -> None:
    """Let the staged copy, if there is one, take the journal's place; the old one is kept aside as a branch.

    Called by the owner of the folder, before the journal is opened. May be interrupted anywhere and called again.
    """
    staged, journal = folder / STAGED_NAME, folder / FILE_NAME
    if not staged.exists():
        return
    if journal.exists():
        _gather(journal)
        journal.rename(_free_branch(folder))
        sync(folder)  # it must not be the one name that a power cut forgets
    for suffix in ("-wal", "-shm"):
        journal.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
    staged.rename(journal)
    sync(folder)


def _gather(journal: Path) -> None:
    """Bring all of a journal into its one file, so that one rename moves it. Raises JournalFailed if that fails."""
    try:
        with closing(connect(journal, mode="rw")) as db:
            is_busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise JournalFailed(
            f"{journal} cannot be put aside for the copy in {STAGED_NAME}: {error}. Mend that, or move it and its -wal "
            "away by hand, then start the node again."
        ) from error
    if is_busy:
        raise JournalFailed(f"{journal} is being read by another program: end that, then start the node again.")


def _free_branch(folder: Path) -> Path:
    """Return a name that no branch has, nor one that was put aside."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = len(list(folder.glob(f"*-{stamp}-*.sqlite")))
    return folder / BRANCH.replace("*", f"{stamp}-{number}")


def sync(path: Path) -> None:
    """Bring a closed file, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
