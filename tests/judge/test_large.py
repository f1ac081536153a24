"""Large histories of a correct bank are valid; one false word in them is found."""

from collections.abc import Sequence
from random import Random

import pytest
from msgspec.structs import replace

from tests.judge.history import Event
from tests.judge.simulated import Habits, simulated
from tests.judge.verdict import examine, judge

GROUPS = ("ab", "cde", "fghi", "jklmn")
A_FEW_NEVER_SETTLED = Habits(retried=0.98)


@pytest.fixture(scope="module")
def large() -> list[Event]:
    history = [
        event for seed, names in enumerate(GROUPS) for event in simulated(seed, 5_000, names, A_FEW_NEVER_SETTLED)
    ]
    assert len(history) > 20_000
    assert sum(event.outcome == "unknown" for event in history) > 400
    return history


def falsified(history: Sequence[Event], place: int) -> list[Event]:
    """Return the history with a centavo more in the first answer from that place on that says a balance itself."""
    while history[place].outcome != "ok" or history[place].replayed or history[place].final:
        place += 1
    told = history[place]
    false = replace(told, balance_cents=(told.balance_cents or 0) + 1)
    return [*history[:place], false, *history[place + 1 :]]


def test_a_large_history_is_valid(large: list[Event]) -> None:
    judge(large, ok_min=10_000)


def test_the_order_of_the_lines_does_not_matter() -> None:
    mixed = simulated(0, 1_000, "abc")
    Random(0).shuffle(mixed)
    judge(mixed)


@pytest.mark.parametrize("share", [0.02, 0.45])
def test_one_false_balance_is_found(large: list[Event], share: float) -> None:
    verdict = examine(falsified(large, int(len(large) * share)))
    assert verdict.word == "invalid", verdict.explanation


def test_an_answer_that_was_true_some_time_ago_is_found(large: list[Event]) -> None:
    reads = [event for event in large if event.op == "read" and event.account == "b" and event.outcome == "ok"]
    old, new = reads[-40], reads[-20]
    assert old.balance_cents != new.balance_cents
    stale = replace(new, balance_cents=old.balance_cents, version=old.version)
    verdict = examine([stale if event is new else event for event in large])
    assert verdict.word == "invalid", verdict.explanation


def test_many_attempts_that_are_never_settled_do_not_stop_the_search() -> None:
    history = simulated(1, 5_000, "abcd", Habits(unknown=0.04, retried=0.8))
    answered = {event.id for event in history if event.outcome in {"ok", "refused"}}
    assert len({event.id for event in history if event.outcome == "unknown"} - answered) > 20
    judge(history)
