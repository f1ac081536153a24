"""What state a node is in: its troubles, and which of them counts. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from bank.errors import Diverged, LogUnavailable, NotAccepted, NotReady

__all__ = ["STATES", "Condition", "Troubles", "condition_of"]

STATES = (
    "pronto", "iniciando", "entrando", "atrasado", "relogio", "sem_livro", "livro_perdido", "divergente", "falha",
    "parando",
)  # fmt: skip


class Condition(NamedTuple):
    """What a node is like: `state` as `/saude` names it, and, unless it accepts writes, the error that says why."""

    state: str
    refusal: NotAccepted | None


@dataclass(slots=True)
class Troubles:
    """What keeps the node from accepting writes; empty or False where all is well. Sentences for operators."""

    failure: str = ""
    diverged: str = ""
    joining: str = ""
    log_lost: str = ""
    log_down: str = ""
    lagging: bool = False
    clock_off: bool = False


def condition_of(troubles: Troubles, *, is_stopping: bool, lost_to_others: str, starting: str) -> Condition:
    """Return the gravest trouble, as a state and a refusal.

    `lost_to_others` says what members have that the log lost, `starting` why the node does not write yet.
    """
    gravest_first: tuple[tuple[str, type[NotAccepted], str], ...] = (
        ("parando", NotReady, "The node is stopping." if is_stopping else ""),
        ("falha", NotReady, troubles.failure),
        ("divergente", Diverged, troubles.diverged),
        ("entrando", NotReady, troubles.joining),
        ("livro_perdido", LogUnavailable, troubles.log_lost),
        ("sem_livro", LogUnavailable, troubles.log_down),
        ("livro_perdido", LogUnavailable, lost_to_others),
        ("iniciando", NotReady, starting),
        ("atrasado", NotReady, "The node lags behind the log." if troubles.lagging else ""),
        ("relogio", NotReady, "The clock of this node is far from the others'." if troubles.clock_off else ""),
    )
    for state, error, sentence in gravest_first:
        if sentence:
            return Condition(state, error(sentence))
    return Condition("pronto", None)
