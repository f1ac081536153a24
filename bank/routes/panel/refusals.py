"""A form that did not go through: what it held, and why."""

from dataclasses import dataclass

from bank.errors import NotAccepted, OutcomeUnknown
from bank.routes.problems import Problem, codigo_of_error
from locks.bakery import LockTimeout

__all__ = ["REFUSALS", "Attempt", "as_problem"]

REFUSALS = (Problem, NotAccepted, OutcomeUnknown, LockTimeout)

_WORTH_REPEATING = {429, 503, 504}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of a form that was refused, or whose outcome is unknown."""

    form: str
    problem: Problem
    sent: dict[str, str]

    @property
    def key(self) -> str | None:
        """The key to send again: sent twice, it happens once. None after a refusal, which is final for its key."""
        return self.sent.get("Idempotency-Key") if self.problem.kind.status in _WORTH_REPEATING else None

    @property
    def wrong(self) -> dict[str, str]:
        """Why, by field."""
        return {violation["propriedade"]: violation["razao"] for violation in self.problem.violacoes or []}


def as_problem(error: Exception) -> Problem:
    """Return one of REFUSALS as the problem that the JSON routes answer."""
    return error if isinstance(error, Problem) else Problem(codigo_of_error(error))
