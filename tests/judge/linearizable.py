"""Is there one sequential bank, in the order of real time, that explains everything that clients were told?

The search of Wing and Gong with Lowe's memory of what was tried (as in Porcupine), in Lowe's just-in-time form: in the
order in which answers came, each must be explained by something under way happening before it, and nothing happens
sooner than an answer needs it. So an attempt of unknown outcome costs nothing until an answer tells of its effect.
Sources: Lowe, "Testing for linearizability" (2017); Wing and Gong (1993). Accounts that no operation connects are
searched apart, which is sound (Herlihy and Wing, 1990: linearizability is local).
Held by tests/judge/test_brute_force.py: the same verdicts as from trying every order.
"""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from tests.judge.attempts import Operation
from tests.judge.history import Event
from tests.judge.sequential import Account, Accounts, request_of, step

__all__ = ["STEPS_MAX", "BudgetExhaustedError", "Search", "Unexplained"]

STEPS_MAX = 3_000_000
"""Executions of one operation that a search may try: some twenty seconds."""
SUMMANDS_MAX = 12
"""Of so many operations on one account every subset is summed up."""
EVENTS_SHOWN = 6


class BudgetExhaustedError(Exception):
    """The search took more steps than it may: nothing is known. The message says where it had its difficulties."""


class Unexplained(Struct, frozen=True):
    """The shortest prefix of a group's answers that no order explains, and its surroundings."""

    accounts: tuple[str, ...]
    before: tuple[Event, ...]
    """The last answers that can be explained, newest last."""
    event: Event
    """With this answer, they cannot."""
    under_way: tuple[Event, ...]
    """What overlaps it, or is unknown and may have happened by then."""
    explained: int
    example: Accounts
    """The accounts as one of the explanations of the answers before leaves them."""

    def __str__(self) -> str:
        balances = ", ".join(
            f"{name} {f'{account.balance_cents} (version {account.version})' if account else 'not open'}"
            for name, account in self.example.items()
        )
        return "\n".join(
            [
                f"accounts {', '.join(self.accounts)}: {self.explained} answers can be explained, the next cannot.",
                "  before it:",
                *(f"    {event}" for event in self.before),
                f"    which may leave: {balances}",
                "  not explained:",
                f"    {self.event}",
                "  perhaps at the same time:",
                *(f"    {event}" for event in self.under_way),
            ]
        )


class Config(NamedTuple):
    """One explanation so far: what the accounts hold, and what has happened of that which is still under way."""

    accounts: Accounts
    done: frozenset[int]

    @property
    def key(self) -> tuple[tuple[Account | None, ...], frozenset[int]]:
        """The same for two that have the same future."""
        return tuple(self.accounts.values()), self.done


