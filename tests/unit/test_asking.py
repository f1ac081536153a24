"""Waiting for what becomes of a request: everything in its order, nothing for ever."""

import threading

from bank.asking import Asked, outcomes_of, resolve
from bank.errors import NotAccepted, OutcomeUnknown
from bank.waiting import Completion


def test_results_stand_in_the_order_of_the_request_whoever_gives_them_when() -> None:
    asked = Asked(3)
    refusals = [NotAccepted(str(place)) for place in range(3)]
    completions = [Completion(*pair) for pair in zip(asked.waiters, refusals, strict=True)]
    givers = [threading.Thread(target=resolve, args=([completion],)) for completion in completions[::-1]]
    for giver in givers:
        giver.start()
    assert outcomes_of(asked, 10) == refusals


def test_what_does_not_come_in_time_is_unknown() -> None:
    asked = Asked(2)
    first, _ = asked.waiters
    resolve([Completion(first, NotAccepted("withdrawn"))])
    known, unknown = outcomes_of(asked, 0.01)
    assert isinstance(known, NotAccepted)
    assert isinstance(unknown, OutcomeUnknown)


def test_who_asks_for_nothing_does_not_wait() -> None:
    assert outcomes_of(Asked(0), 10) == []
