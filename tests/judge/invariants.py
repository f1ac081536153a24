"""What every reading must show whatever the order was: Jepsen's bank test, and the bounds that money has.

Cheap, and independent of the search: a mistake in one of the two is not in the other. Each function returns sentences
about what is broken; none is found where the history says too little.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tests.judge.history import ID_REUSED, Event

__all__ = ["broken_invariants"]


def broken_invariants(history: Sequence[Event]) -> list[str]:
    """Return a sentence for each invariant that is broken, in the order of the functions below."""
    return [*below_limit(history), *ids_with_two_outcomes(history), *final_reads_differ(history), *wrong_total(history)]


def below_limit(history: Iterable[Event]) -> Iterator[str]:
    """Yield balances that no limit allows. Stale reads are held to it too."""
    limits = defaultdict[str, int](int)
    for event in _may_have_happened(history):
        for move in event.parts or (event,):
            if move.op == "open":
                limits[move.account] = max(limits[move.account], move.limit_cents or 0)
    for event in history:
        if event.balance_cents is not None and event.balance_cents < -limits[event.account]:
            yield f"below the limit of {limits[event.account]}: {event}"


def ids_with_two_outcomes(history: Iterable[Event]) -> Iterator[str]:
    """Yield ids that were executed twice, or whose outcome changed from one answer to the other."""
    answers = defaultdict[str, list[Event]](list)
    for event in history:
        if event.id is not None and event.outcome in {"ok", "refused"} and event.code != ID_REUSED:
            answers[event.id].append(event)
    for told in answers.values():
        codes = {event.code for event in told}
        balances = {event.balance_cents for event in told} - {None}
        if len(codes) > 1 or len(balances) > 1 or sum(not event.replayed for event in told) > 1:
            yield "\n".join(["an id has more than one outcome:", *(f"    {event}" for event in told)])


def final_reads_differ(history: Iterable[Event]) -> Iterator[str]:
    """Yield accounts that two nodes show differently after all has come to rest."""
    for name, reads in _final_reads(history).items():
        if len({(event.code, event.balance_cents) for event in reads}) > 1:
            yield "\n".join([f"final reads of {name} differ:", *(f"    {event}" for event in reads)])


def wrong_total(history: Sequence[Event]) -> Iterator[str]:
    """Yield the final sum of all balances if what came in and went out cannot make it, unknown ones counted both ways.

    Says nothing unless every account that was opened, or may have been, has a final read.
    """
    finals = _final_reads(history)
    happened = list(_may_have_happened(history))
    opened = {move.account for event in happened for move in event.parts or (event,) if move.op == "open"}
    if not finals or not opened <= finals.keys():
        return
    total = sum(reads[0].balance_cents or 0 for reads in finals.values())
    certain = {event.id: _brought_in(event) for event in happened if event.outcome == "ok"}
    unknown: dict[str | None, list[int]] = defaultdict(lambda: [0])
    for event in happened:
        if event.id not in certain:
            unknown[event.id].append(_brought_in(event))
    least = sum(certain.values()) + sum(map(min, unknown.values()))
    most = sum(certain.values()) + sum(map(max, unknown.values()))
    if not least <= total <= most:
        yield f"the final balances sum up to {total}, but what came in and went out makes {least} to {most}"


def _may_have_happened(history: Iterable[Event]) -> Iterator[Event]:
    history = list(history)
    refused = {event.id for event in history if event.outcome == "refused" and event.code != ID_REUSED}
    for event in history:
        if event.id is not None and event.id not in refused and event.outcome in {"ok", "unknown"}:
            yield event


def _final_reads(history: Iterable[Event]) -> dict[str, list[Event]]:
    reads = defaultdict[str, list[Event]](list)
    for event in history:
        if event.final and event.op == "read" and event.outcome in {"ok", "refused"}:
            reads[event.account].append(event)
    return reads


def _brought_in(event: Event) -> int:
    """Return what the operation adds to the sum of all balances."""
    signs = {"open": 1, "deposit": 1, "withdraw": -1, "transfer": 0, "read": 0}
    return sum(signs[move.op] * (move.amount_cents or 0) for move in event.parts or (event,))
