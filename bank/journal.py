"""The journal: a node's own copy of the bank, one SQLite file, written by one thread.

Append-only entries and records, the account table and the position move together, in one transaction with one
fsync for everything the log delivered together. It is a copy, not the truth: a lost journal is rebuilt from the
log. SQLite files are opened by sqlite3 alone, for POSIX drops all locks of a process on a file when any handle on
it closes; that one process owns the journal is decided by `flock` on a file of its own, `trava`.
Invariant: what `load` returns is what the last `commit` was given, or it refuses (tests/unit/test_journal.py).
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bank.attachment import Place
from bank.entries import COLUMNS, Entry, from_row, pack_id
from bank.errors import JournalFailed, StartRefused
from bank.journal_check import RecordRow, history_problem, load_state, record_at, state_problem
from bank.journal_copy import FILE_NAME, set_in_place
from bank.journal_schema import SchemaUnknown, prepare
from bank.ledger import Change
from bank.records import Record
from bank.sqlite import connect, transaction
from bank.state import Account, State, check_books

__all__ = ["FILE_NAME", "AppliedRecord", "Journal", "has_history", "select_entries"]

_REPAIR = "Keep the folder aside and start with an empty one: the node takes the bank from the log again."


class AppliedRecord(NamedTuple):
    """One counted record and what it changed: what `commit` writes."""

    offset: int
    record: Record
    change: Change


class Journal:
    """One node's journal. All methods belong to one thread at a time; readers have `journal_reader`."""

    def __init__(self, folder: Path) -> None:
        """Own the journal in `folder`, made if it is not there.

        Raises StartRefused if another process owns it, or if the file is not a journal of this version.
        """
        self.path = folder / FILE_NAME
        with ExitStack() as undo:
            self._lock = _own(folder)
            undo.callback(os.close, self._lock)
            with self._disk():
                set_in_place(folder)
                self._db = connect(self.path)
                undo.callback(self._db.close)
                prepare(self._db)
            undo.pop_all()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn what SQLite raises into what the node must do about it."""
        try:
            yield
        except SchemaUnknown as newer:
            raise StartRefused(f"The journal {self.path} is not opened. {newer}") from newer
        except sqlite3.OperationalError as error:  # a full or broken disk; not a damaged file
            raise JournalFailed(
                f"The journal {self.path} could not be read or written: {error}. Mend that, then start the node again."
            ) from error
        except sqlite3.Error as error:
            raise JournalFailed(f"The journal {self.path} is damaged: {error}. {_REPAIR}") from error

    def attach(self, *, node: str, log: str) -> None:
        """Bind the journal to its node and to the log it follows; for ever. Raises StartRefused for another one."""
        for name, value in (("node", node), ("log", log)):
            with self._disk(), transaction(self._db):
                self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
                row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            if row[0] != value:
                raise StartRefused(
                    f"{self.path} belongs to {name} {row[0]!r}, not to {value!r}: use another DATA_DIR or NODE_NAME, "
                    "or give this journal back the one it knows."
                )

    def load(self) -> State:
        """Return the state as last committed. Raises StartRefused if the file does not hold together."""
        try:
            with self._disk():
                state = load_state(self._db)
                problem = state_problem(self._db, state)
        except (ValueError, TypeError) as error:
            raise JournalFailed(f"The journal {self.path} is damaged: {error}. {_REPAIR}") from error
        if problem is not None:
            raise StartRefused(f"{self.path} does not hold together: {problem}. {_REPAIR}")
        return state

    def history_problem(self) -> str | None:
        """Recompute the whole history; say where its first broken link is, or None."""
        with self._disk():
            return history_problem(self._db)

    def record(self, position: int) -> RecordRow | None:
        """Return the row of the counted record at this position."""
        with self._disk():
            return record_at(self._db, position)

    def remembered(self, operation_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of those ids that the history knows."""
        found: dict[str, Entry] = {}
        for chunk in _chunks([pack_id(operation_id) for operation_id in dict.fromkeys(operation_ids)]):
            query = select_entries(f"e.operation_id IN ({','.join('?' * len(chunk))})")
            with self._disk():
                rows = self._db.execute(query, chunk).fetchall()
            for *row, instant_ms, bank in rows:
                entry = from_row(tuple(row), instant_ms=instant_ms, bank=bank)
                found[entry.operation.id] = entry
        return found

    def commit(self, applied: Sequence[AppliedRecord], state: State, heard: Mapping[str, Place]) -> None:
        """Write all that was applied together, in one transaction, and return when it is on the disk.

        `state` is the state after the last of them; `heard` the furthest place ever heard from each member.
        Raises JournalFailed; the caller must not go on then, for memory has moved and the disk has not.
        """
        check_books(state)
        touched = _touched(applied, state)
        with self._disk(), transaction(self._db):
            self._db.executemany(_INSERT_ENTRY, (row for item in applied for row in item.change.rows))
            self._db.executemany(_INSERT_RECORD, _record_rows(applied))
            opened = self._db.execute("SELECT coalesce(max(ordinal), 0) FROM openings").fetchone()[0]
            self._db.executemany(_INSERT_OPENING, (_opening_row(*each) for each in touched if each[1].ordinal > opened))
            self._db.executemany(_PUT_BALANCE, (_balance_row(account) for _, account in touched))
            if applied:
                self._db.execute(_PUT_STATE, _state_row(state))
            self._db.executemany(
                "INSERT OR REPLACE INTO heard (node, epoch, position) VALUES (?, ?, ?)",
                ((node, *place) for node, place in heard.items()),
            )

    def heard(self) -> dict[str, Place]:
        """Return the furthest place ever heard from each member."""
        with self._disk():
            rows = self._db.execute("SELECT node, epoch, position FROM heard")
            return {node: (epoch, position) for node, epoch, position in rows}

    def close(self) -> None:
        """Give the journal up. May be called twice."""
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def has_history(folder: Path) -> bool:
    """Tell whether a node folder, perhaps of a running node, holds a journal that has applied anything.

    A journal that cannot be read counts as one: better no genesis than a second one.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return False
    try:
        db = connect(path, mode="ro")
        try:
            has_schema = db.execute("PRAGMA user_version").fetchone()[0] > 0
            return has_schema and db.execute("SELECT 1 FROM records LIMIT 1").fetchone() is not None
        finally:
            db.close()
    except sqlite3.Error:
        return True


def _own(folder: Path) -> int:
    """Return the descriptor that holds the lock on this node's folder, made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "trava", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartRefused(f"The folder {folder} cannot be used: {error}. Choose another DATA_DIR.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StartRefused(
            f"Another process owns {folder}: a node of this name runs already. "
            "Stop it, or give this one another PORT or NODE_NAME."
        ) from error
    return descriptor


