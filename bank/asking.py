"""Asking: how a request thread waits for what becomes of what it handed in, and how others tell it."""

import threading

from bank.errors import NotAccepted, OutcomeUnknown
from bank.views import Answer
from bank.waiting import Completion, Result

__all__ = ["Asked", "outcomes_of", "resolve"]


class Asked:
    """What one request handed in: a place for the result of each part, which other threads fill, each once."""

    def __init__(self, size: int) -> None:
        """Begin with `size` results missing."""
        self._results: list[Result | None] = [None] * size
        self._missing = size
        self._mutex = threading.Lock()
        # A lock that is born held and released once: two thirds of what an Event costs, and one for 10,000 results.
        self._latch = threading.Lock()
        if size:
            self._latch.acquire()

    @property
    def waiters(self) -> list[tuple["Asked", int]]:
        """What the node is to give back with the result of each part, in order."""
        return [(self, place) for place in range(len(self._results))]

    def settle(self, place: int, result: Result) -> None:
        """Fill one place. The last one wakes who waits."""
        with self._mutex:
            self._results[place] = result
            self._missing -= 1
            if not self._missing:
                self._latch.release()

    def wait(self, timeout_s: float) -> list[Result | None]:
        """Wait until no result is missing, or for so long; return all, in order, None for what did not come."""
        self._latch.acquire(timeout=timeout_s)
        with self._mutex:
            return list(self._results)


def outcomes_of(asked: Asked, timeout_s: float) -> list[Answer | NotAccepted | OutcomeUnknown]:
    """Wait for what becomes of operations; the watchdog says so at the deadline, and nobody waits for ever."""
    return [_outcome(result) for result in asked.wait(timeout_s)]


def _outcome(result: Result | None) -> Answer | NotAccepted | OutcomeUnknown:
    if result is None:
        return OutcomeUnknown("The node did not answer at its own deadline.")
    assert isinstance(result, Answer | NotAccepted | OutcomeUnknown), "an operation is answered with an Answer"
    return result


def resolve(completions: list[Completion]) -> None:
    """Give the waiters their results. Never called under the desk's mutex, which who wakes up wants next."""
    for (asked, place), result in completions:
        asked.settle(place, result)
