"""Asking: how a request thread waits for what becomes of what it handed in, and how others tell it."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress

from bank.errors import BankError, NotAccepted, OutcomeUnknown
from bank.views import Answer
from bank.waiting import Completion, Result

__all__ = ["outcomes_of", "resolve"]


def outcomes_of(futures: Sequence[Future[Result]], deadline_ms: int) -> list[Answer | NotAccepted | OutcomeUnknown]:
    """Wait for what becomes of operations; the watchdog says so at the deadline, and nobody waits for ever."""
    until = time.monotonic() + deadline_ms / 1000 + 1
    # The last is settled last, as a rule: one wait instead of many.
    return [_outcome(future, until) for future in reversed(futures)][::-1]


def _outcome(future: Future[Result], until: float) -> Answer | NotAccepted | OutcomeUnknown:
    try:
        result = future.result(max(0.0, until - time.monotonic()))
    except (NotAccepted, OutcomeUnknown) as error:
        return error
    except FutureTimeoutError:
        future.cancel()
        return OutcomeUnknown("The node did not answer at its own deadline.")
    assert isinstance(result, Answer), "an operation is answered with an Answer"
    return result


def resolve(completions: list[Completion]) -> None:
    """Give the waiters their results. Never called under the mutex: a future runs callbacks."""
    for future, result in completions:
        with suppress(InvalidStateError):  # a waiter whose own deadline passed has cancelled its future
            if isinstance(result, BankError):
                future.set_exception(result)
            else:
                future.set_result(result)