def _chunks(ids: list[bytes | str]) -> Iterator[list[bytes | str]]:
    """Cut into pieces whose sizes are powers of two, so that few statements are prepared; the last id fills up."""
    for start in range(0, len(ids), 512):
        piece = ids[start : start + 512]
        yield piece + piece[-1:] * ((1 << (len(piece) - 1).bit_length()) - len(piece))


def select_entries(condition: str) -> str:
    """Return the query for entries `e` with the instant and node of their records `r`."""
    columns = ", ".join(f"e.{column}" for column in COLUMNS)
    return f"SELECT {columns}, r.instant_ms, r.bank FROM entries e JOIN records r USING (position) WHERE {condition}"  # noqa: S608


_INSERT_ENTRY = f"INSERT INTO entries ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_INSERT_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_OPENING = "INSERT INTO openings VALUES (?, ?, ?, ?, ?)"
_PUT_BALANCE = "INSERT OR REPLACE INTO balances VALUES (?, ?, ?, ?)"
_PUT_STATE = "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _record_rows(applied: Sequence[AppliedRecord]) -> Iterator[tuple[object, ...]]:
    for offset, record, change in applied:
        identity = (change.position, record.epoch, offset, record.session, record.seq, change.instant_ms, record.node)
        yield (*identity, change.last_entry, change.checksum, change.chain, change.digest)


def _touched(applied: Sequence[AppliedRecord], state: State) -> list[tuple[str, Account]]:
    """Return the accounts that changed, each once, in the order of their rows: neighbours share a page."""
    names = {name for item in applied for name in item.change.touched}
    return sorted(((name, state.accounts[name]) for name in names), key=lambda each: each[1].ordinal)


def _opening_row(account_id: str, account: Account) -> tuple[object, ...]:
    return (account.ordinal, account_id, account.limit_cents, account.bank, account.holder)


def _balance_row(account: Account) -> tuple[object, ...]:
    return (account.ordinal, account.balance_cents, account.version, account.last_entry)


def _state_row(state: State) -> tuple[object, ...]:
    return (
        state.log_id,
        state.epoch,
        state.version,
        state.position,
        state.instant_ms,
        state.entries,
        str(state.deposited_cents),  # SQLite holds 63 bits; a total may need more
        str(state.withdrawn_cents),
        str(state.in_accounts_cents),
        json.dumps(state.members),
    )
