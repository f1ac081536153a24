"""How every SQLite file of ours is opened and written: autocommit, WAL, an fsync for every transaction.

SQLite files are opened by sqlite3 alone: POSIX drops all locks that a process has on a file when *any* handle of
it closes, so one stray `open(path).close()` beside a connection loses committed transactions.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

__all__ = ["connect", "transaction"]

BUSY_S = 5.0
"""How long one connection waits for another."""


def connect(path: Path, *, mode: Literal["ro", "rw", "rwc"] = "rwc", durable: bool = True) -> sqlite3.Connection:
    """Open a SQLite file: to read, to write, or to write and made if it is not there. Raises sqlite3.Error.

    `durable=False` is for what may be lost in a power cut.
    """
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    try:
        if mode != "ro":
            _use_wal(db)
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    except BaseException:
        db.close()
        raise
    return db


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to WAL; of several processes that do so with a new file at once, SQLite lets none wait for the other."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run the body in one transaction, begun as a writer; on the disk when this returns, undone if it raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
