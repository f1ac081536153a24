"""How every SQLite file of ours is opened and written: autocommit, WAL, an fsync for every transaction.

SQLite files are opened by sqlite3 alone: POSIX drops all locks that a process has on a file when *any* handle of
it closes, so one stray `open(path).close()` beside a connection loses committed transactions.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

__all__ = ["connect", "transaction"]


def connect(path: Path, *, mode: Literal["ro", "rw", "rwc"] = "rwc", durable: bool = True) -> sqlite3.Connection:
    """Open a SQLite file: to read, to write, or to write and made if it is not there. Raises sqlite3.Error.

    `durable=False` is for what may be lost in a power cut.
    """
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        if mode != "ro":
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    except BaseException:
        db.close()
        raise
    return db


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