class Search:
    """The search through one group. Operations go by their numbers: by end, those without one behind, by begin."""

    def __init__(self, operations: Iterable[Operation], steps_max: int = STEPS_MAX) -> None:
        """The operations of a group in any order."""
        operations = list(operations)
        certain = sorted((each for each in operations if each.end is not None), key=lambda each: each.end or 0)
        optional = sorted((each for each in operations if each.end is None), key=lambda each: each.begin)
        self._all = certain + optional
        self._ends = [each.end or 0 for each in certain]
        self._optional_begins = [each.begin for each in optional]
        self._accounts = [each.accounts for each in self._all]
        self._quiet = [_is_quiet(each) for each in self._all]
        self._under_way = list(_windows(certain))
        self._steps_max = steps_max

    def run(self) -> Unexplained | None:
        """Return None if there is an explanation. Raises BudgetExhaustedError."""
        hardest = ""
        try:
            if (unexplained := self._run(is_lean=True)) is None:
                return None
            hardest = f"; perhaps this is why:\n{unexplained}"
            return self._run(is_lean=False)
        except BudgetExhaustedError:
            raise BudgetExhaustedError(f"the search took more than {self._steps_max} steps{hardest}") from None

    def _run(self, *, is_lean: bool) -> Unexplained | None:
        """Search; a lean search tries only the likeliest, so what it finds is true, but it may miss it."""
        self._is_lean = is_lean
        self._steps_left = self._steps_max
        names = sorted(set().union(*self._accounts))
        start = Config(dict.fromkeys(names), frozenset())
        explanations = [iter([start])]
        seen = set()
        furthest, example = -1, start
        while explanations:
            config = next(explanations[-1], None)
            place = len(explanations) - 1
            if config is None:
                explanations.pop()
            elif place == len(self._ends):
                return None
            elif (key := (place, config.key)) not in seen:
                seen.add(key)
                if place > furthest:
                    furthest, example = place, config
                explanations.append(self._explain(place, config))
        return self._unexplained(furthest, example)

    def _explain(self, target: int, config: Config) -> Iterator[Config]:
        """Yield what there may be when the answer of the target has come, the likeliest first."""
        if target in config.done:
            yield Config(config.accounts, config.done - {target})
            return
        now = self._ends[target]
        config = self._with_quiet(config, target)
        # Nearly always the next answer follows from the state at once.
        for after in self._happens(target, config, now):
            yield Config(after.accounts, after.done - {target})
        useful = self._useful(target, config)
        seen = set()
        queue = deque([config])
        while queue:
            config = self._with_quiet(queue.popleft(), target)
            if target in config.done:
                yield Config(config.accounts, config.done - {target})
                continue
            if config.key in seen:
                continue
            seen.add(config.key)
            rest = [number for number in useful if number not in config.done]
            if self._is_lean:
                rest = self._likely(target, config, rest)
            self._spread(queue, config, rest, now)

    def _spread(self, queue: deque[Config], config: Config, numbers: Iterable[int], now: int) -> None:
        """Add what may happen next: in front what must happen at some time, behind what perhaps never happens."""
        tried = set()
        for number in numbers:
            if number < len(self._ends):
                queue.extendleft(self._happens(number, config, now))
            # Of two optional operations that ask for the same, either will do.
            elif (twin := self._twin_key(number)) not in tried:
                tried.add(twin)
                queue.extend(self._happens(number, config, now))

    def _happens(self, number: int, config: Config, now: int) -> Iterator[Config]:
        operation = self._all[number]
        for event in operation.tries:
            if event.begin > now:
                continue
            if self._steps_left == 0:
                raise BudgetExhaustedError
            self._steps_left -= 1
            accounts, answer = step(config.accounts, event)
            if operation.answer is not None and not answer.agrees_with(operation.answer):
                continue
            # An optional operation that changes nothing may as well never happen.
            if number < len(self._ends) or accounts is not config.accounts:
                yield Config(accounts, config.done | {number})

    def _with_quiet(self, config: Config, target: int) -> Config:
        """Let reads and refusals happen as soon as they can: they leave everything as it is."""
        done = [
            number
            for number in self._under_way[target]
            if self._quiet[number]
            and number not in config.done
            and any(self._happens(number, config, self._ends[target]))
        ]
        return Config(config.accounts, config.done.union(done)) if done else config

    def _useful(self, target: int, config: Config) -> list[int]:
        """Return what may have to happen before the target, which stands last. All else can happen as well after it.

        It is connected with the target by accounts that something under way touches, be it a refusal: that may have
        come before the target, and only after something else. And what touches the account whose balance the answer
        says must bring it, all together, to that balance.
        """
        open_now = [number for number in self._open_at(target) if number not in config.done]
        rest = [number for number in open_now if not self._quiet[number]]
        links = [self._accounts[number] for number in open_now if self._quiet[number]]
        near = [number for number in rest if number != target and self._told_account(target) in self._accounts[number]]
        useless = set(near) - self._summands(target, config, near)
        rest = [number for number in rest if number not in useless]
        accounts = set(self._accounts[target])
        size = 0
        while len(accounts) > size:
            size = len(accounts)
            near_names = [*links, *(self._accounts[number] for number in rest)]
            accounts.update(*(names for names in near_names if not accounts.isdisjoint(names)))
        return sorted((number for number in rest if not accounts.isdisjoint(self._accounts[number])), reverse=True)

    def _summands(self, target: int, config: Config, numbers: Sequence[int]) -> set[int]:
        """Return those of the numbers that are part of a sum that leads to the balance that the target's answer says.

        All of them, if that balance is not known or the sums are too many or not certain.
        """
        name = self._told_account(target)
        missing = self._missing(target, config)
        if missing is None or len(numbers) > SUMMANDS_MAX or not all(map(self._is_plain, numbers)):
            return set(numbers)
        sums = [0]
        for number in numbers:
            cents = _effects(self._all[number].tries[0])[name]
            sums += [cents + other for other in sums]
        members = 0
        for mask, cents in enumerate(sums):
            if cents == missing:
                members |= mask
        return {number for place, number in enumerate(numbers) if members >> place & 1}

    def _is_plain(self, number: int) -> bool:
        """Say whether, if it happens before the target, its one request is sure to be granted."""
        operation = self._all[number]
        return len(operation.tries) == 1 and (number >= len(self._ends) or operation.answer is not None)

    def _told_account(self, number: int) -> str:
        return self._all[number].tries[0].account

    def _likely(self, target: int, config: Config, numbers: Sequence[int]) -> list[int]:
        """Leave out what is optional and brings no account to what an answer under way says of it.

        It must do so alone, or together with one more that is optional.
        """
        missing: dict[str, set[int]] = {}
        for number in self._under_way[target]:
            if number not in config.done and (cents := self._missing(number, config)) is not None:
                missing.setdefault(self._told_account(number), set()).add(cents)
        effects = {number: _effects(self._all[number].tries[0]) for number in numbers if number >= len(self._ends)}
        others: dict[str, set[int]] = {}
        for effect in effects.values():
            for name, cents in effect.items():
                others.setdefault(name, {0}).add(cents)

        def is_likely(number: int) -> bool:
            return number not in effects or any(
                rest - cents in others[name]
                for name, cents in effects[number].items()
                for rest in missing.get(name, ())
            )

        return [number for number in numbers if is_likely(number)]

    def _missing(self, number: int, config: Config) -> int | None:
        """Return by how much its account is off from what its answer says it held just before; None if it does not."""
        operation = self._all[number]
        account = config.accounts[self._told_account(number)]
        if account is None or operation.answer is None or operation.answer.balance_cents is None:
            return None
        event = operation.tries[0]
        return operation.answer.balance_cents - _effects(event)[event.account] - account.balance_cents

    def _open_at(self, target: int) -> list[int]:
        """Return the numbers of all that may happen just before the answer of the target comes."""
        first = len(self._ends)
        optional = bisect_right(self._optional_begins, self._ends[target])
        return [*self._under_way[target], *range(first, first + optional)]

    def _twin_key(self, number: int) -> object:
        tries = self._all[number].tries
        return request_of(tries[0]) if len(tries) == 1 else number

    def _unexplained(self, target: int, example: Config) -> Unexplained:
        names = self._accounts[target]
        near = [n for n in self._open_at(target) if n != target and not names.isdisjoint(self._accounts[n])]
        return Unexplained(
            accounts=tuple(example.accounts),
            before=tuple(self._all[n].shown for n in range(max(0, target - EVENTS_SHOWN), target)),
            event=self._all[target].shown,
            under_way=tuple(self._all[n].shown for n in near[: 2 * EVENTS_SHOWN]),
            explained=target,
            example=example.accounts,
        )


def _is_quiet(operation: Operation) -> bool:
    """Say whether it certainly changes nothing."""
    is_read = operation.tries[0].op == "read"
    return operation.answer is not None and (is_read or operation.answer.code is not None)


def _effects(event: Event) -> dict[str, int]:
    """Return by how much the attempt changes balances if it is not refused."""
    effects = Counter[str]()
    for move in event.parts or (event,):
        cents = move.amount_cents or 0
        if move.counterpart is not None:
            effects.update({move.account: -cents, move.counterpart: cents})
        else:
            effects[move.account] += {"open": 0, "deposit": cents, "withdraw": -cents}.get(move.op, 0)
    return effects


def _windows(certain: Sequence[Operation]) -> Iterator[tuple[int, ...]]:
    """Yield for each operation those that may happen just before its answer comes, itself among them."""
    coming = deque(sorted(range(len(certain)), key=lambda number: certain[number].begin))
    under_way: set[int] = set()
    for number, operation in enumerate(certain):
        while coming and certain[coming[0]].begin <= (operation.end or 0):
            under_way.add(coming.popleft())
        yield tuple(sorted(under_way))
        under_way.remove(number)
