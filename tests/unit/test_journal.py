"""The journal: what was committed comes back, what was altered is refused, and statements walk back."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bank import records
from bank.errors import StartRefused
from bank.journal import FILE_NAME, AppliedRecord, Journal, has_history
from bank.journal_reader import JournalReader
from bank.ledger import apply, genesis_operation
from bank.operations import Deposit, Join, Open, Operation, Reason, Rejected, Transfer, Withdraw
from bank.records import Base, Record
from bank.state import State, state_digest
from tests.support.journal import alter_balance


class Writer:
    """Applies operations and commits them, as the applier does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder)
        self.state = self.journal.load()

    def apply(self, *operations: Operation) -> AppliedRecord:
        record = Record(
            version=1, log_id="x", epoch=1, node="banco-1", session="s", seq=1, instant_ms=1_000, base=Base(0, ""),
            operations=operations,
        )  # fmt: skip
        body = records.encode(record)
        remembered = self.journal.remembered(operation.id for operation in operations)
        return AppliedRecord(self.state.position + 1, record, apply(self.state, record, body, remembered))

    def commit(self, *operations: Operation) -> AppliedRecord:
        applied = self.apply(*operations)
        self.journal.commit([applied], self.state, {"banco-2": (1, self.state.position)})
        return applied


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the journal lies."""
    return tmp_path / "banco-1"


@pytest.fixture
def writer(folder: Path) -> Iterator[Writer]:
    """A journal with some history."""
    writer = Writer(folder)
    writer.commit(genesis_operation(operation_id="g", log_id="x"))
    writer.commit(Join("j", "banco-1", (1,)), Open("a", "A", 10_000, 500, "Zé"), Open("b", "B", 0, 0))
    writer.commit(Deposit("d", "A", 1), Withdraw("w", "B", 1), Transfer("t", "A", "B", 50))
    yield writer
    writer.journal.close()


def test_what_was_committed_is_loaded(writer: Writer, folder: Path) -> None:
    writer.journal.close()
    journal = Journal(folder)
    assert journal.load() == writer.state
    assert journal.heard() == {"banco-2": (1, 3)}
    assert journal.record(3).digest == state_digest(writer.state)
    journal.close()


def test_an_empty_journal_is_an_empty_bank(folder: Path) -> None:
    journal = Journal(folder)
    assert journal.load() == State()
    assert journal.history_problem() is None
    journal.close()


def test_outcomes_are_remembered_refusals_too(writer: Writer) -> None:
    found = writer.journal.remembered(["d", "w", "nobody", "d"])
    assert found.keys() == {"d", "w"}
    assert found["w"].outcome == Rejected(Reason.INSUFFICIENT_FUNDS)
    assert found["d"].operation == Deposit("d", "A", 1)
    again = writer.commit(Deposit("d", "A", 1))
    assert again.change.entries == []
    assert again.change.outcomes == [found["d"]]


def test_many_ids_are_looked_up_at_once(writer: Writer) -> None:
    ids = [f"id-{number}" for number in range(1_700)]
    writer.commit(*[Deposit(operation_id, "A", 1) for operation_id in ids])
    assert writer.journal.remembered([*ids, "other"]).keys() == set(ids)


def test_a_transaction_that_fails_leaves_the_last_committed_state(writer: Writer, folder: Path) -> None:
    before = writer.journal.load()
    applied = writer.apply(Deposit("x", "A", 5))
    clash = AppliedRecord(applied.offset, applied.record, applied.change)
    with pytest.raises(StartRefused, match="damaged: UNIQUE"):
        writer.journal.commit([applied, clash], writer.state, {})
    writer.journal.close()
    journal = Journal(folder)
    assert journal.load() == before
    journal.close()


def test_a_second_owner_is_refused(writer: Writer, folder: Path) -> None:
    with pytest.raises(StartRefused, match="Another process owns"):
        Journal(folder)


def test_a_journal_belongs_to_one_node_and_one_log(writer: Writer) -> None:
    writer.journal.attach(node="banco-1", log="embutido:livro.sqlite")
    writer.journal.attach(node="banco-1", log="embutido:livro.sqlite")
    with pytest.raises(StartRefused, match="belongs to node 'banco-1'"):
        writer.journal.attach(node="banco-2", log="embutido:livro.sqlite")
    with pytest.raises(StartRefused, match="belongs to log"):
        writer.journal.attach(node="banco-1", log="rabbitmq")


ALTERATIONS = {
    "a balance": "UPDATE balances SET balance_cents = balance_cents + 1 WHERE ordinal = 1",
    "two balances that cancel out": "UPDATE balances SET balance_cents = balance_cents + iif(ordinal = 1, 1, -1)",
    "a limit": "UPDATE openings SET limit_cents = 10000",
    "a holder": "UPDATE openings SET holder = 'Ana'",
    "a version": "UPDATE balances SET version = version + 1",
    "an account gone": "DELETE FROM openings WHERE account_id = 'B'",
    "a balance gone": "DELETE FROM balances WHERE ordinal = 2",
    "a total": "UPDATE state SET deposited_cents = '1'",
    "all totals": "UPDATE state SET deposited_cents = '1', withdrawn_cents = '0', in_accounts_cents = '1'",
    "totals that are no numbers": "UPDATE state SET deposited_cents = 'x'",
    "members": "UPDATE state SET members = '{}'",
    "members that are no JSON": "UPDATE state SET members = '{'",
    "the position": "UPDATE state SET position = position - 1",
    "a position ahead": "UPDATE state SET position = position + 1",
    "an amount in the history": "UPDATE entries SET amount_cents = 2 WHERE operation_id = 'd'",
    "an outcome in the history": "UPDATE entries SET reason = NULL, balance_cents = 0 WHERE operation_id = 'w'",
    "an id in the history": "UPDATE entries SET operation_id = 'e' WHERE operation_id = 'd'",
    "an entry gone": "DELETE FROM entries WHERE operation_id = 'w'",
    "an entry more": "INSERT INTO entries SELECT number + 100, 'more', op, account_id, counterpart_id, amount_cents, "
    "details, reason, balance_cents, version, counterpart_balance_cents, counterpart_version, previous, "
    "counterpart_previous, position FROM entries WHERE operation_id = 'd'",
    "a record gone": "DELETE FROM records WHERE position = 2",
    "a record's time": "UPDATE records SET instant_ms = 7 WHERE position = 2",
    "a record's bank": "UPDATE records SET bank = 'banco-9' WHERE position = 2",
    "a link of the chain": "UPDATE records SET chain = randomblob(16) WHERE position = 2",
    "the state's row gone": "DELETE FROM state",
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_what_was_altered_is_refused_at_start(writer: Writer, folder: Path, what: str) -> None:
    writer.journal.close()
    db = sqlite3.connect(folder / FILE_NAME)
    db.execute(ALTERATIONS[what])
    db.commit()
    db.close()
    journal = Journal(folder)
    with pytest.raises(StartRefused, match="Keep the folder aside"):
        journal.load()
    journal.close()


def test_a_newer_schema_is_left_alone(writer: Writer, folder: Path) -> None:
    writer.journal.close()
    db = sqlite3.connect(folder / FILE_NAME)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StartRefused, match="use the newer program"):
        Journal(folder)


def test_a_refused_start_gives_the_journal_up(folder: Path) -> None:
    folder.mkdir()
    (folder / FILE_NAME).mkdir()
    with pytest.raises(StartRefused, match="could not be read"):
        Journal(folder)
    (folder / FILE_NAME).rmdir()
    Journal(folder).close()


def test_a_history_is_seen_from_outside(writer: Writer, folder: Path, tmp_path: Path) -> None:
    assert has_history(folder)
    assert not has_history(tmp_path / "nobody")
    Journal(tmp_path / "new").close()
    assert not has_history(tmp_path / "new")


Look = Callable[[JournalReader], object]


class TestReading:
    """What request threads read."""

    @pytest.fixture
    def reader(self, writer: Writer, folder: Path) -> Iterator[JournalReader]:
        reader = JournalReader(folder)
        yield reader
        reader.close()

    def test_a_statement_walks_back_over_both_legs_and_without_refusals(
        self, writer: Writer, reader: JournalReader
    ) -> None:
        writer.commit(Transfer("u", "B", "A", 7), Withdraw("no", "A", 10**9), Deposit("e", "A", 2))
        page = reader.statement("A", None, 100)
        assert page is not None
        assert [entry.operation.id for entry in page.entries] == ["e", "u", "t", "d", "a"]
        assert page.older is None

    def test_a_statement_comes_in_pages(self, writer: Writer, reader: JournalReader) -> None:
        seen, start = [], None
        while True:
            page = reader.statement("A", start, 2)
            assert page is not None
            seen += [entry.operation.id for entry in page.entries]
            start = page.older
            if start is None:
                break
        assert seen == ["t", "d", "a"]

    def test_a_cursor_of_another_account_is_no_cursor(self, writer: Writer, reader: JournalReader) -> None:
        refusal = writer.journal.remembered(["w"])["w"].number
        join = writer.journal.remembered(["j"])["j"].number
        assert [reader.statement("B", start, 9) for start in (refusal, join, 10**9)] == [None, None, None]
        assert reader.statement("nobody", None, 9) is None

    def test_accounts_come_by_ascending_id(self, reader: JournalReader) -> None:
        assert [name for name, _ in reader.accounts("", 10)] == ["A", "B"]
        assert [name for name, _ in reader.accounts("A", 10)] == ["B"]
        assert [name for name, _ in reader.accounts("", 1)] == ["A"]

    def test_the_books_agree(self, writer: Writer, reader: JournalReader) -> None:
        books = reader.books()
        assert (books.accounts, books.balances_cents, books.deposited_cents, books.withdrawn_cents) == (
            2,
            10001,
            10001,
            0,
        )
        assert books.agree
        assert books.digest == state_digest(writer.state).hex()

    def test_the_books_are_the_same_without_a_look_at_any_account(self, writer: Writer, reader: JournalReader) -> None:
        assert reader.books(counted=False) == reader.books()
        writer.commit(Open("c", "C", 7, 0), Withdraw("w2", "A", 3))
        assert reader.books(counted=False) == reader.books()

    def test_only_who_counts_finds_what_was_altered_by_hand(self, folder: Path, reader: JournalReader) -> None:
        alter_balance(folder, "A", 1)
        assert (reader.books().agree, reader.books().balances_cents) == (False, 10002)
        assert (reader.books(counted=False).agree, reader.books(counted=False).balances_cents) == (True, 10001)

    def test_an_outcome_is_found_by_its_id(self, reader: JournalReader) -> None:
        entry = reader.entry("t")
        assert entry is not None
        assert entry.operation == Transfer("t", "A", "B", 50)
        assert reader.entry("nothing") is None
