"""Large histories of a correct bank are valid; one false word in them is found."""

from collections.abc import Sequence
from random import Random

import pytest
from msgspec.structs import replace

from tests.judge.history import Event
from tests.judge.simulated import Habits, simulated
from tests.judge.verdict import examine, judge

ACCOUNTS = ("a", "b", "c", "d")
HABITS = Habits(retried=0.99)
"""A few attempts are never settled."""


@pytest.fixture(scope="module")
def large() -> list[Event]:
    history = simulated(1, 20_000, ACCOUNTS, HABITS)
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


def test_the_order_of_the_lines_is_of_no_account(large: list[Event]) -> None:
    mixed = large[:]
    Random(0).shuffle(mixed)
    judge(mixed)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6])
def test_one_false_balance_is_found(large: list[Event], share: float) -> None:
    assert examine(falsified(large, int(len(large) * share))).word == "invalid"
