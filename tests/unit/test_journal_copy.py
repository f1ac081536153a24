"""Copies of journals: whole, believed only when recomputed, and put in place whatever is interrupted."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bank.branches import Branches
from bank.entries import Entry
from bank.errors import JournalFailed
from bank.journal import Journal
from bank.journal_branch import entries_after_fork
from bank.journal_copy import BRANCH, FILE_NAME, STAGED_NAME, adopt, copy_journal, examine, set_in_place
from bank.ledger import genesis_operation
from bank.operations import Deposit, Join, Open, Withdraw
from tests.unit.test_journal import Writer


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A journal of banco-1 with some history."""
    writer = Writer(tmp_path / "banco-1")
    writer.journal.attach(node="banco-1", log="embutido:livro.sqlite")
    writer.commit(genesis_operation(operation_id="g", log_id="x"))
    writer.commit(Join("j", "banco-1", (1,)), Open("a", "A", 10_000, 0))
    writer.commit(Deposit("d", "A", 1), Withdraw("w", "A", 99_999))
    yield writer
    writer.journal.close()


@pytest.fixture
def copy(writer: Writer, tmp_path: Path) -> Path:
    """A copy of it, made while it is open."""
    path = tmp_path / "copia.sqlite"
    copy_journal(writer.journal.path, path)
    return path


def test_a_copy_holds_the_same_and_nothing_that_came_after(writer: Writer, copy: Path) -> None:
    before = writer.state.position
    writer.commit(Deposit("later", "A", 1))
    state, digest = examine(copy)
    assert state.position == before
    assert digest == writer.journal.record(before).digest  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE balances SET balance_cents = balance_cents + 1",
        "UPDATE entries SET amount_cents = 2 WHERE op = 'deposito'",
        "UPDATE records SET instant_ms = 5 WHERE position = 1",
        "DELETE FROM entries WHERE op = 'saque'",
        "DELETE FROM state",
    ],
)
def test_a_copy_that_was_altered_is_refused(copy: Path, statement: str) -> None:
    db = sqlite3.connect(copy)
    db.execute(statement)
    db.commit()
    db.close()
    with pytest.raises(JournalFailed):
        examine(copy)


def test_an_empty_copy_and_no_copy_at_all_are_refused(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.sqlite"
    nothing.write_bytes(b"")
    rubbish = tmp_path / "rubbish.sqlite"
    rubbish.write_bytes(b"x" * 5_000)
    for path in (nothing, rubbish, tmp_path / "missing.sqlite"):
        with pytest.raises(JournalFailed):
            examine(path)


def staged(copy: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    adopt(copy, node="banco-2")
    return copy.rename(folder / STAGED_NAME)


def test_an_adopted_copy_becomes_the_journal_of_the_node_that_took_it(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "banco-2"
    staged(copy, folder)
    journal = Journal(folder)
    journal.attach(node="banco-2", log="embutido:livro.sqlite")
    assert journal.load().accounts["A"].balance_cents == 10_001
    journal.close()


def test_the_journal_that_it_replaces_is_kept_with_all_that_was_committed(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "banco-2"
    old = Writer(folder)
    old.commit(genesis_operation(operation_id="g", log_id="x"))
    old.commit(Open("o", "OLD", 5, 0))
    old.journal.close()
    staged(copy, folder)
    set_in_place(folder)
    [branch] = folder.glob(BRANCH)
    assert [entry.operation.id for entry in entries_after_fork(branch, folder / FILE_NAME)] == ["o"]
    assert [path.name for path in folder.glob("ramo-*")] == [branch.name]


def test_a_journal_that_somebody_reads_is_not_put_aside_without_what_its_wal_holds(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "banco-2"
    old = Writer(folder)
    old.commit(genesis_operation(operation_id="g", log_id="x"))
    with closing(sqlite3.connect(folder / FILE_NAME)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM records").fetchone()
        old.commit(Open("o", "OLD", 5, 0))
        staged(copy, folder)
        with pytest.raises(JournalFailed, match="another program"):
            set_in_place(folder)
    assert not list(folder.glob(BRANCH))
    set_in_place(folder)
    [branch] = folder.glob(BRANCH)
    assert [entry.operation.id for entry in entries_after_fork(branch, folder / FILE_NAME)] == ["o"]


def test_two_journals_replaced_in_one_second_are_both_kept(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "banco-2"
    adopt(copy, node="banco-2")
    body = copy.read_bytes()
    folder.mkdir()
    for _ in range(3):
        (folder / STAGED_NAME).write_bytes(body)
        set_in_place(folder)
    assert len(list(folder.glob(BRANCH))) == 2


def test_interrupted_between_its_two_steps_it_is_put_in_place_by_the_next_start(copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "banco-2"
    staged(copy, folder)
    (folder / BRANCH.replace("*", "before")).write_bytes(b"")  # the old journal was moved, the new one not yet
    set_in_place(folder)
    assert (folder / FILE_NAME).exists()
    assert not (folder / STAGED_NAME).exists()
    set_in_place(folder)
    assert examine(folder / FILE_NAME)[0].position == 3


def test_a_branch_that_was_merely_behind_has_nothing_to_bring(writer: Writer, copy: Path) -> None:
    writer.commit(Deposit("later", "A", 1))
    assert list(entries_after_fork(copy, writer.journal.path)) == []


def test_what_is_refused_now_and_was_applied_is_written_down_for_the_operator(
    writer: Writer, copy: Path, tmp_path: Path
) -> None:
    writer.commit(Withdraw("all", "A", 10_001))  # on the branch this was applied; in the bank it is refused
    branch = tmp_path / "ramo-1.sqlite"
    copy_journal(writer.journal.path, branch)
    [lost] = entries_after_fork(branch, copy)
    refused: dict[str, Entry] = {}
    branches = Branches(None, tmp_path, refused.get)  # type: ignore[arg-type]
    assert branches._differs(lost), "the bank does not know it at all"
    branches._put_aside(branch, [lost])
    assert (tmp_path / "antigo-1.sqlite").exists()
    assert b'"id":"all"' in (tmp_path / "antigo-1.jsonl").read_bytes()
