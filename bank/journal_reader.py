"""What request threads read from the journal: pages of accounts, statements, single outcomes, all committed.

Every thread has a read-only connection of its own, and SQLite gives each query one consistent snapshot, so
readers never hold up the writer. Current balances are read from memory under the bakery locks, not here.
"""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from bank import digests
from bank.entries import Entry, from_row, pack_id
from bank.journal import FILE_NAME, select_entries
from bank.journal_check import RecordRow, record_at
from bank.operations import Batch, Rejected, Transfer, accounts_of
from bank.sqlite import connect
from bank.state import Account
from bank.views import Books, Statement, Token

__all__ = ["JournalReader"]


class JournalReader:
    """Reads one node's journal, from any thread."""

    def __init__(self, folder: Path) -> None:
        """Read the journal in `folder`, which exists."""
        self._path = folder / FILE_NAME
        self._local = threading.local()

    @property
    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = connect(self._path, mode="ro")
        return db

    def close(self) -> None:
        """Release the calling thread's connection; those of other threads end with them."""
        db: sqlite3.Connection | None = self._local.__dict__.pop("db", None)
        if db is not None:
            db.close()

    def record(self, position: int) -> RecordRow | None:
        """Return the row of the counted record at this position."""
        return record_at(self._db, position)

    def accounts(self, after: str, limit: int) -> list[tuple[str, Account]]:
        """Return at most `limit` accounts whose ids are greater than `after`, ascending, of one moment."""
        query = "SELECT * FROM accounts WHERE account_id > ? ORDER BY account_id LIMIT ?"
        rows = self._db.execute(query, (after, limit))
        return [(account_id, Account(ordinal, *values)) for ordinal, account_id, *values in rows]

    def account(self, account_id: str) -> Account | None:
        """Return the account as last committed."""
        row = self._db.execute("SELECT * FROM accounts WHERE account_id = ?", (account_id,)).fetchone()
        return Account(row[0], *row[2:]) if row else None

    def entry(self, operation_id: str) -> Entry | None:
        """Return what became of an operation."""
        return next(self._entries("e.operation_id = ?", pack_id(operation_id)), None)

    def entries_after(self, number: int, limit: int) -> list[Entry]:
        """Return at most `limit` entries whose numbers are greater than this one, in log order."""
        return list(self._entries("e.number > ? ORDER BY e.number LIMIT ?", number, limit))

    def parts(self, entry: Entry) -> list[Entry]:
        """Return what became of the operations of an applied batch, which stand behind its own entry, in order."""
        assert isinstance(entry.operation, Batch), "only a batch has parts"
        last = entry.number + len(entry.operation.parts)
        return list(self._entries("e.number > ? AND e.number <= ? ORDER BY e.number", entry.number, last))

    def statement(self, account_id: str, start: int | None, limit: int) -> Statement | None:
        """Return at most `limit` entries that moved the account, newest first, from the entry `start` back.

        `start` is a cursor of an earlier page; None begins at the newest. None is returned if there is no such
        account or the cursor is not one of this account's.
        """
        account = self.account(account_id)
        if account is None:
            return None
        number = account.last_entry if start is None else start
        entries: list[Entry] = []
        while number and len(entries) < limit:
            entry = next(self._entries("e.number = ?", number), None)
            if entry is None or isinstance(entry.outcome, Rejected) or account_id not in accounts_of(entry.operation):
                return None
            entries.append(entry)
            number = _previous(entry, account_id)
        return Statement(entries, number or None)

    def books(self, *, counted: bool = True) -> Books:
        """Return the books of one position: totals kept record by record beside sums over all accounts.

        Unless `counted`, no account is looked at: the sum too is the one kept record by record, at once at any size.
        """
        db = self._db
        db.execute("BEGIN")
        try:
            totals = db.execute(
                "SELECT position, epoch, deposited_cents, withdrawn_cents, in_accounts_cents FROM state"
            ).fetchone()
            position, epoch, deposited, withdrawn, in_accounts = totals or (0, 1, 0, 0, 0)
            if counted:
                balances = [row[0] for row in db.execute("SELECT balance_cents FROM balances")]
                accounts, in_accounts = len(balances), sum(balances)
            else:
                accounts = db.execute("SELECT coalesce(max(ordinal), 0) FROM openings").fetchone()[0]
            record = record_at(db, position)
        finally:
            db.execute("COMMIT")
        chain, digest = (record.chain.hex(), record.digest.hex()) if record else (digests.EMPTY.hex(), "")
        return Books(
            accounts=accounts,
            balances_cents=int(in_accounts),
            deposited_cents=int(deposited),
            withdrawn_cents=int(withdrawn),
            token=Token(epoch, position, chain[:8]),
            chain=chain,
            digest=digest,
            agree=int(in_accounts) == int(deposited) - int(withdrawn),
        )

    def _entries(self, condition: str, *values: object) -> Iterator[Entry]:
        for *row, instant_ms, bank in self._db.execute(select_entries(condition), values):
            yield from_row(tuple(row), instant_ms=instant_ms, bank=bank)


def _previous(entry: Entry, account_id: str) -> int:
    arrived = isinstance(entry.operation, Transfer) and entry.operation.counterpart_id == account_id
    return entry.counterpart_previous if arrived else entry.previous
