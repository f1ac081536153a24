"""What a node decides, without a thread: what goes into a record, who is answered, what is withdrawn."""

from collections.abc import Sequence

import pytest

from bank import records
from bank.entries import Entry
from bank.errors import NotAccepted, OutcomeUnknown, Overloaded
from bank.node import GATHER_MS_MAX, Node
from bank.operations import Applied, Deposit, Operation, Origin
from bank.records import Base, InvalidRecord, Record
from bank.views import Answer
from bank.waiting import Completion, Head, Timeout

DEADLINE = 10_000


def make_node(**settings: int) -> Node:
    return Node(name="banco-1", session="s1", **{"queue_max": 100} | settings)


def deposit(number: int = 1) -> Deposit:
    return Deposit(f"id-{number}", "A", number)


def pack(node: Node, *, allowed: bool = True, now_ms: int = 0, version: int = 1) -> Record:
    head = Head(version, "x", 1, Base(0, ""))
    packed = node.pack(now_ms=now_ms, instant_ms=0, head=head, operations_allowed=allowed)
    return records.decode(packed.body)


def settle(node: Node, record: Record, position: int = 5, *, first: int = 5) -> list[Completion]:
    """Let a record come back, applied at `position`; its operations had their outcome first at `first`."""
    entries = [Entry(1, first, 0, record.node, operation, Applied(1, 1)) for operation in record.operations]
    return node.settle(record, entries, position)


def answered(completions: Sequence[Completion]) -> list[tuple[object, bool]]:
    return [(waiter, result.replayed) for waiter, result in completions if isinstance(result, Answer)]


def test_what_waits_goes_into_one_record_in_order() -> None:
    node = make_node()
    for number in (1, 2, 3):
        node.propose(deposit(number), f"w{number}", DEADLINE)
    record = pack(node)
    assert [operation.id for operation in record.operations] == ["id-1", "id-2", "id-3"]
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)
    assert answered(settle(node, record)) == [("w1", False), ("w2", False), ("w3", False)]


def test_what_comes_gathers_while_a_record_is_on_its_way() -> None:
    node = make_node(queue_max=20_000)
    node.propose(deposit(1), "w1", DEADLINE)
    first = pack(node)
    node.propose(deposit(2), "w2", DEADLINE)
    node.read("A", "r", DEADLINE)
    assert not node.has_work(now_ms=GATHER_MS_MAX - 1, operations_allowed=True)
    settle(node, first)
    assert node.has_work(now_ms=GATHER_MS_MAX - 1, operations_allowed=True), "it is back"


def test_what_gathers_waits_neither_for_ever_nor_for_more_than_a_full_record() -> None:
    node = make_node(queue_max=20_000)
    node.read("A", "r", DEADLINE)
    pack(node)
    node.propose(deposit(1), "w", DEADLINE)
    assert not node.has_work(now_ms=GATHER_MS_MAX - 1, operations_allowed=True)
    assert node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True), "the record may be lost"
    for number in range(2, 8193):
        node.propose(deposit(number), number, DEADLINE)
    assert node.has_work(now_ms=GATHER_MS_MAX - 1, operations_allowed=True), "it is full"


def test_nobody_waits_for_a_record_that_answers_nobody() -> None:
    node = make_node()
    pack(node)
    node.propose(deposit(), "w", DEADLINE)
    assert node.has_work(now_ms=0, operations_allowed=True)


def test_every_attempt_is_a_new_record() -> None:
    node = make_node()
    assert [pack(node).seq for _ in range(3)] == [1, 2, 3]


def test_operations_wait_while_they_are_not_allowed_and_barriers_do_not() -> None:
    node = make_node()
    node.propose(deposit(), "w", DEADLINE)
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=False)
    node.read("A", "r", DEADLINE)
    assert node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=False)
    record = pack(node, allowed=False)
    assert record.operations == ()
    assert node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)


