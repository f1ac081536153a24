"""What of a branch is proposed again: what customers asked for, each thing once."""

from bank.branches import _again, _business
from bank.entries import Entry
from bank.operations import Applied, Batch, Deposit, Operation, Outcome, Reason, Rejected, Retire, Uphold

BATCH = Batch("b", (Deposit("0", "A", 1), Deposit("1", "A", 2)))


def entry(operation: Operation, outcome: Outcome) -> Entry:
    return Entry(1, 1, 0, "banco-1", operation, outcome)


def test_a_batch_comes_again_whole_and_its_parts_not_alone() -> None:
    """Alone they might be applied where the batch is refused."""
    done = entry(BATCH, Applied())
    parts = [entry(part, Applied(1, 1)) for part in BATCH.operations]
    refused, after = entry(BATCH, Rejected(Reason.ABOVE_LIMIT, 1)), entry(Deposit("d", "A", 1), Applied(4, 3))
    found = _business(iter([entry(Retire("r", "banco-2"), Applied()), done, *parts, refused, after]))
    assert list(found) == [done, refused, after]
    assert _again(done) == BATCH


def test_a_batch_that_was_refused_is_entered_as_refused() -> None:
    again = _again(entry(BATCH, Rejected(Reason.ABOVE_LIMIT, 1)))
    assert again == Uphold("b", BATCH, Reason.ABOVE_LIMIT, 1)
    assert _again(entry(Deposit("d", "A", 1), Rejected(Reason.ABOVE_LIMIT))) == Uphold(
        "d", Deposit("d", "A", 1), Reason.ABOVE_LIMIT
    )
