"""The bank as one clerk would keep it: one operation after the other, nothing changed in place.

The second opinion on `bank/`, with which it shares no code. Refusals carry the codes that the API shows.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.judge.history import ID_REUSED, Event, Part, Refusal

__all__ = ["Account", "Accounts", "Answer", "First", "Request", "answer_of", "request_of", "step"]

CEILING_CENTS = 999_999_999_999_999
"""No balance rises above 9999999999999.99."""


class Account(NamedTuple):
    """An open account. `version` counts its changes, the opening among them."""

    balance_cents: int
    limit_cents: int
    version: int = 1

    def moved(self, cents: int) -> "Account":
        """Return what it is after that much more, or less."""
        return Account(self.balance_cents + cents, self.limit_cents, self.version + 1)


Accounts = Mapping[str, Account | None]
"""By name; None, like no entry, stands for an account that is not open."""
Request = tuple[object, ...]


class Answer(NamedTuple):
    """What a client is told, as far as it is told: None says nothing, but a `code` of None says ok."""

    code: Refusal | None = None
    balance_cents: int | None = None
    version: int | None = None
    replayed: bool = False

    def agrees_with(self, other: "Answer") -> bool:
        """Say whether both can be true of one outcome, replayed or not."""
        return (
            self.code == other.code
            and (self.balance_cents == other.balance_cents or None in (self.balance_cents, other.balance_cents))
            and (self.version == other.version or None in (self.version, other.version))
        )

    def with_more_from(self, other: "Answer") -> "Answer":
        """Return what both together say of one outcome."""
        return self._replace(
            balance_cents=other.balance_cents if self.balance_cents is None else self.balance_cents,
            version=other.version if self.version is None else self.version,
        )


class First(NamedTuple):
    """The first request under an id, and its answer: the bank remembers both for ever."""

    request: Request
    answer: Answer


def request_of(event: Event) -> Request:
    """Return what the attempt asked for: the same id with anything else is a reused id."""
    return (event.op, event.account, event.counterpart, event.amount_cents, event.limit_cents, event.parts)


def answer_of(event: Event) -> Answer:
    """Return what a client was told by an attempt that was answered."""
    return Answer(event.code, event.balance_cents, event.version, event.replayed)


def step(accounts: Accounts, event: Event, first: First | None = None) -> tuple[Accounts, Answer]:
    """Return the accounts after the attempt, and its answer. `first` is what its id got before.

    The accounts that come back are the same object if nothing changed.
    """
    if first is None:
        return _execute_all(accounts, event.parts) if event.parts else _execute(accounts, event)
    if first.request != request_of(event):
        return accounts, Answer(ID_REUSED)
    return accounts, first.answer._replace(replayed=True)


def _execute_all(accounts: Accounts, parts: Iterable[Part]) -> tuple[Accounts, Answer]:
    after = accounts
    for part in parts:
        after, answer = _execute(after, part)
        if answer.code is not None:
            return accounts, Answer(answer.code)
    return after, Answer()


def _execute(accounts: Accounts, event: Event | Part) -> tuple[Accounts, Answer]:
    account, amount_cents = accounts.get(event.account), event.amount_cents or 0
    if event.op == "open":
        if account is not None:
            return accounts, Answer("CONTA_JA_EXISTE")
        return _with(accounts, event.account, Account(amount_cents, event.limit_cents or 0))
    if event.account == event.counterpart:
        return accounts, Answer("MESMA_CONTA")
    gainer = account if event.op == "deposit" else accounts.get(event.counterpart or "")
    if account is None or (event.op == "transfer" and gainer is None):
        return accounts, Answer("CONTA_NAO_ENCONTRADA")
    if event.op == "read":
        return accounts, Answer(None, account.balance_cents, account.version)
    if event.op != "deposit" and account.balance_cents + account.limit_cents < amount_cents:
        return accounts, Answer("SALDO_INSUFICIENTE")
    if gainer is not None and gainer.balance_cents + amount_cents > CEILING_CENTS:
        return accounts, Answer("VALOR_ACIMA_DO_LIMITE")
    # Every refusal is above this line.
    if event.counterpart is not None and gainer is not None:
        accounts = {**accounts, event.counterpart: gainer.moved(amount_cents)}
    return _with(accounts, event.account, account.moved(amount_cents if event.op == "deposit" else -amount_cents))


def _with(accounts: Accounts, name: str, account: Account) -> tuple[Accounts, Answer]:
    return {**accounts, name: account}, Answer(None, account.balance_cents, account.version)
