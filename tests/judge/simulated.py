"""Histories of a correct bank, for tests: many clients, and nodes that answer late or never.

When each attempt begins, takes effect and ends is drawn first, by a seed; the sequential bank then goes through the
effects in their order and fills in the answers.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from msgspec.structs import replace

from tests.judge.history import Event
from tests.judge.sequential import Accounts, First, request_of, step

__all__ = ["Habits", "simulated"]

NODES = ("n1", "n2", "n3")
OPENING_CENTS = 20


class Habits(NamedTuple):
    """How the clients and the network are: shares between 0 and 1, amounts in centavos."""

    clients: int = 10
    unknown: float = 0.03
    retried: float = 0.9
    """Of attempts that were not answered."""
    lost: float = 0.4
    """Of attempts that were not answered, those that never take effect."""
    repeated: float = 0.02
    """Of operations: those whose id was used before, a third of them for another request."""
    amount_max: int = 9_999
    limit_max: int = 20_000


class _Plan(NamedTuple):
    effect: int | None
    attempt: Event


def simulated(seed: int, operations: int, accounts: Sequence[str], habits: Habits | None = None) -> list[Event]:
    """Return what the clients of a correct bank saw, in the order of their begins: about as many operations as asked.

    Every account is opened first, and at the end read at every node.
    """
    random = Random(seed)
    habits = habits or Habits()
    plans = [_open(random, time * 10, name, habits) for time, name in enumerate(accounts)]
    start = len(accounts) * 10
    for client in range(habits.clients):
        plans += _client(random, f"{accounts[0]}-c{client}", start, operations // habits.clients, accounts, habits)
    rest = 1 + max(max(plan.effect or 0, plan.attempt.end or 0) for plan in plans)
    for place, (name, node) in enumerate((name, node) for name in accounts for node in NODES):
        time = rest + place * 10
        read = Event(client="last", node=node, begin=time, end=time + 2, op="read", account=name, outcome="unknown")
        plans.append(_Plan(time + 1, replace(read, final=True)))
    return sorted(_answered(plans), key=lambda event: event.begin)


def _open(random: Random, time: int, name: str, habits: Habits) -> _Plan:
    limit_cents = random.randint(0, habits.limit_max)
    request: dict[str, Any] = {"op": "open", "account": name, "amount_cents": OPENING_CENTS, "limit_cents": limit_cents}
    attempt = Event(
        client="first", node="n1", begin=time, end=time + 2, id=f"open-{name}", outcome="unknown", **request
    )
    return _Plan(time + 1, attempt)


def _client(
    random: Random, client: str, time: int, operations: int, accounts: Sequence[str], habits: Habits
) -> Iterator[_Plan]:
    requests: list[dict[str, Any]] = []
    for number in range(operations):
        request = _request(random, accounts, habits) | {"client": client}
        if request["op"] != "read":
            request["id"] = f"{client}-{number}"
            if requests and random.random() < habits.repeated:
                past = random.choice(requests)
                request = past if random.random() < 2 / 3 else request | {"id": past["id"]}
            requests.append(request)
        answered = False
        while not answered:
            begin = time + random.randint(1, 20)
            effect, end = begin + random.randint(0, 50), begin + 50 + random.randint(0, 50)
            attempt = Event(begin=begin, end=end, node=random.choice(NODES), outcome="unknown", **request)
            time = end
            answered = random.random() >= habits.unknown
            if answered:
                yield _Plan(effect, attempt)
                break
            is_lost = random.random() < habits.lost
            yield _Plan(None if is_lost else begin + random.randint(0, 1_000), replace(attempt, end=None))
            answered = random.random() >= habits.retried


def _request(random: Random, accounts: Sequence[str], habits: Habits) -> dict[str, Any]:
    op = random.choices(["read", "deposit", "withdraw", "transfer"], [3, 3, 2, 3 if len(accounts) > 1 else 0])[0]
    account, *others = random.sample(accounts, min(2, len(accounts)))
    request: dict[str, Any] = {"op": op, "account": account}
    request |= {} if op == "read" else {"amount_cents": random.randint(1, habits.amount_max)}
    request |= {"counterpart": others[0]} if op == "transfer" else {}
    return request


def _answered(plans: Sequence[_Plan]) -> Iterator[Event]:
    """Yield every attempt with its answer, if it got one."""
    accounts: Accounts = {}
    firsts: dict[str, First] = {}
    for effect, attempt in sorted(plans, key=lambda plan: -1 if plan.effect is None else plan.effect):
        if effect is None:
            yield attempt
            continue
        accounts, answer = step(accounts, attempt, firsts.get(attempt.id or ""))
        if attempt.id is not None:
            firsts.setdefault(attempt.id, First(request_of(attempt), answer))
        if attempt.end is None:
            yield attempt
            continue
        yield replace(
            attempt,
            outcome="refused" if answer.code else "ok",
            code=answer.code,
            balance_cents=answer.balance_cents,
            version=answer.version if attempt.op == "read" else None,
            replayed=answer.replayed,
        )
