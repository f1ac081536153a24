"""Customers: threads that send random requests to random counters, and an account of what they were told.

A customer who is told nothing certain (no connection, 503, 504) repeats the request under the same key at another
counter, as every client should; so each ends with one final answer for each of its requests.
"""

import random
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import requests

from tests.support.cluster import Cluster, eventually, log_bodies
from tests.support.naive import NaiveBank, entries_of

__all__ = ["ACCOUNTS", "Customer", "Told", "crowd", "open_accounts", "verdict"]

ACCOUNTS = {f"conta-{number}": Decimal(number % 3 * 50) for number in range(10)}
"""Their limits."""
PATIENCE_S = 60.0


class Told:
    """One request and its final answer."""

    def __init__(self, key: str, path: str, body: dict[str, str]) -> None:
        self.key = key
        self.path = path
        self.body = body
        self.attempts = 0
        self.answer: requests.Response | None = None


class Customer(threading.Thread):
    """Sends requests until it has sent `count` of them or is told that it is enough."""

    def __init__(self, number: int, urls: Sequence[str], count: int | None = None) -> None:
        """Seeded by its number."""
        super().__init__(daemon=True, name=f"customer-{number}")
        self._random = random.Random(number)
        self._number = number
        self._urls = urls
        self._count = count
        self.told: list[Told] = []
        self.enough = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Send, and keep every answer."""
        try:
            session = requests.Session()
            while not self.enough.is_set() and (self._count is None or len(self.told) < self._count):
                self.told.append(self._next())
                self._send(session, self.told[-1])
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.error = error

    def _next(self) -> Told:
        if self.told and self._random.random() < 0.1:
            past = self._random.choice(self.told)
            return Told(past.key, past.path, past.body)
        account, other = self._random.sample(list(ACCOUNTS), 2)
        amount = f"{self._random.randint(1, 9_999) / 100:.2f}"
        kind = self._random.choice(["deposito", "saque", "transferencia"])
        key = f"c{self._number}-{len(self.told)}"
        if kind == "transferencia":
            return Told(key, f"/transferencia/{account}", {"conta_destino": other, "valor": amount})
        return Told(key, f"/contas/{account}/{kind}", {"valor": amount})

    def _send(self, session: requests.Session, told: Told) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while told.answer is None:
            assert time.monotonic() < deadline, f"{told.key} got no final answer"
            told.attempts += 1
            try:
                answer = session.post(
                    self._random.choice(self._urls) + told.path,
                    json=told.body,
                    headers={"Idempotency-Key": told.key},
                    timeout=20,
                )
            except requests.RequestException:
                self.enough.wait(0.01)
                continue
            if answer.status_code in {503, 504}:
                assert answer.status_code == 503 or answer.json()["resultado"] == "desconhecido"
                self.enough.wait(0.05)
            else:
                told.answer = answer


def open_accounts(cluster: Cluster) -> None:
    """Open the accounts that customers use, with 100.00 each."""
    for account, limit in ACCOUNTS.items():
        body = {"id_conta": account, "saldo": "100.00", "limite": str(limit)}
        # Again if the node lags behind just then, under the same key.
        headers = {"Idempotency-Key": f"open-{account}"}
        eventually(partial(_is_opened, cluster, body, headers), seconds=30, every=0.2)


def _is_opened(cluster: Cluster, body: dict[str, str], headers: dict[str, str]) -> bool:
    answer = cluster.nodes[0].post("/contas", body, headers=headers)
    assert answer.status_code in {201, 503, 504}, answer.text
    return answer.status_code == 201


def crowd(cluster: Cluster, size: int, count: int | None = None) -> list[Customer]:
    """Start that many customers at all counters."""
    customers = [Customer(number, cluster.urls, count) for number in range(size)]
    for customer in customers:
        customer.start()
    return customers


def verdict(
    cluster: Cluster, customers: Sequence[Customer], *, seconds: float = 240, log_is_whole: bool = True
) -> dict[str, int]:
    """Wait for the customers, then explain every answer by the log's order; return how many were of which kind.

    Fails if an answer has no explanation, a balance is not the log's, or the nodes do not hold the same. A log that
    lost something explains little: then the history that the journals hold must.
    """
    for customer in customers:
        customer.join(seconds)
        assert not customer.is_alive(), "a customer got no answer"
        assert customer.error is None, customer.error
    cluster.settled_books()
    if log_is_whole:
        naive = NaiveBank().replay(log_bodies(cluster.data_dir))
    else:
        naive = NaiveBank().replay_entries(entries_of(cluster.nodes[0].folder / "diario.sqlite"))
    kinds = {"applied": 0, "replayed": 0, "refused": 0, "repeated attempts": 0}
    for customer in customers:
        for told in customer.told:
            kinds[_explain(naive, told)] += 1
            kinds["repeated attempts"] += told.attempts - 1
    for node in cluster.nodes:
        for account, limit in ACCOUNTS.items():
            shown = node.get(f"/contas/{account}").json(parse_float=Decimal)
            assert shown["saldo"] * 100 == naive.balances[account]
            assert shown["saldo"] >= -limit
    return kinds


def _explain(naive: NaiveBank, told: Told) -> str:
    assert told.answer is not None
    content: dict[str, Any] = told.answer.json(parse_float=Decimal)
    expected = naive.results[told.key]
    if told.answer.status_code == 200:
        assert content["saldo"] * 100 == expected, f"{told.key} {told.body}: {content}"
    else:
        assert content["codigo"] == expected, f"{told.key} {told.body}: {content}"
    if told.answer.headers.get("Idempotency-Replayed") == "true":
        return "replayed"
    return "applied" if told.answer.status_code == 200 else "refused"
