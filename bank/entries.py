"""The entry: an operation and its outcome, as remembered for ever, and the one fixed form in which it is kept.

The journal writes `to_row` and the chain digest covers it, so that history can be recomputed from the journal
alone. Invariant: from_row(to_row(e)) == e (tests/unit/test_entries.py).
"""

import re
import uuid
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bank.operations import (
    Activate,
    Applied,
    Batch,
    Deposit,
    Genesis,
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
)

__all__ = ["COLUMNS", "Entry", "Row", "from_row", "pack_id", "to_row"]

Row = tuple[Any, ...]

COLUMNS = (
    "number",
    "operation_id",
    "op",
    "account_id",
    "counterpart_id",
    "amount_cents",
    "details",
    "reason",
    "balance_cents",
    "version",
    "counterpart_balance_cents",
    "counterpart_version",
    "previous",
    "counterpart_previous",
    "position",
)


_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Entry(Struct, frozen=True):
    """An operation and its outcome."""

    number: int
    """Dense, from 1, in log order. 0 if this outcome is not remembered (an id reused with other content)."""
    position: int
    """The record that brought it."""
    instant_ms: int
    """When, by the ledger's time: milliseconds since 1970, UTC."""
    bank: str
    """The node that proposed it."""
    operation: Operation
    outcome: Outcome
    previous: int = 0
    """The account's entry before this one; 0 if there is none."""
    counterpart_previous: int = 0


def pack_id(operation_id: str) -> bytes | str:
    """Return the 16 bytes of an id that is a UUID in canonical spelling, any other id as it is.

    Half the size, and time-ordered ids stay in order. Canonical only: other spellings are other ids.
    """
    if _UUID.fullmatch(operation_id) is None:
        return operation_id
    return bytes.fromhex(operation_id.replace("-", ""))


def _unpack_id(packed: bytes | str) -> str:
    return packed if isinstance(packed, str) else str(uuid.UUID(bytes=packed))


def to_row(entry: Entry) -> Row:
    """Return the entry's columns, in the order of `COLUMNS`."""
    outcome = entry.outcome
    if isinstance(outcome, Rejected):
        # The columns are fixed, for the chain digest covers them: which part of a batch stands in that of the version.
        result: Row = (outcome.reason.value, None, outcome.index, None, None)
    else:
        result = (
            None,
            outcome.balance_cents,
            outcome.version,
            outcome.counterpart_balance_cents,
            outcome.counterpart_version,
        )
    content = _content(entry.operation)
    trail = (entry.previous, entry.counterpart_previous, entry.position)
    return (entry.number, pack_id(entry.operation.id), *content, *result, *trail)


def _content(operation: Operation) -> Row:
    """Return op, account_id, counterpart_id, amount_cents, details."""
    match operation:
        case Deposit():
            return ("deposito", operation.account_id, None, operation.amount_cents, _origin(operation))
        case Withdraw():
            return ("saque", operation.account_id, None, operation.amount_cents, _origin(operation))
        case Transfer():
            accounts = operation.account_id, operation.counterpart_id
            return ("transferencia", *accounts, operation.amount_cents, _origin(operation))
        case Open():
            return ("abertura", operation.account_id, None, operation.balance_cents, _details(operation))
        case Batch() | Genesis() | Join() | Retire() | Activate() | Reopen() | Uphold():
            return (operation.__struct_config__.tag, None, None, None, _details(operation))


def _origin(operation: Deposit | Withdraw | Transfer) -> str | None:
    return None if operation.origin is UNSET else msgspec.json.encode(operation.origin).decode()


def _details(operation: Operation) -> str:
    return msgspec.json.encode(operation).decode()


def _origin_in(details: str | None) -> Origin | UnsetType:
    return UNSET if details is None else msgspec.json.decode(details, type=Origin)


def from_row(row: Row, *, instant_ms: int, bank: str) -> Entry:
    """Return the entry that `to_row` made these columns from; instant and node stand with its record."""
    number, packed_id, op, account_id, counterpart_id, amount_cents, details, reason = row[:8]
    balance_cents, version, counterpart_balance_cents, counterpart_version = row[8:12]
    previous, counterpart_previous, position = row[12:]
    operation_id = _unpack_id(packed_id)
    operation: Operation
    match op:
        case "deposito":
            operation = Deposit(operation_id, account_id, amount_cents, origin=_origin_in(details))
        case "saque":
            operation = Withdraw(operation_id, account_id, amount_cents, origin=_origin_in(details))
        case "transferencia":
            operation = Transfer(operation_id, account_id, counterpart_id, amount_cents, origin=_origin_in(details))
        case _:
            operation = msgspec.json.decode(details, type=Operation)
    outcome: Outcome
    if reason is not None:
        outcome = Rejected(Reason(reason), version)
    else:
        outcome = Applied(balance_cents, version, counterpart_balance_cents, counterpart_version)
    return Entry(number, position, instant_ms, bank, operation, outcome, previous, counterpart_previous)
