"""Customers who only deposit, and an account of every answer: then what is in the books must be what was answered.

A customer who is told nothing certain (no connection, 503, 504) repeats the deposit under the same key at another bank.
"""

import random
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import requests

from tests.compose.project import Project
from tests.support.cluster import eventually

__all__ = ["Depositors"]

PATIENCE_S = 300.0


class _Deposit(NamedTuple):
    account: str
    cents: int
    balance_cents: int
    attempts: int


class Depositors:
    """A few threads that deposit at all banks, and the accounts that they share."""

    def __init__(self, project: Project, *, size: int = 6, accounts: int = 3) -> None:
        """Open the accounts, under names that no earlier run used."""
        self._project = project
        self._run = secrets.token_hex(4)
        self.accounts = [f"{self._run}-{number}" for number in range(accounts)]
        self._enough = threading.Event()
        self._deposits: list[_Deposit] = []
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._deposit_all, args=[number]) for number in range(size)]
        for account in self.accounts:
            self._send(requests.Session(), "/contas", {"id_conta": account}, f"{account}-abertura", random.Random(0))

    @contextmanager
    def at_work(self) -> "Iterator[Depositors]":
        """Deposit all the while, then account for everything; what was done meanwhile must have been noticed."""
        for thread in self._threads:
            thread.start()
        try:
            self.wait_for(50)
            yield self
            self.wait_for(50)
        finally:
            self._enough.set()
            for thread in self._threads:
                thread.join(PATIENCE_S + 20)
        self._account_for_everything()

    def wait_for(self, more: int, *, seconds: float = PATIENCE_S) -> None:
        """Wait until that many more deposits were answered."""
        wanted = len(self._deposits) + more
        eventually(lambda: self._errors or len(self._deposits) >= wanted, seconds=seconds)
        assert self._errors == []

    @property
    def repeated(self) -> int:
        """How often customers had to repeat a request."""
        return sum(deposit.attempts - 1 for deposit in self._deposits)

    def __str__(self) -> str:
        """Say what was seen."""
        return f"{len(self._deposits)} deposits answered, {self.repeated} attempts repeated, all in the books once"

    def _deposit_all(self, number: int) -> None:
        chance = random.Random(f"{self._run}-{number}")
        session = requests.Session()
        try:
            while not self._enough.is_set():
                account, cents = chance.choice(self.accounts), chance.randint(1, 99_999)
                key = f"{self._run}-{number}-{chance.getrandbits(64):x}"
                body = {"valor": f"{cents / 100:.2f}"}
                answer, attempts = self._send(session, f"/contas/{account}/deposito", body, key, chance)
                self._deposits.append(_Deposit(account, cents, int(answer["saldo"] * 100), attempts))
        except BaseException as error:  # noqa: BLE001 - the journey shows it
            self._errors.append(error)

    def _send(
        self, session: requests.Session, path: str, body: dict[str, str], key: str, chance: random.Random
    ) -> tuple[dict[str, Any], int]:
        """Return the final answer, and how many attempts it took."""
        deadline = time.monotonic() + PATIENCE_S
        attempts = 0
        while True:
            assert time.monotonic() < deadline, f"{key} got no final answer"
            attempts += 1
            try:
                url = chance.choice(self._project.urls) + path
                answer = session.post(url, json=body, headers={"Idempotency-Key": key}, timeout=20)
            except requests.RequestException:
                time.sleep(0.05)
                continue
            if answer.status_code not in {503, 504}:
                assert answer.status_code in {200, 201}, f"{key}: {answer.text}"
                return answer.json(parse_float=Decimal), attempts
            time.sleep(0.1)

    def _account_for_everything(self) -> None:
        """Put each account's answers into a row: each balance is the one before it plus the deposit, at every bank."""
        assert self._errors == []
        assert not any(thread.is_alive() for thread in self._threads), "a customer got no answer"
        self._project.settled_books()
        for account in self.accounts:
            balance_cents = 0
            for deposit in sorted(self._deposits, key=lambda deposit: deposit.balance_cents):
                if deposit.account == account:
                    balance_cents += deposit.cents
                    assert deposit.balance_cents == balance_cents, f"{account}: {deposit}"
            assert balance_cents > 0, "a check that saw nothing proves nothing"
            for url in self._project.urls:
                shown = requests.get(f"{url}/contas/{account}?consistencia=forte", timeout=20)
                assert shown.json(parse_float=Decimal)["saldo"] * 100 == balance_cents, f"{url}: {shown.text}"
