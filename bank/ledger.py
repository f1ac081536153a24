"""The ledger: a pure state machine. The same records in the same order give the same state at every node.

Reads no clock, no randomness, no file, no `hash()`, no set order and no float, and does not log. What varies
(time, ids) was chosen by the node that published and travels inside the record. A repeated id gets its first
outcome; the caller looks that up in its journal and hands it in as `remembered`.
Idea: Lamport's replicated state machine (CACM 21(7), 1978). Invariants: `check_books`, after every record;
tests/unit/test_ledger_model.py compares with a naive bank.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import UNSET, Struct
from msgspec.structs import replace

from bank import digests
from bank.entries import Entry, Row, to_row
from bank.money import MAX_CENTS
from bank.operations import (
    Activate,
    Applied,
    Batch,
    Deposit,
    Genesis,
    Join,
    Open,
    Operation,
    Outcome,
    Reason,
    Rejected,
    Reopen,
    Retire,
    Transfer,
    Uphold,
    Withdraw,
    accounts_of,
    is_same,
    scope_of,
)
from bank.records import MAX_RECORD_BYTES, Record, checksum
from bank.state import Account, State, check_books, state_digest, sum_up

__all__ = ["CURRENCY", "Change", "apply", "genesis_operation"]

CURRENCY = "BRL"


class Change(Struct, frozen=True):
    """What one applied record changed."""

    outcomes: Sequence[Entry]
    """One for each operation of the record, in order."""
    entries: Sequence[Entry]
    """Those that are new, parts of batches among them, in order."""
    rows: Sequence[Row]
    """The same as they are to be written: the chain digest covers them."""
    touched: Sequence[str]
    """Ids of the accounts that changed, each once, in order of first touch."""
    position: int
    instant_ms: int
    last_entry: int
    """Number of the newest entry there is after this record."""
    checksum: bytes
    chain: bytes
    digest: bytes


def apply(state: State, record: Record, body: bytes, remembered: Mapping[str, Entry]) -> Change:
    """Apply all operations of a valid record of this log, which has at least one; return what changed.

    `body` is the record as the log holds it; `remembered` has the entries of those ids of this record that the
    history knows already. A record of a later epoch is its `reabertura`, at the place that it names.
    """
    assert record.operations, "a record without operations is not applied"
    assert record.log_id == state.log_id or not state.log_id, "a record of another log"
    assert record.epoch >= state.epoch, "a record of an epoch that is over"
    state.epoch = record.epoch
    state.position += 1
    state.instant_ms = max(state.instant_ms, record.instant_ms)
    known = dict(remembered)
    outcomes = [apply_one(state, operation, record.node, known) for operation in record.operations]
    entries = list(islice(known.values(), len(remembered), None))  # what was learnt stands behind what was known
    applied = (entry.operation for entry in entries if isinstance(entry.outcome, Applied))
    touched = list(dict.fromkeys(name for operation in applied for name in accounts_of(operation)))
    sum_up(state, touched)
    rows = [to_row(entry) for entry in entries]
    body_checksum = checksum(body)
    head = (state.position, state.instant_ms, record.node)
    state.chain = digests.chain(state.chain, body_checksum, head, rows)
    check_books(state)
    return Change(
        outcomes=outcomes,
        entries=entries,
        rows=rows,
        touched=touched,
        position=state.position,
        instant_ms=state.instant_ms,
        last_entry=state.entries,
        checksum=body_checksum,
        chain=state.chain,
        digest=state_digest(state),
    )


def apply_one(state: State, operation: Operation, bank: str, known: dict[str, Entry]) -> Entry:
    """Execute one operation, or repeat what its id got before. New entries, also of a batch's parts, join `known`."""
    asked = operation.original if isinstance(operation, Uphold) else operation
    if (first := known.get(operation.id)) is not None:
        return first if is_same(first.operation, asked) else _reused(state, asked, bank)
    # Perhaps a repeat of what was asked for before the bank knew its principals, when keys were everybody's.
    if (bare := known.get(scope_of(operation.id)[1])) is not None and is_same(bare.operation, asked):
        return bare
    parts = list(operation.operations) if isinstance(operation, Batch) else []
    for index, part in enumerate(parts):
        if part.id in known:
            return _reused(state, asked, bank, index)
    number = state.entries + 1
    previous = [_last_entry(state, name) for name in ([] if parts else accounts_of(operation))]
    outcome = _rehearse(state, parts, bank) if parts else _execute(state, operation, bank, number)
    if isinstance(outcome, Rejected):
        previous, parts = [], []  # a refusal moves no account and stands in no statement
    state.entries = number
    entry = Entry(number, state.position, state.instant_ms, bank, asked, outcome, *previous)
    known[operation.id] = entry
    for part in parts:
        applied = apply_one(state, part, bank, known)
        assert isinstance(applied.outcome, Applied), "a batch went otherwise than it was rehearsed"
    return entry


def _reused(state: State, asked: Operation, bank: str, index: int | None = None) -> Entry:
    return Entry(0, state.position, state.instant_ms, bank, asked, Rejected(Reason.ID_REUSED, index))


def _last_entry(state: State, account_id: str) -> int:
    account = state.accounts.get(account_id)
    return account.last_entry if account else 0


def _rehearse(state: State, parts: Sequence[Operation], bank: str) -> Outcome:
    """Say what a batch comes to, from a trial on copies of its accounts: nothing of it is undone, ever."""
    names = dict.fromkeys(name for part in parts for name in accounts_of(part))
    trial = State(accounts={name: replace(state.accounts[name]) for name in names if name in state.accounts})
    for index, part in enumerate(parts):
        outcome = _execute(trial, part, bank, 0)
        if isinstance(outcome, Rejected):
            return Rejected(outcome.reason, index)
    return Applied()


