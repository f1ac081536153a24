"""Customers under the scheduler: random requests at random counters, retries under the same key, and what they saw."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from bank.errors import BankError, NotAccepted, OutcomeUnknown
from bank.operations import (
    Applied,
    Batch,
    CustomerOperation,
    Deposit,
    Open,
    Origin,
    Transfer,
    Withdraw,
    is_same,
    scoped,
)
from bank.runtime import Runtime
from bank.views import Answer, Consistency, Token
from locks.bakery import LockTimeout
from tests.judge.history import Part
from tests.simulation.scheduler import S

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["ACCOUNTS", "Customer"]

ACCOUNTS = {"a": 0, "b": 5_000, "c": 0, "d": 100}
"""Their limits in centavos."""
SETTLED_S_MAX = 240.0
CODES = {
    "account_not_found": "CONTA_NAO_ENCONTRADA",
    "account_exists": "CONTA_JA_EXISTE",
    "insufficient_funds": "SALDO_INSUFICIENTE",
    "same_account": "MESMA_CONTA",
    "above_limit": "VALOR_ACIMA_DO_LIMITE",
    "id_reused": "CHAVE_REUTILIZADA",
}


Asked = CustomerOperation | Batch


class Customer:
    """One customer, who does one thing at a time."""

    def __init__(self, world: "World", number: int) -> None:
        self._world = world
        self._name = f"c{number}"
        self._draw = random.Random(f"customer {number} of {world.seed}")
        self._asked = 0
        self._attempts = 0
        self._is_known = number % 2 == 1
        """Whether the bank knows who this is."""
        self._token: Token | None = None
        self._gives_up = number > 0 and self._draw.random() < 0.3

    def run(self) -> None:
        """Do things until the world has seen enough."""
        if self._name == "c0":
            for account, limit in ACCOUNTS.items():
                self._insist(Open(f"open-{account}", account, self._draw.choice([0, 10_000]), limit))
        while not self._world.is_healing:
            self._world.scheduler.sleep(self._draw.random() ** 2 * self._world.draw_leisure_s)
            self._do_something()

    def _do_something(self) -> None:
        draw = self._draw
        kind = draw.random()
        if kind < 0.25:
            self.read(draw.choice(list(ACCOUNTS)), draw.choice(self._world.machines).name, Consistency.DEFAULT)
        elif kind < 0.3:
            self._read_own_writes()
        elif kind < 0.42 and self._world.asked:
            # Perhaps under way at this moment, by another customer at another counter.
            self._insist(draw.choice(self._world.asked[-20:]))
        else:
            self._asked += 1
            operation = self._operation()
            if kind > 0.97 and self._world.asked:
                operation = replace(operation, id=draw.choice(self._world.asked).id)
            self._world.asked.append(operation)
            self._insist(operation)

    def _operation(self) -> Asked:
        draw, key = self._draw, f"{self._name}-{self._asked}"
        if self._is_known:
            key = scoped(self._name, key)
        account, other = draw.sample(list(ACCOUNTS), 2)
        amount = draw.choice([1, draw.randint(1, 3_000), draw.randint(1, 12_000)])
        kind = draw.random()
        if kind < 0.03:
            return Open(key, account, 0, 0)
        if kind < 0.1:
            return Batch(key, (Deposit("0", account, amount), Transfer("1", account, other, draw.randint(1, 12_000))))
        if kind < 0.4:
            return Deposit(key, account, amount)
        if kind < 0.6:
            return Withdraw(key, account, amount)
        return Transfer(key, account, other, amount)

    # --- writes --------------------------------------------------------------------------------------------------

    def _insist(self, operation: Asked) -> None:
        """Repeat the request under its key, at other counters too, until it has a final answer."""
        world = self._world
        late_ns = world.scheduler.now_ns + int(SETTLED_S_MAX * S)
        while not self._attempt(operation):
            if self._gives_up and not world.is_healing and self._draw.random() < 0.3:
                return
            world.check(world.scheduler.now_ns < late_ns, f"{operation.id} got no final answer")
            world.scheduler.sleep(self._draw.random())

    def _attempt(self, operation: Asked) -> bool:
        """Ask once; tell whether the answer is final."""
        world = self._world
        machine = self._draw.choice(world.machines)
        patience_s = self._draw.choice([1.0, 12.0])
        event = self._begin(machine.name, operation)
        self._attempts += 1
        origin = Origin(f"{self._name}:{self._attempts}", "10.0.0.1") if self._is_known else operation.origin
        asked = replace(operation, origin=origin)
        try:
            answer = machine.ask(lambda bank: bank.submit(asked), patience_s)
        except ConnectionRefusedError:
            return self._end(event, "not_applied")
        except (OutcomeUnknown, ConnectionError):
            return self._end(event, "unknown")
        except NotAccepted:
            return self._end(event, "not_applied")
        outcome, told = self._told(operation, answer)
        return self._end(event, outcome, **told)

    def _told(self, operation: Asked, answer: Answer) -> tuple[str, dict[str, Any]]:
        outcome = answer.entry.outcome
        if not is_same(answer.entry.operation, operation):
            return "refused", {"code": "CHAVE_REUTILIZADA"}
        if isinstance(outcome, Applied):
            balance = None if isinstance(operation, Batch) else outcome.balance_cents
            return "ok", {"balance_cents": balance, "replayed": answer.replayed}
        return "refused", {"code": CODES[outcome.reason.value], "replayed": answer.replayed}

    def _begin(self, node: str, operation: Asked) -> dict[str, Any]:
        parts = tuple(Part(**_move(part)) for part in operation.parts) if isinstance(operation, Batch) else ()
        what = {"op": "batch", "account": parts[0].account, "parts": parts} if parts else _move(operation)
        return self._world.history.begin(client=self._name, node=node, id=operation.id, **what)

    def _end(self, event: dict[str, Any], outcome: str, **told: Any) -> bool:
        self._world.history.end(event, outcome=outcome, **told)
        return outcome in {"ok", "refused"}

    # --- reads ---------------------------------------------------------------------------------------------------

    def read(self, account_id: str, node: str, consistency: Consistency, *, final: bool = False) -> bool:
        """Read an account; tell whether it came, and not marked as stale."""
        event = self._world.history.begin(client=self._name, node=node, op="read", account=account_id, final=final)
        try:
            machine = self._world.by_name[node]
            view = machine.ask(_reading(account_id, consistency), 12)
        except (BankError, ConnectionError):
            return self._end(event, "unknown")
        mark = "stale" if view.stale else "linearizable"
        self._token = view.token
        if view.account is None:
            self._end(event, "refused", code="CONTA_NAO_ENCONTRADA", consistency=mark)
        else:
            balance = view.account.balance_cents
            self._end(event, "ok", balance_cents=balance, version=view.account.version, consistency=mark)
        return not view.stale

    def _read_own_writes(self) -> None:
        """Take a token to another counter: what it stands for must be seen there."""
        token, account_id = self._token, self._draw.choice(list(ACCOUNTS))
        if token is None:
            return
        machine = self._draw.choice(self._world.machines)

        def look(bank: Runtime) -> Token:
            bank.wait_for(token)
            return bank.read_account(account_id, Consistency.LOCAL).token

        try:
            seen = machine.ask(look, 12)
        except (BankError, ConnectionError):
            return
        is_there = (seen.epoch, seen.position) >= (token.epoch, token.position)
        self._world.check(is_there, f"{machine.name} showed {seen} to a customer who had seen {token}")


def _move(operation: Any) -> dict[str, Any]:
    """Return an operation on accounts as the judge spells it."""
    is_open = isinstance(operation, Open)
    return {
        "op": type(operation).__name__.lower(),
        "account": operation.account_id,
        "counterpart": getattr(operation, "counterpart_id", None),
        "amount_cents": operation.balance_cents if is_open else operation.amount_cents,
        "limit_cents": operation.limit_cents if is_open else None,
    }


def _reading(account_id: str, consistency: Consistency) -> Callable[[Runtime], Any]:
    def read(bank: Runtime) -> Any:
        try:
            return bank.read_account(account_id, consistency)
        except LockTimeout as error:
            raise NotAccepted(str(error)) from error

    return read