def test_a_record_is_never_larger_than_a_record_may_be() -> None:
    node = make_node(queue_max=20_000)
    for number in range(9_000):
        node.propose(Deposit(f"{number:0250d}", "A" * 64, 1), number, DEADLINE)
    packed = node.pack(now_ms=0, instant_ms=0, head=Head(1, "x", 1, Base(0, "")), operations_allowed=True)
    assert len(packed.body) <= records.MAX_RECORD_BYTES
    first = records.decode(packed.body)
    assert 0 < len(first.operations) < 9_000
    assert pack(node).operations[0].id == f"{len(first.operations):0250d}"


def test_a_record_has_at_most_as_many_operations_as_a_record_may_have() -> None:
    node = make_node(queue_max=20_000)
    for number in range(9_000):
        node.propose(deposit(number + 1), number, DEADLINE)
    assert [len(pack(node).operations), len(pack(node).operations)] == [8192, 808]


def test_a_full_queue_refuses() -> None:
    node = make_node(queue_max=2)
    node.propose(deposit(1), "w1", DEADLINE)
    node.propose(deposit(2), "w2", DEADLINE)
    with pytest.raises(Overloaded):
        node.propose(deposit(3), "w3", DEADLINE)
    node.propose(deposit(2), "again", DEADLINE)
    pack(node)
    node.propose(deposit(3), "w3", DEADLINE)


def test_an_operation_that_no_node_could_read_is_refused_alone() -> None:
    node = make_node()
    with pytest.raises(InvalidRecord):
        node.propose(Deposit("k", "A", 0), "w", DEADLINE)
    assert node.is_idle
    assert node.queued == 0


def test_the_same_request_in_flight_waits_for_the_first() -> None:
    node = make_node()
    node.propose(deposit(), "first", DEADLINE)
    record = pack(node)
    node.propose(deposit(), "second", DEADLINE)
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)
    assert answered(settle(node, record)) == [("first", False), ("second", True)]


def test_another_request_under_the_same_id_is_an_attempt_of_its_own() -> None:
    node = make_node()
    node.propose(Deposit("k", "A", 1), "first", DEADLINE)
    node.propose(Deposit("k", "A", 2), "second", DEADLINE)
    assert [operation.amount_cents for operation in pack(node).operations] == [1, 2]


def test_what_the_history_knew_is_a_replay() -> None:
    node = make_node()
    node.propose(deposit(), "w", DEADLINE)
    assert answered(settle(node, pack(node), position=9, first=3)) == [("w", True)]


def test_of_one_operation_that_two_places_ask_for_in_one_record_the_second_is_a_replay() -> None:
    node = make_node()
    first, second = (Deposit("k", "A", 1, origin=Origin(request, "10.0.0.1")) for request in ("r1", "r2"))
    node.propose(first, "w1", DEADLINE)
    node.propose(second, "w2", DEADLINE)
    record = pack(node, version=3)
    entry = Entry(1, 5, 0, "banco-1", first, Applied(1, 1))
    assert answered(node.settle(record, [entry, entry], 5)) == [("w1", False), ("w2", True)]


def test_the_record_of_another_node_settles_what_waits_here() -> None:
    node, other = make_node(), Node(name="banco-2", session="s2", queue_max=9)
    node.propose(deposit(), "here", DEADLINE)
    other.propose(deposit(), "there", DEADLINE)
    assert answered(settle(node, pack(other))) == [("here", True)]
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True), (
        "settled: it need not be published any more"
    )


def test_a_record_that_never_came_is_proposed_again_when_a_later_one_comes() -> None:
    node = make_node()
    node.propose(deposit(1), "w1", DEADLINE)
    lost = pack(node)
    node.propose(deposit(2), "w2", DEADLINE)
    later = pack(node)
    assert answered(settle(node, later)) == [("w2", False)]
    again = pack(node)
    assert again.operations == lost.operations
    assert again.seq > later.seq
    assert answered(settle(node, again)) == [("w1", False)]


