"""Reading a journal back, and not believing it: everything that was committed together must still agree.

SQLite's own integrity check passes a flipped value; the digests committed with every record do not.
Used at every start, and while a node runs if others contradict it.
"""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from bank import digests
from bank.entries import COLUMNS
from bank.state import Account, State, check_books, state_digest, sum_up

__all__ = ["CHECKED_RECORDS", "RecordRow", "history_problem", "load_state", "record_at", "state_problem"]

CHECKED_RECORDS = 10_000
"""How many of the newest records a start recomputes."""


class RecordRow(NamedTuple):
    """What a journal keeps of one counted record, besides its entries."""

    position: int
    epoch: int
    offset: int
    last_entry: int
    checksum: bytes
    chain: bytes
    digest: bytes


def record_at(db: sqlite3.Connection, position: int) -> RecordRow | None:
    """Return the row of the counted record at this position."""
    row = db.execute(f"SELECT {', '.join(RecordRow._fields)} FROM records WHERE position = ?", (position,)).fetchone()  # noqa: S608
    return RecordRow(*row) if row else None


def load_state(db: sqlite3.Connection) -> State:
    """Return the state as last committed, empty if nothing was. Raises sqlite3.Error, ValueError or TypeError."""
    row = db.execute("SELECT * FROM state").fetchone()
    if row is None:
        return State()
    _, log_id, epoch, version, position, instant_ms, entries, deposited, withdrawn, in_accounts, members = row
    state = State(
        log_id=log_id,
        epoch=epoch,
        version=version,
        position=position,
        instant_ms=instant_ms,
        entries=entries,
        deposited_cents=int(deposited),
        withdrawn_cents=int(withdrawn),
        in_accounts_cents=int(in_accounts),
        members={name: tuple(versions) for name, versions in json.loads(members).items()},
    )
    state.accounts.update(_accounts(db))
    sum_up(state, state.accounts)
    if (last := record_at(db, position)) is not None:
        state.chain = last.chain
    return state


def _accounts(db: sqlite3.Connection) -> Iterator[tuple[str, Account]]:
    for ordinal, account_id, *values in db.execute("SELECT * FROM accounts ORDER BY ordinal"):
        yield account_id, Account(ordinal, *values)


def state_problem(db: sqlite3.Connection, state: State) -> str | None:
    """Say what contradicts what in the state just loaded, or None if all agrees."""
    # All pages, those of indexes among them: a look-up in a damaged one would miss an id that was applied.
    if (damage := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        return str(damage)
    newest = db.execute("SELECT coalesce(max(position), 0) FROM records").fetchone()[0]
    if newest != state.position:
        return f"its newest record is at position {newest}, its state at {state.position}"
    last = record_at(db, newest)
    if last is not None and last.digest != state_digest(state):
        return "its accounts and totals do not have the digest that was committed with them"
    if sum(account.balance_cents for account in state.accounts.values()) != state.in_accounts_cents:
        return "the balances do not add up to the total"
    try:
        check_books(state)
    except AssertionError as error:
        return str(error)
    return history_problem(db, state.position - CHECKED_RECORDS)


def history_problem(db: sqlite3.Connection, after: int = 0) -> str | None:
    """Recompute the history after this position; say where its first broken link is, or None."""
    position, number, chain = 0, 0, digests.EMPTY
    if after > 0:
        if (start := record_at(db, after)) is None:
            return f"the record at position {after} is missing"
        position, number, chain = start.position, start.last_entry, start.chain
    entries = db.execute(f"SELECT {', '.join(COLUMNS)} FROM entries WHERE number > ? ORDER BY number", (number,))  # noqa: S608
    records = db.execute(
        "SELECT position, instant_ms, bank, last_entry, checksum, chain FROM records WHERE position > ? "
        "ORDER BY position",
        (position,),
    )
    for found, instant_ms, bank, last_entry, checksum, recorded in records:
        position += 1
        written: list[tuple[Any, ...]] = [row for _ in range(last_entry - number) if (row := next(entries, None))]
        if found != position or len(written) != last_entry - number:
            return f"the history has a gap at position {position}"
        number = last_entry
        chain = digests.chain(chain, checksum, (position, instant_ms, bank), written)
        if chain != recorded:
            return f"the history at position {position} was altered"
    return "there are entries after the last record" if next(entries, None) else None
