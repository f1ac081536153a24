"""The operations of one request take effect in their order, whatever becomes of the records that hold them."""

from random import Random

import pytest

from bank.deadlines import KEPT_MIN, Deadlines
from bank.errors import NotAccepted, OutcomeUnknown, Overloaded
from bank.node import GATHER_MS_MAX, Node
from bank.operations import Deposit
from bank.records import InvalidRecord, Record
from bank.waiting import Read
from tests.unit.test_node import DEADLINE, answered, deposit, make_node, pack, settle

MANY = 9_000
"""More than a record holds."""


def ask(node: Node, first: int, last: int, deadline_ms: int = DEADLINE) -> None:
    """Ask for deposits of these numbers, in one request."""
    node.propose_all([(deposit(number), number) for number in range(first, last + 1)], deadline_ms)


def ids(record: Record) -> list[str]:
    return [operation.id for operation in record.operations]


def test_the_rest_of_a_request_waits_until_the_record_before_came_back() -> None:
    node = make_node(queue_max=20_000)
    ask(node, 1, MANY)
    record = pack(node)
    assert len(record.operations) == 8192
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)
    assert pack(node).operations == (), "a marker does not take it along"
    settle(node, record)
    assert ids(pack(node)) == [f"id-{number}" for number in range(8193, MANY + 1)]


def test_after_a_lost_record_all_come_again_in_their_order() -> None:
    node = make_node(queue_max=20_000)
    ask(node, 1, MANY)
    lost = pack(node)
    node.propose(Deposit("other", "B", 1), "other", DEADLINE)
    others = pack(node)
    assert ids(others) == ["other"], "nobody else waits for it"
    settle(node, others)
    again = pack(node)
    assert ids(again) == ids(lost)
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)
    settle(node, again)
    assert len(pack(node).operations) == MANY - 8192


def test_what_waits_already_comes_first_for_a_request_that_names_it_first() -> None:
    node = make_node()
    node.propose(deposit(1), "w", DEADLINE)
    lost = pack(node)
    ask(node, 1, 2)
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)
    node.settle(lost, (), 5)
    assert ids(pack(node)) == ["id-1", "id-2"]


def test_what_waits_already_in_the_middle_holds_up_what_comes_after_it_alone() -> None:
    node = make_node()
    node.propose(deposit(2), "w", DEADLINE)
    first = pack(node)
    ask(node, 1, 3)
    assert ids(pack(node)) == ["id-1"]
    settle(node, first)
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True), (
        "the first of the three did not come back yet"
    )


def test_an_operation_twice_in_a_request_goes_out_once_and_the_second_is_a_repeat() -> None:
    node = make_node()
    node.propose_all([(deposit(), "first"), (deposit(2), "other"), (deposit(), "second")], DEADLINE)
    record = pack(node)
    assert ids(record) == ["id-1", "id-2"]
    assert answered(settle(node, record)) == [("first", False), ("second", True), ("other", False)]


def test_a_request_that_does_not_fit_the_queue_is_refused_whole() -> None:
    node = make_node(queue_max=5)
    ask(node, 1, 3)
    with pytest.raises(Overloaded):
        ask(node, 4, 6)
    assert node.queued == 3
    ask(node, 2, 5)
    assert ids(pack(node)) == [f"id-{number}" for number in range(1, 6)]


def test_a_request_of_which_no_node_could_read_one_operation_is_refused_whole() -> None:
    node = make_node()
    with pytest.raises(InvalidRecord):
        node.propose_all([(deposit(), 1), (Deposit("k", "A", 0), 2)], DEADLINE)
    assert node.is_idle
    assert node.queued == 0


def test_at_the_deadline_each_operation_is_told_what_is_known_of_it() -> None:
    node = make_node(queue_max=20_000)
    ask(node, 1, MANY, deadline_ms=100)
    pack(node)
    results = dict(node.expire(100))
    assert isinstance(results[8192], OutcomeUnknown)
    assert isinstance(results[8193], NotAccepted)
    assert len(results) == MANY
    assert not node.has_work(now_ms=GATHER_MS_MAX, operations_allowed=True)


def test_who_was_answered_is_forgotten_before_the_deadline() -> None:
    deadlines = Deadlines()
    for number in range(3 * KEPT_MIN):
        deadlines.push(1_000, Read(number, "A", is_open=number % KEPT_MIN == 7))
    left = list(deadlines.due(1_000))
    assert len(left) < 2 * KEPT_MIN
    assert [late.waiter for late in left if isinstance(late, Read) and late.is_open] == [
        7, KEPT_MIN + 7, 2 * KEPT_MIN + 7,
    ]  # fmt: skip


class Town:
    """A few nodes and a log that loses records; customers repeat whole requests, elsewhere too, and under way."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.log: list[Record] = []
        self.applied: dict[str, int] = {}
        """The position at which each id took effect, in that order."""
        self.nodes: list[Node] = []
        self.read: list[int] = []
        self.requests = [[f"{number}-{place}" for place in range(self.random.randint(1, 7))] for number in range(6)]
        for place in range(3):
            self.open(place)

    def open(self, place: int) -> None:
        """Start a node, or start it again: what waited there is gone."""
        fresh = Node(name=f"banco-{place}", session=f"s{self.random.random()}"[:20], queue_max=100)
        self.nodes[place : place + 1] = [fresh]
        self.read[place : place + 1] = [len(self.log)]

    def step(self, now_ms: int) -> None:
        place = self.random.randrange(3)
        node, chance = self.nodes[place], self.random.random()
        if chance < 0.2:
            request = self.random.choice(self.requests)
            first = request[: self.random.randint(1, 2 * len(request))]  # or all of it
            node.propose_all([(Deposit(key, "A", 1), object()) for key in first], now_ms + self.random.randint(1, 60))
        elif chance < 0.6 and node.has_work(now_ms=now_ms + GATHER_MS_MAX, operations_allowed=True):
            record = pack(node, now_ms=now_ms)
            if self.random.random() < 0.6:
                self.log.append(record)
        elif chance < 0.95:
            self.deliver(place)
        elif chance < 0.98:
            node.expire(now_ms)
        elif chance < 0.99:
            node.want_record()
        else:
            self.open(place)

    def deliver(self, place: int) -> None:
        while self.read[place] < len(self.log) and self.random.random() < 0.7:
            record, position = self.log[self.read[place]], self.read[place] + 1
            self.read[place] = position
            for operation in record.operations:
                self.applied.setdefault(operation.id, position)
            settle(self.nodes[place], record, position)


@pytest.mark.parametrize("seed", range(100))
def test_no_operation_takes_effect_before_one_ahead_of_it(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.records.MAX_RECORD_OPERATIONS", 2)
    town = Town(seed)
    for now_ms in range(600):
        town.step(now_ms)
    order = {key: place for place, key in enumerate(dict.fromkeys(op.id for rec in town.log for op in rec.operations))}
    assert len(order) > 5, "a check that saw nothing proves nothing"
    for request in town.requests:
        places = [order.get(key, len(order)) for key in request]
        assert places == sorted(places), request