def _execute(state: State, operation: Operation, bank: str, number: int) -> Outcome:  # noqa: C901 - a table
    match operation:
        case Deposit():
            return _deposit(state, operation, number)
        case Withdraw():
            return _withdraw(state, operation, number)
        case Transfer():
            return _transfer(state, operation, number)
        case Open():
            return _open(state, operation, bank, number)
        case Genesis():
            return _genesis(state, operation)
        case Join():
            return _join(state, operation)
        case Retire():
            return _retire(state, operation)
        case Activate():
            return _activate(state, operation)
        case Reopen():
            return _reopen(state, operation)
        case Uphold():
            return Rejected(operation.reason, None if operation.index is UNSET else operation.index)
        case Batch():
            raise AssertionError("a batch is rehearsed, and its parts are executed")


def _open(state: State, operation: Open, bank: str, number: int) -> Outcome:
    if operation.account_id in state.accounts:
        return Rejected(Reason.ACCOUNT_EXISTS)
    # Every refusal is above this line.
    state.accounts[operation.account_id] = Account(
        ordinal=len(state.accounts) + 1,
        balance_cents=operation.balance_cents,
        limit_cents=operation.limit_cents,
        version=1,
        last_entry=number,
        bank=bank,
        holder=None if operation.holder is UNSET else operation.holder,
    )
    state.in_accounts_cents += operation.balance_cents
    state.deposited_cents += operation.balance_cents
    return Applied(operation.balance_cents, 1)


def _deposit(state: State, operation: Deposit, number: int) -> Outcome:
    account = state.accounts.get(operation.account_id)
    if account is None:
        return Rejected(Reason.ACCOUNT_NOT_FOUND)
    if account.balance_cents + operation.amount_cents > MAX_CENTS:
        return Rejected(Reason.ABOVE_LIMIT)
    # Every refusal is above this line.
    _move(account, operation.amount_cents, number)
    state.in_accounts_cents += operation.amount_cents
    state.deposited_cents += operation.amount_cents
    return Applied(account.balance_cents, account.version)


def _withdraw(state: State, operation: Withdraw, number: int) -> Outcome:
    account = state.accounts.get(operation.account_id)
    if account is None:
        return Rejected(Reason.ACCOUNT_NOT_FOUND)
    if account.balance_cents + account.limit_cents < operation.amount_cents:
        return Rejected(Reason.INSUFFICIENT_FUNDS)
    # Every refusal is above this line.
    _move(account, -operation.amount_cents, number)
    state.in_accounts_cents -= operation.amount_cents
    state.withdrawn_cents += operation.amount_cents
    return Applied(account.balance_cents, account.version)


def _transfer(state: State, operation: Transfer, number: int) -> Outcome:
    if operation.account_id == operation.counterpart_id:
        return Rejected(Reason.SAME_ACCOUNT)
    origin = state.accounts.get(operation.account_id)
    destination = state.accounts.get(operation.counterpart_id)
    if origin is None or destination is None:
        return Rejected(Reason.ACCOUNT_NOT_FOUND)
    if origin.balance_cents + origin.limit_cents < operation.amount_cents:
        return Rejected(Reason.INSUFFICIENT_FUNDS)
    if destination.balance_cents + operation.amount_cents > MAX_CENTS:
        return Rejected(Reason.ABOVE_LIMIT)
    # Every refusal is above this line: both legs move.
    _move(origin, -operation.amount_cents, number)
    _move(destination, operation.amount_cents, number)
    return Applied(origin.balance_cents, origin.version, destination.balance_cents, destination.version)


def _move(account: Account, delta_cents: int, number: int) -> None:
    account.balance_cents += delta_cents
    account.version += 1
    account.last_entry = number
    assert -account.limit_cents <= account.balance_cents <= MAX_CENTS, "balance outside its limits"


def genesis_operation(*, operation_id: str, log_id: str) -> Genesis:
    """Return the birth of a log with this program's constants."""
    return Genesis(
        id=operation_id,
        log_id=log_id,
        currency=CURRENCY,
        max_cents=MAX_CENTS,
        max_record_bytes=MAX_RECORD_BYTES,
        digest=digests.NAME,
    )


def _genesis(state: State, operation: Genesis) -> Outcome:
    if state.log_id:
        return Rejected(Reason.LOG_EXISTS)
    # Every refusal is above this line.
    state.log_id = operation.log_id
    return Applied()


def _join(state: State, operation: Join) -> Outcome:
    state.members[operation.node] = operation.versions
    return Applied()


def _retire(state: State, operation: Retire) -> Outcome:
    if operation.node not in state.members:
        return Rejected(Reason.MEMBER_NOT_FOUND)
    del state.members[operation.node]
    return Applied()


def _activate(state: State, operation: Activate) -> Outcome:
    # It never goes back: what waits somewhere may need it.
    if operation.version < state.version or not all(
        operation.version in versions for versions in state.members.values()
    ):
        return Rejected(Reason.VERSION_NOT_SUPPORTED)
    # Every refusal is above this line.
    state.version = operation.version
    return Applied()


def _reopen(state: State, operation: Reopen) -> Outcome:
    """Judge what has happened already: the epoch is the record's."""
    is_this_one = (operation.epoch, operation.position) == (state.epoch, state.position - 1)
    return Applied() if is_this_one else Rejected(Reason.LOG_EXISTS)