def test_a_record_that_was_skipped_is_proposed_again() -> None:
    node = make_node()
    node.propose(deposit(), "w", DEADLINE)
    record = pack(node)
    assert node.settle(record, (), 5) == []
    assert pack(node).operations == record.operations


def test_what_was_never_packed_is_withdrawn_at_its_deadline() -> None:
    node = make_node()
    node.propose(deposit(), "w", 100)
    assert node.expire(99) == []
    [(waiter, result)] = node.expire(100)
    assert waiter == "w"
    assert isinstance(result, NotAccepted)
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)
    assert node.is_idle


def test_what_was_packed_is_unknown_at_its_deadline_and_so_is_a_later_attempt() -> None:
    node = make_node()
    node.propose(deposit(), "w", 100)
    record = pack(node)
    [(_, result)] = node.expire(100)
    assert isinstance(result, OutcomeUnknown)
    node.propose(deposit(), "again", 200)
    [(_, result)] = node.expire(200)
    assert isinstance(result, OutcomeUnknown), "the first attempt may still be in the log"
    settle(node, record)
    assert not node.is_unsettled("id-1")
    node.propose(deposit(), "third", 300)
    [(_, result)] = node.expire(300)
    assert isinstance(result, NotAccepted), "settled by then, and this attempt was never packed"


def test_one_waiter_gives_up_and_the_other_still_gets_the_answer() -> None:
    node = make_node()
    node.propose(deposit(), "hasty", 100)
    node.propose(deposit(), "patient", DEADLINE)
    record = pack(node)
    assert [waiter for waiter, _ in node.expire(100)] == ["hasty"]
    assert answered(settle(node, record)) == [("patient", False)], "the hasty one was not told: nothing is repeated"


def test_every_waiter_gets_exactly_one_result() -> None:
    node = make_node()
    node.propose(deposit(1), "w1", 100)
    node.propose(deposit(2), "w2", DEADLINE)
    node.read("A", "r", DEADLINE)
    record = pack(node)
    given = node.expire(100) + settle(node, record)
    given += [Completion(waiter, Timeout()) for waiter in node.close_reads(node.barrier(record))]
    given += node.give_up_all() + node.give_up_all()
    assert sorted(waiter for waiter, _ in given) == ["r", "w1", "w2"]


def test_a_read_is_answered_by_the_record_packed_after_it_came() -> None:
    node = make_node()
    node.propose(deposit(), "w", DEADLINE)
    early = pack(node)
    node.read("A", "r", DEADLINE)
    barrier = pack(node)
    assert node.barrier(early) == [], "packed before the read came: it could miss what was answered meanwhile"
    assert [read.waiter for read in node.barrier(barrier)] == ["r"]


def test_a_read_whose_barrier_was_lost_gets_another() -> None:
    node = make_node()
    node.read("A", "r", DEADLINE)
    pack(node)
    later_wanted = node.want_record()
    later = pack(node)
    assert later.seq == later_wanted
    node.settle(later, (), 5)
    assert [read.waiter for read in node.barrier(pack(node))] == ["r"]


def test_a_read_that_is_late_gets_a_time_out_and_no_answer_after_it() -> None:
    node = make_node()
    node.read("A", "r", 100)
    record = pack(node)
    assert node.expire(100) == [Completion("r", Timeout())]
    assert node.barrier(record) == []


def test_the_record_of_another_process_of_the_same_name_is_not_ones_own() -> None:
    node, before = make_node(), Node(name="banco-1", session="s0", queue_max=9)
    node.read("A", "r", DEADLINE)
    pack(node)
    assert node.barrier(pack(before)) == []


def test_unsettled_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.node.UNSETTLED_MAX", 3)
    node = make_node()
    for number in range(1, 6):
        operation: Operation = deposit(number)
        node.propose(operation, number, DEADLINE)
        pack(node)
    assert [node.is_unsettled(f"id-{number}") for number in range(1, 6)] == [False, False, True, True, True]
