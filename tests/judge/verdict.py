"""Judge a history: valid, invalid with the reason, or unknown, which is no better for a test than invalid."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from tests.judge.attempts import ContradictionError, Operation, groups_of, operations_of
from tests.judge.history import Event
from tests.judge.invariants import broken_invariants
from tests.judge.linearizable import STEPS_MAX, BudgetExhaustedError, Search

__all__ = ["Verdict", "examine", "judge"]


class Verdict(Struct, frozen=True):
    """The explanation is empty only if the history is valid."""

    word: Literal["valid", "invalid", "unknown"]
    explanation: str = ""


def judge(history: Sequence[Event], *, ok_min: int = 1) -> None:
    """Fail unless the history is valid."""
    verdict = examine(history, ok_min=ok_min)
    assert verdict.word == "valid", f"{verdict.word}: {verdict.explanation}"


def examine(history: Sequence[Event], *, ok_min: int = 1, steps_max: int = STEPS_MAX) -> Verdict:
    """Return the verdict. `ok_min` operations, reads aside, must have succeeded; each group of accounts must be read.

    Every account that is used must be opened in the history. Each group of accounts may take `steps_max` steps.
    """
    if broken := broken_invariants(history):
        return Verdict("invalid", "\n".join(broken))
    try:
        groups = groups_of(operations_of(history))
    except ContradictionError as error:
        return Verdict("invalid", str(error))
    doubts = []
    for group in groups:
        try:
            if unexplained := Search(group, steps_max).run():
                return Verdict("invalid", str(unexplained))
        except BudgetExhaustedError as error:
            doubts.append(f"accounts {_names(group)}: {error}")
        if not any(operation.tries[0].op == "read" for operation in group):
            doubts.append(f"accounts {_names(group)}: there are no reads")
    ok_count = sum(event.outcome == "ok" and event.op != "read" for event in history)
    if ok_count < ok_min:
        doubts.append(f"only {ok_count} operations succeeded, at least {ok_min} must")
    return Verdict("unknown", "\n".join(doubts)) if doubts else Verdict("valid")


def _names(group: Iterable[Operation]) -> str:
    return ", ".join(sorted({name for operation in group for name in operation.accounts}))
