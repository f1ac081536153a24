"""The ledger's rules, one sentence each."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from bank import records
from bank.entries import Entry
from bank.ledger import Change, apply, genesis_operation
from bank.money import MAX_CENTS
from bank.operations import (
    Activate,
    Applied,
    Batch,
    Deposit,
    Join,
    Open,
    Operation,
    Origin,
    Outcome,
    Reason,
    Rejected,
    Reopen,
    Retire,
    Transfer,
    Uphold,
    Withdraw,
    scoped,
)
from bank.records import Base, Record
from bank.state import State, check_books


class Bank:
    """A ledger with a memory of its own: what the journal is in a node."""

    def __init__(self) -> None:
        self.state = State()
        self.known: dict[str, Entry] = {}
        self.do(genesis_operation(operation_id="genesis", log_id="x"))

    def apply(self, *operations: Operation, instant_ms: int = 0, node: str = "banco-1") -> Change:
        record = Record(
            version=1, log_id="x", epoch=1, node=node, session="s", seq=1, instant_ms=instant_ms, base=Base(0, ""),
            operations=operations,
        )  # fmt: skip
        change = apply(self.state, record, records.encode(record), self.known)
        self.known |= {entry.operation.id: entry for entry in change.entries}
        return change

    def do(self, *operations: Operation) -> list[Outcome]:
        return [entry.outcome for entry in self.apply(*operations).outcomes]


@pytest.fixture
def bank() -> Bank:
    """A bank with A (100.00, limit 50.00) and B (0.00)."""
    bank = Bank()
    bank.do(Open("a", "A", 10_000, 5_000), Open("b", "B", 0, 0))
    return bank


def refused(reason: Reason) -> list[Outcome]:
    return [Rejected(reason)]


def test_an_account_is_opened_once(bank: Bank) -> None:
    assert bank.do(Open("k", "A", 1, 0)) == refused(Reason.ACCOUNT_EXISTS)
    assert bank.state.accounts["A"].balance_cents == 10_000


def test_an_opening_balance_counts_as_a_deposit(bank: Bank) -> None:
    assert (bank.state.deposited_cents, bank.state.in_accounts_cents) == (10_000, 10_000)


def test_a_deposit_adds_and_a_withdrawal_takes_away(bank: Bank) -> None:
    assert bank.do(Deposit("d", "A", 1), Withdraw("w", "A", 2)) == [Applied(10_001, 2), Applied(9_999, 3)]


def test_a_withdrawal_goes_down_to_the_limit_and_not_a_centavo_further(bank: Bank) -> None:
    assert bank.do(Withdraw("1", "A", 15_001)) == refused(Reason.INSUFFICIENT_FUNDS)
    assert bank.do(Withdraw("2", "A", 15_000)) == [Applied(-5_000, 2)]
    assert bank.do(Withdraw("3", "A", 1)) == refused(Reason.INSUFFICIENT_FUNDS)


def test_a_transfer_moves_both_legs_or_none(bank: Bank) -> None:
    assert bank.do(Transfer("1", "A", "B", 15_001)) == refused(Reason.INSUFFICIENT_FUNDS)
    assert bank.do(Transfer("2", "B", "A", 1)) == refused(Reason.INSUFFICIENT_FUNDS)
    assert bank.do(Transfer("3", "A", "B", 15_000)) == [Applied(-5_000, 2, 15_000, 2)]
    assert bank.state.in_accounts_cents == 10_000


@pytest.mark.parametrize(
    "operation", [Deposit("k", "Z", 1), Withdraw("k", "Z", 1), Transfer("k", "Z", "A", 1), Transfer("k", "A", "Z", 1)]
)
def test_nothing_moves_at_an_account_that_does_not_exist(bank: Bank, operation: Operation) -> None:
    assert bank.do(operation) == refused(Reason.ACCOUNT_NOT_FOUND)


def test_a_transfer_to_oneself_is_refused(bank: Bank) -> None:
    assert bank.do(Transfer("k", "A", "A", 1)) == refused(Reason.SAME_ACCOUNT)


def test_no_balance_grows_above_the_bound(bank: Bank) -> None:
    bank.do(Open("full", "F", MAX_CENTS, 0))
    assert bank.do(Deposit("1", "F", 1)) == refused(Reason.ABOVE_LIMIT)
    assert bank.do(Transfer("2", "A", "F", 1)) == refused(Reason.ABOVE_LIMIT)
    assert bank.state.accounts["A"].balance_cents == 10_000


def test_a_repeat_gets_the_first_outcome_and_writes_nothing(bank: Bank) -> None:
    first = bank.apply(Deposit("k", "A", 1))
    again = bank.apply(Deposit("k", "A", 1))
    assert again.outcomes == first.outcomes
    assert (again.entries, again.touched) == ([], [])


def test_a_repeat_within_one_record_gets_the_first_outcome(bank: Bank) -> None:
    change = bank.apply(Deposit("k", "A", 1), Deposit("k", "A", 1))
    assert len(change.entries) == 1
    assert change.outcomes[0] is change.outcomes[1]
    assert bank.state.accounts["A"].balance_cents == 10_001


def test_a_refusal_is_remembered_even_when_it_would_succeed_by_now(bank: Bank) -> None:
    assert bank.do(Withdraw("k", "B", 1)) == refused(Reason.INSUFFICIENT_FUNDS)
    bank.do(Deposit("more", "B", 100))
    assert bank.do(Withdraw("k", "B", 1)) == refused(Reason.INSUFFICIENT_FUNDS)


@pytest.mark.parametrize(
    "other", [Deposit("k", "A", 2), Deposit("k", "B", 1), Withdraw("k", "A", 1), Transfer("k", "A", "B", 1)]
)
def test_an_id_repeated_with_other_content_is_refused_and_not_remembered(bank: Bank, other: Operation) -> None:
    first = bank.do(Deposit("k", "A", 1))
    change = bank.apply(other)
    assert [entry.outcome for entry in change.outcomes] == refused(Reason.ID_REUSED)
    assert change.entries == []
    assert bank.do(Deposit("k", "A", 1)) == first


def test_a_version_counts_every_movement_and_no_refusal(bank: Bank) -> None:
    bank.do(Deposit("1", "A", 1), Withdraw("2", "A", 99_999), Transfer("3", "A", "B", 1))
    assert (bank.state.accounts["A"].version, bank.state.accounts["B"].version) == (3, 2)


def test_an_entry_leads_back_to_the_one_before_it(bank: Bank) -> None:
    opening, opening_of_b = (bank.state.accounts[name].last_entry for name in "AB")
    deposit, refusal, transfer = bank.apply(
        Deposit("1", "A", 1), Withdraw("2", "A", 99_999), Transfer("3", "B", "A", 1)
    ).entries
    assert deposit.previous == opening
    assert (refusal.previous, transfer.previous) == (0, 0), "refusals stand in no trail"
    change = bank.apply(Transfer("4", "A", "B", 1))
    [moved] = change.entries
    assert moved.previous == deposit.number
    assert moved.counterpart_previous == opening_of_b
    assert change.touched == ["A", "B"]


def test_a_repeat_by_way_of_another_node_is_a_repeat(bank: Bank) -> None:
    bank.do(Deposit("k", "A", 1))
    [again] = bank.apply(Deposit("k", "A", 1), node="banco-2").outcomes
    assert (again.bank, again.outcome, bank.state.accounts["A"].balance_cents) == (
        "banco-1",
        Applied(10_001, 2),
        10_001,
    )


def test_a_refusal_is_remembered_also_within_one_record(bank: Bank) -> None:
    too_much = Withdraw("w", "B", 5)
    outcomes = bank.do(too_much, Deposit("d", "B", 100), too_much)
    assert [outcomes[0], outcomes[2]] == refused(Reason.INSUFFICIENT_FUNDS) * 2
    assert bank.do(too_much) == refused(Reason.INSUFFICIENT_FUNDS)


def test_time_never_runs_backwards(bank: Bank) -> None:
    bank.apply(Deposit("1", "A", 1), instant_ms=5_000)
    assert bank.apply(Deposit("2", "A", 1), instant_ms=1_000).instant_ms == 5_000


def test_a_log_begins_once(bank: Bank) -> None:
    assert bank.do(genesis_operation(operation_id="again", log_id="x")) == refused(Reason.LOG_EXISTS)


def test_members_come_and_go(bank: Bank) -> None:
    bank.do(Join("1", "banco-2", (1,)))
    assert bank.state.members == {"banco-2": (1,)}
    assert bank.do(Retire("2", "banco-9")) == refused(Reason.MEMBER_NOT_FOUND)
    bank.do(Retire("3", "banco-2"))
    assert bank.state.members == {}


def test_a_version_is_activated_if_every_member_can_read_it(bank: Bank) -> None:
    bank.do(Join("1", "banco-1", (1, 2)), Join("2", "banco-2", (1,)))
    assert bank.do(Activate("3", 2)) == refused(Reason.VERSION_NOT_SUPPORTED)
    bank.do(Join("4", "banco-2", (1, 2)))
    assert bank.do(Activate("5", 2)) == [Applied()]
    assert bank.state.version == 2


def test_what_was_refused_before_stays_refused_and_is_not_executed(bank: Bank) -> None:
    lost = Withdraw("w", "A", 10)
    assert bank.do(Uphold("w", lost, Reason.INSUFFICIENT_FUNDS)) == refused(Reason.INSUFFICIENT_FUNDS)
    assert bank.state.accounts["A"].balance_cents == 10_000
    assert bank.do(lost) == refused(Reason.INSUFFICIENT_FUNDS), "the customer who asks again is told the same"
    assert bank.do(Withdraw("w", "A", 11)) == refused(Reason.ID_REUSED)


def test_what_is_known_already_is_not_made_a_refusal(bank: Bank) -> None:
    bank.do(Withdraw("w", "A", 10))
    assert bank.do(Uphold("w", Withdraw("w", "A", 10), Reason.INSUFFICIENT_FUNDS)) == [Applied(9_990, 2)]


def test_a_refusal_is_entered_under_its_own_id_whatever_stands_inside(bank: Bank) -> None:
    [entry] = bank.apply(Uphold("w", Withdraw("d", "A", 10), Reason.SAME_ACCOUNT)).entries
    assert entry.operation == Withdraw("w", "A", 10)


def test_a_log_goes_on_in_a_later_epoch(bank: Bank) -> None:
    position, chain = bank.state.position, bank.state.chain.hex()
    reopening = Record(
        version=1, log_id="x", epoch=3, node="banco-1", session="s", seq=1, instant_ms=0, base=Base(0, ""),
        operations=(Reopen("r", 3, position, chain),),
    )  # fmt: skip
    apply(bank.state, reopening, records.encode(reopening), {})
    assert (bank.state.epoch, bank.state.position) == (3, position + 1)


def test_a_reopening_that_is_not_this_one_changes_nothing(bank: Bank) -> None:
    assert bank.do(Reopen("r", 2, 1, "ab" * 16)) == refused(Reason.LOG_EXISTS)
    assert bank.state.epoch == 1


def test_the_books_are_checked_after_every_record(bank: Bank) -> None:
    bank.state.in_accounts_cents += 1
    with pytest.raises(AssertionError, match="money leaked"):
        check_books(bank.state)
    with pytest.raises(AssertionError, match="money leaked"):
        bank.do(Deposit("k", "A", 1))


def test_the_holder_may_be_left_out(bank: Bank) -> None:
    bank.do(Open("1", "C", 0, 0, UNSET), Open("2", "D", 0, 0, "Zé"))
    assert (bank.state.accounts["C"].holder, bank.state.accounts["D"].holder) == (None, "Zé")


# --- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_takes_effect_in_its_order(bank: Bank) -> None:
    batch = Batch("k", (Open("0", "C", 0, 0), Deposit("1", "C", 5), Transfer("2", "C", "B", 5), Withdraw("3", "B", 4)))
    change = bank.apply(batch)
    assert [entry.outcome for entry in change.outcomes] == [Applied()]
    assert [(entry.operation.id, entry.outcome) for entry in change.entries] == [
        ("k", Applied()),
        ("k/0", Applied(0, 1)),
        ("k/1", Applied(5, 2)),
        ("k/2", Applied(0, 3, 5, 2)),
        ("k/3", Applied(1, 3)),
    ]
    assert change.touched == ["C", "B"]
    assert (bank.state.deposited_cents, bank.state.withdrawn_cents, bank.state.in_accounts_cents) == (10_005, 4, 10_001)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Withdraw("2", "A", 15_002), Reason.INSUFFICIENT_FUNDS),
        (Transfer("2", "C", "B", 1), Reason.ACCOUNT_NOT_FOUND),
        (Open("2", "B", 0, 0), Reason.ACCOUNT_EXISTS),
        (Open("2", "D", 0, 0), Reason.ACCOUNT_EXISTS),
        (Transfer("2", "A", "A", 1), Reason.SAME_ACCOUNT),
        (Deposit("2", "D", MAX_CENTS), Reason.ABOVE_LIMIT),
    ],
)
def test_a_batch_of_which_one_part_is_refused_changes_nothing(bank: Bank, part: Open, reason: Reason) -> None:
    accounts = str(bank.state.accounts)
    change = bank.apply(Batch("k", (Deposit("0", "A", 1), Open("1", "D", 1, 0), part, Withdraw("3", "Z", 1))))
    assert [entry.outcome for entry in change.outcomes] == [Rejected(reason, 2)]
    assert [entry.operation.id for entry in change.entries] == ["k"]
    assert (change.touched, str(bank.state.accounts)) == ([], accounts)
    assert bank.state.in_accounts_cents == 10_000


def test_a_batch_is_repeated_whole_and_never_executed_again(bank: Bank) -> None:
    refused_batch = Batch("r", (Withdraw("0", "B", 1),))
    batch = Batch("k", (Deposit("0", "B", 1), Deposit("1", "B", 1)))
    first = bank.apply(refused_batch, batch)
    again = bank.apply(batch, refused_batch, batch, node="banco-2")
    assert [again.outcomes[0], again.outcomes[1]] == [first.outcomes[1], first.outcomes[0]]
    assert (again.entries, again.touched, bank.state.accounts["B"].balance_cents) == ([], [], 2)
    assert bank.do(Batch("k", (Deposit("0", "B", 1),))) == [Rejected(Reason.ID_REUSED)]


def test_a_part_is_remembered_under_an_id_of_its_own(bank: Bank) -> None:
    bank.do(Batch("k", (Deposit("0", "B", 1), Deposit("1", "B", 2))))
    assert bank.do(Deposit("k/1", "B", 2)) == [Applied(3, 3)], "that is what it got in the batch"
    assert bank.do(Deposit("k/0", "B", 2)) == refused(Reason.ID_REUSED)
    assert bank.state.accounts["B"].balance_cents == 3


def test_what_was_done_one_by_one_is_not_done_again_as_a_batch(bank: Bank) -> None:
    bank.do(Deposit("k/1", "B", 1))
    change = bank.apply(Batch("k", (Deposit("0", "B", 1), Deposit("1", "B", 1))))
    assert [entry.outcome for entry in change.outcomes] == [Rejected(Reason.ID_REUSED, 1)]
    assert (change.entries, bank.state.accounts["B"].balance_cents) == ([], 1)


def test_the_parts_of_a_batch_stand_in_the_trails_of_their_accounts(bank: Bank) -> None:
    opening = bank.state.accounts["B"].last_entry
    batch, deposit, transfer = bank.apply(Batch("k", (Deposit("0", "B", 1), Transfer("1", "A", "B", 1)))).entries
    assert (batch.previous, batch.counterpart_previous) == (0, 0)
    assert (deposit.previous, transfer.counterpart_previous) == (opening, deposit.number)
    assert bank.state.accounts["B"].last_entry == transfer.number


def test_a_batch_that_was_refused_before_stays_refused(bank: Bank) -> None:
    lost = Batch("k", (Deposit("0", "B", 1), Deposit("1", "B", 1)))
    told = [Rejected(Reason.ABOVE_LIMIT, 1)]
    assert bank.do(Uphold("k", lost, Reason.ABOVE_LIMIT, 1)) == told
    assert bank.do(lost) == told
    assert bank.state.accounts["B"].balance_cents == 0


def test_a_record_version_never_goes_back(bank: Bank) -> None:
    bank.do(Join("1", "banco-1", (1, 2)), Activate("2", 2))
    assert bank.do(Activate("3", 1)) == refused(Reason.VERSION_NOT_SUPPORTED)
    assert bank.state.version == 2


def test_keys_of_one_principal_are_not_those_of_another(bank: Bank) -> None:
    bank.do(Deposit(scoped("ana", "k"), "A", 1))
    assert bank.do(Deposit(scoped("bia", "k"), "A", 1)) == [Applied(10_002, 3)]
    assert bank.do(Deposit("k", "A", 1)) == [Applied(10_003, 4)]


def test_a_repeat_across_the_day_on_which_the_bank_learnt_its_principals_is_one_operation(bank: Bank) -> None:
    bank.do(Deposit("k", "A", 1), Withdraw("refused", "B", 1), Batch("lote", (Deposit("0", "A", 5),)))
    again = Deposit(scoped("ana", "k"), "A", 1), Withdraw(scoped("ana", "refused"), "B", 1)
    change = bank.apply(*again, Batch(scoped("ana", "lote"), (Deposit("0", "A", 5),)))
    assert [entry.operation.id for entry in change.outcomes] == ["k", "refused", "lote"]
    assert change.entries == []


def test_a_bare_key_of_another_request_is_nothing_to_a_principal(bank: Bank) -> None:
    bank.do(Deposit("k", "A", 1))
    assert bank.do(Deposit(scoped("ana", "k"), "A", 2)) == [Applied(10_003, 3)]


@pytest.mark.parametrize("kind", [Deposit, Withdraw])
def test_who_asked_and_from_where_is_no_part_of_what_makes_two_requests_the_same(
    bank: Bank, kind: type[Deposit | Withdraw]
) -> None:
    first = kind(scoped("ana", "k"), "A", 1, origin=Origin("r1", "10.0.0.1"))
    [outcome] = bank.do(first)
    change = bank.apply(replace(first, origin=Origin("r2", "::1")))
    assert [entry.operation for entry in change.outcomes] == [first], "the one that counted"
    assert [entry.outcome for entry in change.outcomes] == [outcome]
    assert bank.do(replace(first, amount_cents=2)) == refused(Reason.ID_REUSED)


def test_the_parts_of_a_batch_were_asked_for_by_whoever_asked_for_the_batch(bank: Bank) -> None:
    origin = Origin("r", "10.0.0.1")
    change = bank.apply(Batch(scoped("ana", "k"), (Deposit("0", "A", 1), Withdraw("1", "A", 1)), origin=origin))
    parts = [entry.operation for entry in change.entries[1:]]
    assert [part.id for part in parts] == [scoped("ana", "k/0"), scoped("ana", "k/1")]
    assert all(isinstance(part, Deposit | Withdraw) and part.origin == origin for part in parts)
