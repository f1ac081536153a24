"""What a delivered record does: applied once, skipped by all alike, and compared with what one holds."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from bank import records
from bank.entries import Entry
from bank.errors import LogLost, LogReopened, StartRefused
from bank.ledger import genesis_operation
from bank.operations import Activate, Deposit, Open, Operation, Reopen, Transfer
from bank.records import Base, Record
from bank.replica import Delivery, Marks, Replica
from bank.state import State


def record(*operations: Operation, **fields: object) -> Record:
    """Return a record of the log `x` by banco-2."""
    content: dict[str, object] = {
        "version": 1, "log_id": "x", "epoch": 1, "node": "banco-2", "session": "s", "seq": 1, "instant_ms": 0,
        "base": Base(0, ""), "operations": operations,
    }  # fmt: skip
    return Record(**(content | fields))  # type: ignore[arg-type]


GENESIS = record(genesis_operation(operation_id="g", log_id="x"))


class Feed:
    """A replica of banco-1 and the log it reads."""

    def __init__(self) -> None:
        self.marks: dict[int, Marks] = {}
        self.replica = Replica(
            node="banco-1", state=State(), last_offset=0, last_checksum=b"", marks_at=self.marks.get,
            hold=lambda _: nullcontext(),
        )  # fmt: skip
        self.known: dict[str, Entry] = {}
        self.offset = 0

    def __call__(self, body: bytes | Record) -> Delivery | None:
        """Deliver the next record."""
        body = records.encode(body) if isinstance(body, Record) else body
        self.offset += 1
        if (admitted := self.replica.admit(self.offset, body)) is None:
            return None
        delivery = self.replica.deliver(self.offset, body, admitted, self.known)
        if delivery.change is not None:
            self.known |= {entry.operation.id: entry for entry in delivery.change.entries}
            self.marks[self.replica.state.position] = Marks(delivery.change.chain, delivery.change.digest)
        return delivery

    @property
    def position(self) -> int:
        return self.replica.state.position


@pytest.fixture
def feed() -> Iterator[Feed]:
    """A log with its genesis and one account."""
    feed = Feed()
    feed(GENESIS)
    feed(record(Open("a", "A", 0, 0)))
    assert feed.position == 2
    feed.replica.live = True
    return feed


SKIPPED = {
    "invalid": b"hello",
    "of another log": record(Deposit("k", "A", 1), log_id="y"),
    "of another epoch": record(Deposit("k", "A", 1), epoch=2),
    "of another version": record(Deposit("k", "A", 1), version=2),
    "a second genesis of another log": record(genesis_operation(operation_id="h", log_id="y"), log_id="y"),
}


@pytest.mark.parametrize("what", SKIPPED)
def test_what_is_not_of_this_log_is_skipped_and_counted(feed: Feed, what: str) -> None:
    delivery = feed(SKIPPED[what])
    assert delivery is None or delivery.change is None
    assert feed.position == 2
    assert feed.replica.skipped.total() == 1


def test_records_without_operations_are_not_counted(feed: Feed) -> None:
    chain = feed.replica.state.chain
    delivery = feed(record())
    assert delivery is not None
    assert delivery.change is None
    assert (feed.position, feed.replica.state.chain, feed.replica.skipped.total()) == (2, chain, 0)


def test_operations_before_genesis_are_skipped() -> None:
    feed = Feed()
    feed(record(Deposit("k", "A", 1), log_id=""))
    feed(record(Open("a", "A", 0, 0)))
    assert feed.position == 0
    assert feed.replica.skipped["before genesis"] == 2


@pytest.mark.parametrize(
    "first",
    [
        record(genesis_operation(operation_id="g", log_id="x"), Open("a", "A", 5, 0)),
        record(genesis_operation(operation_id="g", log_id="other")),
    ],
)
def test_a_genesis_stands_alone_and_names_its_own_log(first: Record) -> None:
    feed = Feed()
    feed(first)
    assert feed.position == 0


def test_of_two_that_race_the_first_genesis_counts() -> None:
    feed = Feed()
    feed(GENESIS)
    feed(record(genesis_operation(operation_id="h", log_id="y"), log_id="y"))
    assert feed.replica.state.log_id == "x"
    assert feed.position == 1


def test_a_log_begun_with_other_constants_is_refused() -> None:
    body = records.encode(GENESIS).replace(b'"moeda":"BRL"', b'"moeda":"USD"')
    with pytest.raises(StartRefused, match="other constants"):
        Feed()(body)


def test_a_repeat_is_counted_and_moves_nothing(feed: Feed) -> None:
    feed(record(Deposit("k", "A", 1)))
    feed(record(Deposit("k", "A", 1)))
    assert feed.position == 4
    assert feed.replica.state.accounts["A"].balance_cents == 1


class TestResuming:
    """At the last record applied, to be compared."""

    def test_the_same_record_is_no_news(self, feed: Feed) -> None:
        body = records.encode(record(Deposit("k", "A", 1)))
        feed(body)
        assert feed.replica.resume() == 3
        assert feed.replica.admit(3, body) is None
        assert feed.replica.admit(4, records.encode(record(Deposit("l", "A", 1)))) is not None

    def test_another_record_in_its_place_is_another_log(self, feed: Feed) -> None:
        feed.replica.resume()
        with pytest.raises(LogLost, match="another log, or it was cut"):
            feed.replica.admit(2, records.encode(record(Deposit("k", "A", 1))))

    def test_a_later_record_first_means_that_ones_own_is_gone(self, feed: Feed) -> None:
        feed.replica.resume()
        with pytest.raises(LogLost):
            feed.replica.admit(3, records.encode(record(Deposit("k", "A", 1))))

    def test_an_empty_replica_begins_anywhere(self) -> None:
        feed = Feed()
        assert feed.replica.resume() == 0
        assert feed.replica.admit(17, records.encode(GENESIS)) is not None


class TestComparing:
    """What publishers say of the past, against what one holds."""

    def test_a_base_that_agrees(self, feed: Feed) -> None:
        feed(record(Deposit("k", "A", 1), base=Base(2, feed.marks[2].chain.hex())))
        assert feed.replica.contradicting() == []

    def test_a_base_that_contradicts(self, feed: Feed) -> None:
        feed(record(Deposit("k", "A", 1), base=Base(2, "0" * 32)))
        assert feed.replica.contradicting() == ["banco-2"]
        assert feed.replica.is_outvoted(), "one against one: both stop"

    def test_a_marker_contradicts_nobody_for_its_node_has_not_proved_yet_that_it_stands_on_the_log(
        self, feed: Feed
    ) -> None:
        feed(record(base=Base(2, "0" * 32)))
        feed(record(base=Base(900, "0" * 32)))
        assert feed.replica.contradictions == 0

    def test_a_base_at_or_past_its_own_record_is_a_contradiction(self, feed: Feed) -> None:
        feed(record(Deposit("k", "A", 1), base=Base(3, "0" * 32)))
        assert feed.replica.contradictions == 1

    def test_a_base_never_changes_what_is_applied(self, feed: Feed) -> None:
        feed(record(Deposit("k", "A", 1), base=Base(2, "0" * 32)))
        assert feed.replica.state.accounts["A"].balance_cents == 1

    def test_one_against_two_stays_up(self, feed: Feed) -> None:
        feed.replica.hear("banco-3", 2, feed.marks[2].chain)
        feed.replica.hear("banco-2", 2, bytes(16))
        assert not feed.replica.is_outvoted()
        feed.replica.hear("banco-3", 2, bytes(16))
        assert feed.replica.is_outvoted()

    def test_who_agrees_again_contradicts_no_more(self, feed: Feed) -> None:
        feed.replica.hear("banco-2", 2, bytes(16))
        feed.replica.hear("banco-2", 2, feed.marks[2].chain)
        assert feed.replica.contradicting() == []

    def test_another_content_of_the_same_history_contradicts(self, feed: Feed) -> None:
        chain, digest = feed.marks[2]
        feed.replica.hear("banco-2", 2, chain, digest)
        assert feed.replica.contradicting() == []
        feed.replica.hear("banco-2", 2, chain, bytes(16))
        assert feed.replica.contradicting() == ["banco-2"]

    def test_while_old_records_are_replayed_contradictions_are_only_counted(self, feed: Feed) -> None:
        feed.replica.live = False
        feed(record(Deposit("k", "A", 1), base=Base(2, "0" * 32)))
        assert (feed.replica.contradictions, feed.replica.contradicting()) == (1, [])

    def test_positions_unknown_here_say_nothing(self, feed: Feed) -> None:
        feed.replica.hear("banco-2", 900, bytes(16))
        assert feed.replica.contradictions == 0

    def test_ones_own_records_are_not_compared(self, feed: Feed) -> None:
        feed(record(Deposit("k", "A", 1), base=Base(2, "0" * 32), node="banco-1"))
        assert feed.replica.contradictions == 0


def reopening(feed: Feed, *, epoch: int = 2, position: int | None = None) -> Record:
    state = feed.replica.state
    at = state.position if position is None else position
    return record(Reopen("r", epoch, at, state.chain.hex()), epoch=epoch, base=Base(at, state.chain.hex()))


class TestReopening:
    """A log that goes on, in a later epoch, from a place of the history."""

    def test_who_is_just_there_goes_on(self, feed: Feed) -> None:
        feed(reopening(feed))
        assert (feed.replica.state.epoch, feed.position) == (2, 3)
        feed(record(Deposit("k", "A", 1), epoch=2))
        assert feed.replica.state.accounts["A"].balance_cents == 1

    @pytest.mark.parametrize("position", [1, 3, 900])
    def test_who_is_elsewhere_needs_a_journal(self, feed: Feed, position: int) -> None:
        with pytest.raises(LogReopened) as raised:
            feed(reopening(feed, position=position))
        assert raised.value.epoch == 2
        assert feed.position == 2, "nothing was applied"

    def test_who_holds_another_history_needs_a_journal(self, feed: Feed) -> None:
        other = record(Reopen("r", 2, 2, "ab" * 16), epoch=2)
        with pytest.raises(LogReopened):
            feed(other)

    def test_who_is_new_needs_a_journal(self, feed: Feed) -> None:
        with pytest.raises(LogReopened):
            Feed()(reopening(feed))

    def test_of_two_the_first_counts(self, feed: Feed) -> None:
        second = reopening(feed)
        feed(reopening(feed))
        feed(second)
        assert (feed.replica.state.epoch, feed.position) == (2, 4), "applied, and refused, at every node alike"

    def test_of_another_log_it_means_nothing(self, feed: Feed) -> None:
        feed(record(Reopen("r", 2, 2, "ab" * 16), epoch=2, log_id="y"))
        assert (feed.replica.state.epoch, feed.position) == (1, 2)

    def test_records_of_an_older_epoch_are_skipped(self, feed: Feed) -> None:
        feed(reopening(feed))
        feed(record(Deposit("k", "A", 1), epoch=1))
        assert feed.replica.skipped == {"another epoch": 1}

    def test_records_of_a_later_epoch_that_nothing_began_are_skipped(self, feed: Feed) -> None:
        feed(record(Deposit("k", "A", 1), epoch=2))
        assert feed.replica.skipped == {"another epoch": 1}


def test_a_program_that_cannot_read_the_active_version_stops(feed: Feed) -> None:
    with pytest.raises(StartRefused, match="newer program"):
        feed(record(Activate("v", records.VERSIONS[-1] + 1)))


def test_a_record_is_applied_under_the_locks_of_all_accounts_that_it_concerns(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []
    monkeypatch.setattr(feed.replica, "_hold", lambda names: nullcontext(held.extend(names)))
    feed(record(Open("b", "B", 0, 0), Deposit("d", "A", 5), Transfer("t", "A", "B", 1)))
    assert set(held) == {"A", "B"}
    assert held[-2:] == ["A", "B"]


def test_memory_that_rots_is_noticed(feed: Feed) -> None:
    assert feed.replica.state_problem() is None
    feed.replica.state.accounts["A"].balance_cents += 1
    assert feed.replica.state_problem() is not None
