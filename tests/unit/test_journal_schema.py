"""A journal of an older program goes on in this one, and a copy of one is read as it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bank import journal_schema
from bank.errors import JournalFailed
from bank.journal import FILE_NAME, Journal
from bank.journal_copy import examine
from bank.journal_reader import JournalReader
from bank.ledger import genesis_operation
from bank.operations import Deposit, Open, Transfer
from bank.state import State
from tests.unit.test_journal import Writer

BACKWARDS = {
    2: """
CREATE TABLE whole (
    ordinal INTEGER PRIMARY KEY, account_id TEXT NOT NULL UNIQUE, balance_cents INTEGER NOT NULL,
    limit_cents INTEGER NOT NULL, version INTEGER NOT NULL, last_entry INTEGER NOT NULL, bank TEXT NOT NULL,
    holder TEXT);
INSERT INTO whole SELECT * FROM accounts;
DROP VIEW accounts;
DROP TABLE openings;
DROP TABLE balances;
ALTER TABLE whole RENAME TO accounts;
PRAGMA user_version = 2""",
    1: """
DELETE FROM heard WHERE epoch > 1;
ALTER TABLE heard DROP COLUMN epoch;
PRAGMA user_version = 1""",
}
"""What makes a journal of the schema before of one of today's."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a closed journal lies, of today's schema."""
    folder = tmp_path / "banco-1"
    writer = Writer(folder)
    writer.commit(genesis_operation(operation_id="g", log_id="x"))
    writer.commit(Open("a", "A", 10_000, 500, "Zé"), Open("b", "B", 0, 0), Transfer("t", "A", "B", 50))
    writer.journal.close()
    return folder


@pytest.fixture(params=sorted(BACKWARDS))
def old(request: pytest.FixtureRequest, folder: Path) -> State:
    """What the journal in `folder` was committed with, which has an older schema now."""
    journal = Journal(folder)
    state = journal.load()
    journal.close()
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as db:
        for version in sorted(BACKWARDS, reverse=True):
            if version >= request.param:
                db.executescript(BACKWARDS[version])
    return state


def test_an_older_journal_loads_as_what_was_committed_and_goes_on(old: State, folder: Path) -> None:
    writer = Writer(folder)
    assert writer.state == old
    assert writer.journal.heard() == {"banco-2": (1, 2)}
    writer.commit(Deposit("later", "B", 3), Open("c", "C", 7, 0))
    writer.journal.close()
    journal = Journal(folder)
    assert journal.load() == writer.state
    journal.close()
    with closing(JournalReader(folder)) as reader:
        assert [name for name, _ in reader.accounts("", 9)] == ["A", "B", "C"]
        assert reader.books().agree


def test_a_copy_of_an_older_journal_is_examined_and_not_changed(old: State, folder: Path) -> None:
    before = (folder / FILE_NAME).read_bytes()
    assert examine(folder / FILE_NAME)[0] == old
    assert (folder / FILE_NAME).read_bytes() == before


def test_a_copy_of_a_newer_journal_is_refused(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalFailed, match="schema 99, this program knows 3: use the newer program"):
        examine(folder / FILE_NAME)


def test_an_upgrade_that_is_interrupted_leaves_the_older_journal(
    old: State, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(journal_schema._STEPS, 2, "DROP TABLE accounts;\nx")
    with pytest.raises(JournalFailed, match="syntax error"):
        Journal(folder)
    monkeypatch.undo()
    journal = Journal(folder)
    assert journal.load() == old
    journal.close()
