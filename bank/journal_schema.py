"""What stands in a journal's file, and what makes an older file one of today's.

Of an account only what an operation changes is written with every operation: in rows so narrow that a few hundred
pages hold those of 100,000 accounts, where whole accounts would fill thousands (a fifth of the time for 2,000
transfers between accounts at random). Who reads sees them put together in the view `accounts`.
Invariant: an upgraded journal loads as the state that it was committed with (tests/unit/test_journal_schema.py).
"""

import sqlite3

from bank.sqlite import transaction

__all__ = ["SCHEMA_VERSION", "SchemaUnknown", "check_schema", "prepare"]

SCHEMA_VERSION = 3

_ACCOUNTS = """
CREATE TABLE openings (
    ordinal INTEGER PRIMARY KEY, account_id TEXT NOT NULL UNIQUE, limit_cents INTEGER NOT NULL, bank TEXT NOT NULL,
    holder TEXT);
CREATE TABLE balances (
    ordinal INTEGER PRIMARY KEY, balance_cents INTEGER NOT NULL, version INTEGER NOT NULL,
    last_entry INTEGER NOT NULL);
"""
_ACCOUNTS_VIEW = """
CREATE VIEW accounts AS
    SELECT ordinal, account_id, balance_cents, limit_cents, version, last_entry, bank, holder
    FROM openings JOIN balances USING (ordinal);
"""
_SCHEMA = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), log_id TEXT NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL,
    position INTEGER NOT NULL, instant_ms INTEGER NOT NULL, entries INTEGER NOT NULL, deposited_cents TEXT NOT NULL,
    withdrawn_cents TEXT NOT NULL, in_accounts_cents TEXT NOT NULL, members TEXT NOT NULL);
CREATE TABLE records (
    position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, offset INTEGER NOT NULL, session TEXT NOT NULL,
    seq INTEGER NOT NULL, instant_ms INTEGER NOT NULL, bank TEXT NOT NULL, last_entry INTEGER NOT NULL,
    checksum BLOB NOT NULL, chain BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, operation_id NOT NULL, op TEXT NOT NULL, account_id TEXT, counterpart_id TEXT,
    amount_cents INTEGER, details TEXT, reason TEXT, balance_cents INTEGER, version INTEGER,
    counterpart_balance_cents INTEGER, counterpart_version INTEGER, previous INTEGER NOT NULL,
    counterpart_previous INTEGER NOT NULL, position INTEGER NOT NULL);
CREATE UNIQUE INDEX entries_by_operation ON entries (operation_id);
{_ACCOUNTS}{_ACCOUNTS_VIEW}
CREATE TABLE heard (
    node TEXT PRIMARY KEY, position INTEGER NOT NULL, epoch INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
"""
_STEPS = {
    0: _SCHEMA,
    1: "ALTER TABLE heard ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;",
    2: f"""{_ACCOUNTS}
INSERT INTO openings SELECT ordinal, account_id, limit_cents, bank, holder FROM accounts ORDER BY ordinal;
INSERT INTO balances SELECT ordinal, balance_cents, version, last_entry FROM accounts ORDER BY ordinal;
DROP TABLE accounts;
{_ACCOUNTS_VIEW}""",  # noqa: S608
}
"""What makes the next schema of an older one; of an empty file, today's."""


class SchemaUnknown(ValueError):  # noqa: N818 - what it is, as with the other verdicts
    """The file was written by a newer program."""


def check_schema(db: sqlite3.Connection) -> int:
    """Return the schema's version, 0 for an empty file. Raises SchemaUnknown if this program does not know it."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise SchemaUnknown(f"It has schema {version}, this program knows {SCHEMA_VERSION}: use the newer program.")
    return version


def prepare(db: sqlite3.Connection) -> None:
    """Bring an empty or older file to today's schema, each step whole or not at all.

    Raises SchemaUnknown, or what SQLite raises.
    """
    while (version := check_schema(db)) < SCHEMA_VERSION:
        with transaction(db):
            for statement in _STEPS[version].strip().split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1 if version else SCHEMA_VERSION}")
