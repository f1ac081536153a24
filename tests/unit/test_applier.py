"""The applier without its thread: what was delivered together is applied and committed once, then let out."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bank import records
from bank.applier import Applier
from bank.asking import Asked
from bank.committed import Committed
from bank.config import Config
from bank.desk import SESSIONS_MAX, Desk
from bank.errors import JournalFailed, LogReopened
from bank.journal import Journal
from bank.ledger import genesis_operation
from bank.operations import Deposit, Open, Operation, Reopen
from bank.records import Base, Record
from bank.replica import Replica
from bank.views import AccountView, Answer
from bank.waiting import Timeout
from locks.accounts import AccountLocks
from locks.bakery import ThreadSlots
from replication.log import Stored
from replication.memory import MemoryLog


class Node:
    """The parts of a node that the applier moves."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder)
        self.state = self.journal.load()
        self.desk = Desk(Config(node_name="banco-1"), session="s", committed=Committed.of(self.state), heard={})
        locks = AccountLocks(ThreadSlots(4))
        replica = Replica(
            node="banco-1", state=self.state, last_offset=0, last_checksum=b"", marks_at=lambda _: None,
            hold=locks.hold,
        )  # fmt: skip
        self.applier = Applier(self.desk, MemoryLog(), self.journal, replica, locks, joiner=None)  # type: ignore[arg-type]
        self.offset = 0

    def take(self, *delivered: tuple[Operation, ...]) -> None:
        """Have these records delivered together; a reopening is of the epoch that it begins."""
        batch = []
        for operations in delivered:
            self.offset += 1
            epoch = operations[0].epoch if isinstance(operations[0], Reopen) else 1
            record = Record(
                version=1, log_id="x", epoch=epoch, node="banco-2", session="t", seq=self.offset, instant_ms=0,
                base=Base(0, ""), operations=operations,
            )  # fmt: skip
            batch.append(Stored(self.offset, records.encode(record)))
        self.applier._take(batch)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node with one account."""
    node = Node(tmp_path)
    node.take((genesis_operation(operation_id="g", log_id="x"),), (Open("o", "A", 0, 0),))
    yield node
    node.journal.close()


def waits_for(node: Node, operation: Operation) -> Asked:
    asked = Asked(1)
    node.desk.node.propose(operation, asked.waiters[0], 1 << 60)
    return asked


def barrier_read(node: Node) -> tuple[Asked, Stored]:
    """Have the node publish a record that answers a read; return what waits, and the record."""
    asked = Asked(1)
    desk = node.desk
    desk.node.read("A", asked.waiters[0], 1 << 60)
    packed = desk.node.pack(now_ms=0, instant_ms=0, head=desk.head(), operations_allowed=False)
    assert packed is not None
    node.offset += 1
    return asked, Stored(node.offset, packed.body)


def test_a_read_whose_barrier_comes_back_through_a_log_that_may_have_lost_something_gets_no_balance(node: Node) -> None:
    asked, stored = barrier_read(node)
    node.desk.attachment.begin(now_ms=0, marker_seq=node.desk.node.want_record())
    node.applier._take([stored])
    assert asked.wait(0) == [Timeout()]


def test_a_read_whose_barrier_comes_back_through_a_log_that_is_whole_gets_the_balance_there(node: Node) -> None:
    node.desk.attachment.begin(now_ms=0, marker_seq=1)
    node.desk.attachment.returned(1, (1, 2))
    asked, stored = barrier_read(node)
    node.applier._take([stored])
    [view] = asked.wait(0)
    assert isinstance(view, AccountView)
    assert not view.stale


def test_what_was_read_is_told_by_session_once_it_is_committed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node.desk.read_up_to == {"t": 2}
    monkeypatch.setattr(node.journal, "commit", lambda *_: node.desk.read_up_to["t"] == 2 or pytest.fail("too early"))
    node.take((Deposit("d", "A", 5),))
    assert node.desk.read_up_to == {"t": 3}
    node.desk.has_read("t", 1)
    assert node.desk.read_up_to == {"t": 3}, "what comes once more, late, takes nothing back"


def test_of_many_sessions_those_heard_last_are_remembered(node: Node) -> None:
    for number in range(SESSIONS_MAX):
        node.desk.has_read("t", number)
        node.desk.has_read(f"ended-{number}", 1)
    assert len(node.desk.read_up_to) == SESSIONS_MAX
    assert "t" in node.desk.read_up_to, "it was heard all the time"
    assert "ended-0" not in node.desk.read_up_to


def test_an_id_that_comes_twice_in_one_delivery_is_applied_once(node: Node) -> None:
    deposit = Deposit("d", "A", 5)
    node.take((deposit,), (deposit, deposit))
    assert node.state.accounts["A"].balance_cents == 5


def test_an_id_that_the_journal_knows_is_not_applied_again(node: Node) -> None:
    node.take((Deposit("d", "A", 5),))
    node.take((Deposit("d", "A", 5),))
    assert node.state.accounts["A"].balance_cents == 5


def test_nobody_is_answered_and_nothing_announced_before_the_commit(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit = Deposit("d", "A", 5)
    asked = waits_for(node, deposit)

    def fail(*_: object) -> None:
        assert asked.wait(0) == [None]
        assert node.desk.committed.position == 2
        raise JournalFailed("the disk is full")

    monkeypatch.setattr(node.journal, "commit", fail)
    with pytest.raises(JournalFailed):
        node.take((deposit,))
    assert asked.wait(0) == [None]
    assert node.desk.committed.position == 2


def test_after_the_commit_everybody_is(node: Node) -> None:
    deposit = Deposit("d", "A", 5)
    asked = waits_for(node, deposit)
    node.take((deposit,))
    [answer] = asked.wait(0)
    assert isinstance(answer, Answer)
    assert node.desk.committed.position == 3


def test_a_commit_that_fails_in_the_middle_leaves_nothing_of_it(node: Node, tmp_path: Path) -> None:
    node.journal._db.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON main.records BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with pytest.raises(JournalFailed):
        node.take((Deposit("d", "A", 5),))
    node.journal.close()
    again = Journal(tmp_path)
    assert again.load().position == 2
    assert again.remembered(["d"]) == {}
    again.close()


def test_what_came_before_a_reopening_from_elsewhere_is_on_the_disk_before_anybody_hears_of_that(node: Node) -> None:
    position, chain = node.state.position, node.state.chain.hex()
    with pytest.raises(LogReopened):
        node.take((Deposit("d", "A", 500),), (Reopen("r", 2, position, chain),))
    assert node.state.position == position + 1
    assert node.journal.load().position == node.desk.committed.position == position + 1


def test_another_history_of_ones_own_epoch_is_noticed(node: Node) -> None:
    node.take((Reopen("ours", 2, node.state.position, node.state.chain.hex()),))
    stranger = Record(
        version=1, log_id="x", epoch=2, node="banco-3", session="u", seq=1, instant_ms=0, base=Base(0, ""),
        operations=(Reopen("theirs", 2, 1, "0" * 32),),
    )  # fmt: skip
    own = msgspec.structs.replace(stranger, operations=(Reopen("ours", 2, 1, "0" * 32),))
    node.applier._check_epoch(own)
    with pytest.raises(LogReopened):
        node.applier._check_epoch(stranger)
