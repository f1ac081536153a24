"""Many customers at many counters at once: the answers must be those of one bank, in the log's order."""

import random
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from tests.support.cluster import Cluster
from tests.support.naive import NaiveBank, bodies_of

ACCOUNTS = [f"conta-{number}" for number in range(10)]
LIMITS = {account: Decimal(number % 3 * 50) for number, account in enumerate(ACCOUNTS)}
THREADS = 64
REQUESTS = 20_000


class Customer(threading.Thread):
    """Sends random requests to random counters, some of them again under the same key, and keeps every answer."""

    def __init__(self, number: int, urls: list[str], requests_each: int) -> None:
        """Seeded by its number."""
        super().__init__(daemon=True)
        self._random = random.Random(number)
        self._number = number
        self._urls = urls
        self._requests_each = requests_each
        self.answers: list[tuple[str, dict[str, Any], requests.Response]] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.error = error

    def _run(self) -> None:
        session = requests.Session()
        past: list[tuple[str, str, dict[str, str]]] = []
        for count in range(self._requests_each):
            if past and self._random.random() < 0.1:
                key, path, body = self._random.choice(past)
            else:
                key, (path, body) = f"c{self._number}-{count}", self._request()
                past.append((key, path, body))
            url = self._random.choice(self._urls)
            answer = session.post(url + path, json=body, headers={"Idempotency-Key": key}, timeout=20)
            self.answers.append((key, body, answer))

    def _request(self) -> tuple[str, dict[str, str]]:
        account, other = self._random.sample(ACCOUNTS, 2)
        amount = f"{self._random.randint(1, 9_999) / 100:.2f}"
        kind = self._random.choice(["deposito", "saque", "transferencia"])
        if kind == "transferencia":
            return f"/transferencia/{account}", {"conta_destino": other, "valor": amount}
        return f"/contas/{account}/{kind}", {"valor": amount}


def test_64_threads_at_4_nodes_see_one_bank(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 4) as cluster:
        for account in ACCOUNTS:
            body = {"id_conta": account, "saldo": "100.00", "limite": str(LIMITS[account])}
            assert cluster.nodes[0].post("/contas", body).status_code == 201
        customers = [Customer(number, cluster.urls, REQUESTS // THREADS) for number in range(THREADS)]
        for customer in customers:
            customer.start()
        for customer in customers:
            customer.join(240)
            assert not customer.is_alive(), "a customer got no answer"
            assert customer.error is None
        cluster.settled_books()
        naive = NaiveBank().replay(bodies_of(tmp_path / "livro.sqlite"))
        answers = [answer for customer in customers for answer in customer.answers]
        statuses = [explain(naive, *answer) for answer in answers]
        assert statuses.count("applied") > REQUESTS // 2
        assert statuses.count("replayed") > REQUESTS // 50
        for node in cluster.nodes:
            for account in ACCOUNTS:
                shown = node.get(f"/contas/{account}").json(parse_float=Decimal)
                assert shown["saldo"] * 100 == naive.balances[account]
                assert shown["saldo"] >= -LIMITS[account]


def explain(naive: NaiveBank, key: str, body: dict[str, str], answer: requests.Response) -> str:
    """Return how the log's order explains this answer; fail if it does not."""
    content = answer.json(parse_float=Decimal)
    expected = naive.results[key]
    if answer.status_code == 200:
        assert content["saldo"] * 100 == expected
    else:
        assert content["codigo"] == expected, f"{key} {body}: {content}"
    if answer.headers.get("Idempotency-Replayed") == "true":
        return "replayed"
    return "applied" if answer.status_code == 200 else "refused"
