"""From attempts to operations: however often it is tried, under one id at most one thing happens.

The first outcome of an id is repeated for ever, so whatever is said about an id later bounds when it happened: after
one of its attempts began, and before any answer that repeats its outcome, or that calls the id reused, came. What is
left for the search is one operation for each id, with one interval; most attempts of unknown outcome are gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from tests.judge.history import ID_REUSED, Event
from tests.judge.sequential import Answer, Request, answer_of, request_of

__all__ = ["ContradictionError", "Operation", "groups_of", "operations_of"]


class ContradictionError(Exception):
    """What clients were told about one id has no explanation, whatever else happened."""

    def __init__(self, sentence: str, events: Iterable[Event]) -> None:
        """Tell it with the attempts of that id."""
        super().__init__("\n".join([sentence, *(f"    {event}" for event in events)]))


class Operation(Struct, frozen=True, eq=False):
    """What happens at most once, or a read."""

    tries: tuple[Event, ...]
    """The attempts, one of which happens first: of each different request the one that began first."""
    told: Event | None
    """The first answer that proves that it has happened. None: it may happen later, or never."""
    answer: Answer | None
    """All that was told of its outcome. None: nothing was."""

    @property
    def begin(self) -> int:
        """It has not happened before."""
        return min(event.begin for event in self.tries)

    @property
    def end(self) -> int | None:
        """By then it has happened."""
        return None if self.told is None else self.told.end

    @property
    def shown(self) -> Event:
        """The attempt that says most about it."""
        return self.told or self.tries[0]

    @property
    def accounts(self) -> set[str]:
        """All that it may read or change."""
        moves = [move for event in self.tries for move in (event, *event.parts)]
        return {name for move in moves for name in (move.account, move.counterpart) if name is not None}


def operations_of(history: Iterable[Event]) -> list[Operation]:
    """Return what happened or may have happened. Stale reads and attempts that were not applied are left out.

    Raises ContradictionError.
    """
    operations = []
    by_id = defaultdict[str, list[Event]](list)
    for event in history:
        if event.id is not None:
            by_id[event.id].append(event)
        elif event.outcome in {"ok", "refused"} and event.consistency == "linearizable":
            operations.append(Operation((event,), event, answer_of(event)))
    return operations + [operation for attempts in by_id.values() if (operation := _operation_of(attempts))]


def groups_of(operations: Iterable[Operation]) -> list[list[Operation]]:
    """Return the operations by groups of accounts that no operation connects."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            parents[name] = name = parents[parent]
        return name

    operations = list(operations)
    for operation in operations:
        first, *others = operation.accounts
        for other in others:
            parents[root(other)] = root(first)
    groups: dict[str, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(root(operation.tries[0].account), []).append(operation)
    return list(groups.values())


def _operation_of(attempts: Sequence[Event]) -> Operation | None:
    unknown = [event for event in attempts if event.outcome == "unknown"]
    told = [event for event in attempts if event.outcome in {"ok", "refused"} and event.code != ID_REUSED]
    reused = [event for event in attempts if event.code == ID_REUSED]
    answer = _outcome_of(told, attempts)
    if answer is None:
        strangers = {request_of(event) for event in reused}
        executors = [event for event in unknown if request_of(event) not in strangers]
    else:
        request = request_of(told[0])
        if any(request_of(event) == request for event in reused):
            raise ContradictionError("an id is called reused by the request that it was first used for:", attempts)
        # An answer that is not marked as replayed may be to an earlier attempt of the same request at the same node.
        executors = [event for event in attempts if request_of(event) == request and _may_execute(event)]
    proof = min(told + reused, key=lambda event: event.end or 0, default=None)
    tries: dict[Request, Event] = {}
    for event in sorted(executors, key=lambda event: event.begin):
        if proof is None or event.begin <= (proof.end or 0):
            tries.setdefault(request_of(event), event)
    if tries:
        return Operation(tuple(tries.values()), proof, answer)
    if proof is None:
        return None
    raise ContradictionError("an id had an outcome before any attempt that could have had it:", attempts)


def _may_execute(event: Event) -> bool:
    return event.outcome == "unknown" or (event.outcome in {"ok", "refused"} and not event.replayed)


def _outcome_of(told: Sequence[Event], attempts: Sequence[Event]) -> Answer | None:
    """Return the one outcome that these answers agree on, with all that they say of it; None if there are none."""
    if not told:
        return None
    if len({request_of(event) for event in told}) > 1:
        raise ContradictionError("an id was used for two requests, and both have outcomes:", attempts)
    if sum(not event.replayed for event in told) > 1:
        raise ContradictionError("an id was executed twice:", attempts)
    outcome = answer_of(told[0])
    for answer in map(answer_of, told[1:]):
        if not outcome.agrees_with(answer):
            raise ContradictionError("an id has two outcomes:", attempts)
        outcome = outcome.with_more_from(answer)
    return outcome
