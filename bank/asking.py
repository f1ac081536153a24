"""Asking: how a request thread waits for what becomes of the operations that it handed in."""

from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from bank.desk import monotonic_ms
from bank.errors import NotAccepted, OutcomeUnknown
from bank.views import Answer
from bank.waiting import Result

__all__ = ["outcomes_of"]


def outcomes_of(futures: Sequence[Future[Result]], deadline_ms: int) -> list[Answer | NotAccepted | OutcomeUnknown]:
    """Wait for what becomes of operations; the watchdog says so at the deadline, and nobody waits for ever."""
    until_ms = monotonic_ms() + deadline_ms + 1_000
    # The last is settled last, as a rule: one wait instead of many.
    return [_outcome(future, until_ms) for future in reversed(futures)][::-1]


def _outcome(future: Future[Result], until_ms: int) -> Answer | NotAccepted | OutcomeUnknown:
    try:
        result = future.result(max(0, until_ms - monotonic_ms()) / 1000)
    except (NotAccepted, OutcomeUnknown) as error:
        return error
    except FutureTimeoutError:
        future.cancel()
        return OutcomeUnknown("The node did not answer at its own deadline.")
    assert isinstance(result, Answer), "an operation is answered with an Answer"
    return result
