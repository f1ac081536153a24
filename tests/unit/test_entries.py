"""Entries come back from their rows, whatever the operation and its outcome."""

import uuid

import pytest
from msgspec import UNSET

from bank.entries import COLUMNS, Entry, from_row, pack_id, to_row
from bank.ledger import genesis_operation
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
)

UUID = "01a208da-10cc-7142-9918-83af01597dc1"
ORIGIN = Origin("pedido-1", "fe80::1")
CASES: list[tuple[Operation, Outcome]] = [
    (Deposit("k", "A", 1), Applied(10, 2)),
    (Deposit("ana\x1fk", "A", 1, origin=ORIGIN), Applied(10, 2)),
    (Withdraw("w", "A", 1, origin=Origin("r", "")), Rejected(Reason.INSUFFICIENT_FUNDS)),
    (Transfer("t", "A", "B", 5, origin=ORIGIN), Applied(-5, 2, 5, 3)),
    (Open("o", "A", 0, 0, "Zé", origin=ORIGIN), Applied(0, 1)),
    (Batch("b", (Deposit("0", "A", 1),), origin=ORIGIN), Applied()),
    (Withdraw(UUID, "A", 1), Rejected(Reason.INSUFFICIENT_FUNDS)),
    (Transfer("t", "A", "B", 5), Applied(-5, 2, 5, 3)),
    (Open("o", "A", 0, 0, "Zé"), Applied(0, 1)),
    (Open("o", "A", 0, 7, UNSET), Rejected(Reason.ACCOUNT_EXISTS)),
    (genesis_operation(operation_id="g", log_id="x"), Applied()),
    (Join("j", "banco-1", (1, 2)), Applied()),
    (Retire("r", "banco-1"), Rejected(Reason.MEMBER_NOT_FOUND)),
    (Activate("v", 2), Rejected(Reason.VERSION_NOT_SUPPORTED)),
    (Reopen("e", 2, 7, "ab" * 16), Applied()),
    (Batch("b", (Open("0", "A", 0, 0, "Zé"), Transfer("1", "A", "B", 5))), Applied()),
    (Batch("b", (Deposit("0", "A", 1),)), Rejected(Reason.ACCOUNT_NOT_FOUND, 0)),
    (Uphold("b", Batch("b", (Deposit("0", "A", 1),)), Reason.SAME_ACCOUNT, 9_999), Applied()),
]


@pytest.mark.parametrize(("operation", "outcome"), CASES)
def test_an_entry_comes_back_from_its_row(operation: Operation, outcome: Outcome) -> None:
    entry = Entry(7, 3, 1_000, "banco-1", operation, outcome, 4, 5)
    row = to_row(entry)
    assert len(row) == len(COLUMNS)
    assert from_row(row, instant_ms=1_000, bank="banco-1") == entry


def test_an_id_that_is_a_uuid_takes_16_bytes() -> None:
    assert pack_id(UUID) == uuid.UUID(UUID).bytes


@pytest.mark.parametrize("other", [UUID.upper(), UUID.replace("-", ""), f"{{{UUID}}}", "g" * 36, "k"])
def test_other_spellings_are_other_ids(other: str) -> None:
    assert pack_id(other) == other
