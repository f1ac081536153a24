"""The embedded log: one SQLite file shared by the nodes of one machine. No broker needed.

Same contract as every log (`replication/log.py`). Order is SQLite's: one writer at a time, AUTOINCREMENT offsets,
an fsync before `append` returns. Readers poll; an append of one's own wakes them at once. Presence lives in a
file of its own, without fsync, so that heartbeats never block appends. Local disks only: SQLite's locks do not
hold on network file systems.
"""

import sqlite3
import threading
import time
from pathlib import Path

import msgspec

from bank.errors import LogLost, LogUnreachable, StartRefused
from bank.sqlite import connect, transaction
from replication.log import LAST, Replicas, Stored
from replication.presence import Heartbeat

__all__ = ["EmbeddedLog", "EmbeddedPresence"]

POLL_S = 0.015
"""Between looks at an idle log: 10 ms cost 1.8 % of a core when measured, 15 ms about 1.2 %."""
BATCH_RECORDS_MAX = 64


class EmbeddedLog:
    """One log in `folder`, made if it is not there."""

    kind = "embutido"

    def __init__(self, folder: Path) -> None:
        """Open the log. Raises StartRefused if it cannot be opened."""
        self._path = folder / "livro.sqlite"
        self.identity = f"embutido:{self._path.name}"
        self._appended = threading.Condition()
        self._wakes = 0
        self._writing = threading.Lock()
        """Held while the connection that writes is used or exchanged."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = self._open()
        except (OSError, sqlite3.Error) as error:
            raise StartRefused(f"The log {self._path} cannot be opened: {error}.") from error

    def _open(self) -> sqlite3.Connection:
        db = connect(self._path)
        db.execute("CREATE TABLE IF NOT EXISTS records (offset INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)")
        self._file = _inode(self._path)
        return db

    def append(self, body: bytes) -> None:
        """Store one record. Raises LogUnreachable (open whether stored) or LogLost (file replaced)."""
        self.check_file()
        try:
            with self._writing, transaction(self._db):
                self._db.execute("INSERT INTO records (body) VALUES (?)", (body,))
        except sqlite3.Error as error:
            raise LogUnreachable(f"{self._path}: {error}") from error
        self.wake()

    def read_from(self, offset: int) -> "EmbeddedReader":
        """Return a reader that begins at `offset`, at the next record there is, or at the last one."""
        self.check_file()
        try:
            db = connect(self._path, mode="rw")  # not "ro": whoever is first after a crash must recover the WAL
            if offset == LAST:
                offset = db.execute("SELECT coalesce(max(offset), 0) FROM records").fetchone()[0]
        except sqlite3.Error as error:
            raise LogUnreachable(f"{self._path}: {error}") from error
        return EmbeddedReader(self, db, offset)

    def renew(self) -> None:
        """Take the file that is there now for the log, made if it is not there. Raises LogUnreachable."""
        try:
            with self._writing:
                old, self._db = self._db, self._open()
                old.close()
        except sqlite3.Error as error:
            raise LogUnreachable(f"{self._path}: {error}") from error

    def tend(self) -> None:
        """Nothing to do: a file needs no heartbeat."""

    def wake(self) -> None:
        """Let polls of this process look at once."""
        with self._appended:
            self._wakes += 1
            self._appended.notify_all()

    def wait_for_append(self, seen_wakes: int, timeout_s: float) -> int:
        """Return the number of wakes so far, as soon as it is above `seen_wakes` or the time is up."""
        with self._appended:
            self._appended.wait_for(lambda: self._wakes > seen_wakes, timeout_s)
            return self._wakes

    def check_file(self) -> None:
        """Raise LogLost if the file was deleted or replaced: SQLite would go on writing into one that nobody sees."""
        if _inode(self._path) != self._file:
            raise LogLost(
                f"The log file {self._path} was deleted or replaced while the node ran. "
                "Put the file back, or rebuild the log, then start the nodes again."
            )

    def replicas(self) -> Replicas:
        """Return that there is this one."""
        return Replicas(held=1, brokers=1)

    def close(self) -> None:
        """Release the log."""
        self._db.close()


class EmbeddedReader:
    """Reads the records in order; belongs to one thread."""

    def __init__(self, log: EmbeddedLog, db: sqlite3.Connection, offset: int) -> None:
        """Begin at `offset`."""
        self._log = log
        self._db = db
        self._next = offset
        self._seen_wakes = 0
        self._version = -1

    def poll(self, timeout_s: float) -> list[Stored]:
        """Return the next records, oldest first; empty if none came in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            if batch := self._look():
                return batch
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self._log.check_file()
                return []
            self._seen_wakes = self._log.wait_for_append(self._seen_wakes, min(POLL_S, remaining))

    def _look(self) -> list[Stored]:
        try:
            # data_version changes when another connection has committed: asking is far cheaper than a query.
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return []
            query = "SELECT offset, body FROM records WHERE offset >= ? ORDER BY offset LIMIT ?"
            batch = [Stored(*row) for row in self._db.execute(query, (self._next, BATCH_RECORDS_MAX))]
        except sqlite3.Error as error:
            self._log.check_file()
            raise LogUnreachable(f"the embedded log cannot be read: {error}") from error
        if batch:
            self._next = batch[-1].offset + 1
        if len(batch) < BATCH_RECORDS_MAX:
            self._version = version
        return batch

    def close(self) -> None:
        """Release the connection."""
        self._db.close()


class EmbeddedPresence:
    """Heartbeats as rows of a small file beside the log."""

    spans_machines = False

    def __init__(self, folder: Path) -> None:
        """Open the file, made if it is not there. Raises StartRefused."""
        path = folder / "presenca.sqlite"
        self._node = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = connect(path, durable=False)
            self._db.execute("CREATE TABLE IF NOT EXISTS nodes (node TEXT PRIMARY KEY, heartbeat BLOB NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise StartRefused(f"The presence file {path} cannot be opened: {error}.") from error

    def exchange(self, mine: Heartbeat) -> list[Heartbeat]:
        """Write this node's row, return the others'."""
        self._node = mine.node
        try:
            with transaction(self._db):
                self._db.execute("INSERT OR REPLACE INTO nodes VALUES (?, ?)", (mine.node, msgspec.json.encode(mine)))
                rows = self._db.execute("SELECT heartbeat FROM nodes WHERE node <> ?", (mine.node,)).fetchall()
            return [msgspec.json.decode(row[0], type=Heartbeat) for row in rows]
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise LogUnreachable(f"the presence file cannot be used: {error}") from error

    def leave(self) -> None:
        """Remove this node's row."""
        try:
            self._db.execute("DELETE FROM nodes WHERE node = ?", (self._node,))
        except sqlite3.Error as error:
            raise LogUnreachable(f"the presence file cannot be used: {error}") from error

    def close(self) -> None:
        """Release the connection."""
        self._db.close()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
