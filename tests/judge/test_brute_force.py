"""The search against the plainest judge there is: try every order that respects real time."""

from collections.abc import Mapping, Sequence
from random import Random

from msgspec.structs import replace

from tests.judge.attempts import ContradictionError, groups_of, operations_of
from tests.judge.history import ID_REUSED, Event
from tests.judge.invariants import broken_invariants
from tests.judge.linearizable import Search
from tests.judge.sequential import Accounts, First, answer_of, request_of, step
from tests.judge.simulated import Habits, simulated

SEEDS = range(1_000)


def by_search(history: Sequence[Event]) -> bool:
    try:
        return all(Search(group).run() is None for group in groups_of(operations_of(history)))
    except ContradictionError:
        return False


def by_every_order(history: Sequence[Event]) -> bool:
    told_first = [
        event.id
        for event in history
        if event.id is not None
        and event.outcome in {"ok", "refused"}
        and event.code != ID_REUSED
        and not event.replayed
    ]
    attempts = [event for event in history if event.outcome != "not_applied"]
    return len(told_first) == len(set(told_first)) and _orders(attempts, {}, {})


def _orders(rest: Sequence[Event], accounts: Accounts, firsts: Mapping[str, First]) -> bool:
    answered = [event for event in rest if event.outcome != "unknown"]
    if not answered:
        return True
    next_end = min(event.end or 0 for event in answered)
    for place, event in enumerate(rest):
        if event.begin > next_end:
            continue
        first = firsts.get(event.id or "")
        after, answer = step(accounts, event, first)
        told = answer_of(event)
        says_replayed = told.replayed and told.code != ID_REUSED
        if event.outcome != "unknown" and (not answer.agrees_with(told) or (says_replayed and not first)):
            continue
        known = firsts if first or event.id is None else {**firsts, event.id: First(request_of(event), answer)}
        if _orders([*rest[:place], *rest[place + 1 :]], after, known):
            return True
    return False


def small(random: Random, seed: int) -> list[Event]:
    """Return a history of a few attempts, the final reads left out."""
    accounts = "ab"[: random.randint(1, 2)]
    habits = Habits(
        clients=random.randint(1, 3),
        unknown=0.35,
        retried=0.6,
        repeated=0.3,
        amount_max=9,
        limit_max=random.choice([0, 9]),
    )
    return [event for event in simulated(seed, random.randint(3, 6), accounts, habits) if not event.final]


def changed(random: Random, history: Sequence[Event]) -> list[Event]:
    """Return the history with something changed in one of its events: often, but not always, it is a lie then."""
    place = random.randrange(len(history))
    event = history[place]
    changes = [replace(event, begin=max(0, event.begin - random.randint(0, 60)))]
    if event.end is not None:
        changes.append(replace(event, end=event.end + random.randint(0, 60)))
        changes.append(replace(event, begin=(event.begin + event.end) // 2, end=(event.begin + event.end) // 2))
    if event.balance_cents is not None:
        changes.append(replace(event, balance_cents=event.balance_cents + random.choice([-2, -1, 1, 2])))
    if event.version is not None:
        changes.append(replace(event, version=event.version + random.choice([-1, 1])))
    if event.id is not None:
        changes.append(replace(event, amount_cents=(event.amount_cents or 0) + 1))
        changes.append(replace(event, outcome="not_applied", code=None))
        changes.append(replace(event, replayed=not event.replayed))
        code = random.choice(["SALDO_INSUFICIENTE", "CHAVE_REUTILIZADA"])
        changes.append(
            replace(event, outcome="refused", code=code, balance_cents=None, end=event.end or event.begin + 50)
        )
    return [*history[:place], random.choice(changes), *history[place + 1 :]]


def test_the_search_agrees_with_trying_every_order() -> None:
    counts = {True: 0, False: 0}
    for seed in SEEDS:
        random = Random(seed)
        truth = small(random, seed)
        assert by_every_order(truth), f"seed {seed}: a correct bank"
        for history in (truth, changed(random, truth), changed(random, changed(random, truth))):
            expected = by_every_order(history)
            counts[expected] += 1
            assert by_search(history) == expected, f"seed {seed}\n" + "\n".join(map(str, history))
            assert not (expected and broken_invariants(history)), f"seed {seed}\n" + "\n".join(map(str, history))
    assert min(counts.values()) > len(SEEDS) // 2, f"{counts}: one of the verdicts is hardly tried"
