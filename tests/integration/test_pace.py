"""How often somebody may ask: RATE_LIMIT at a real node, by principal and by address, and wrong tokens always."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from bank.routes.pace import WRONG_TOKENS
from tests.support.cluster import NodeProcess
from tests.support.doors import Tokens, asks_from, bearer

LIMIT = 12


@contextmanager
def running(data_dir: Path, **environment: str) -> Iterator[NodeProcess]:
    node = NodeProcess(data_dir, environment=environment).start()
    try:
        yield node.wait_ready()
    finally:
        node.kill()


def statuses(session: requests.Session, url: str, count: int, **headers: str) -> list[int]:
    """Ask as often; whoever is refused is told for how long."""
    answers = [session.get(url, headers=headers, timeout=15) for _ in range(count)]
    for answer in answers:
        if answer.status_code == 429:
            assert answer.json()["codigo"] == "SOBRECARGA"
            assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    return [answer.status_code for answer in answers]


def test_a_principal_who_asks_too_often_is_held_up_wherever_it_asks_from_and_others_are_not(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    with running(tmp_path / "dados", RATE_LIMIT=f"{LIMIT}/hour", **tokens.environment) as node:
        first, second = asks_from("127.0.0.11"), asks_from("127.0.0.12")
        url, hasty, patient = f"{node.url}/contas", bearer(tokens.of["operador"]), bearer(tokens.of["auditor"])
        assert statuses(first, url, LIMIT + 3, **hasty) == [200] * LIMIT + [429] * 3
        assert statuses(second, url, 1, **hasty) == [429]
        assert statuses(first, url, LIMIT, **patient) == [200] * LIMIT
        refused = first.post(f"{node.url}/contas", json={"id_conta": "A"}, headers=hasty, timeout=15)
        assert (refused.status_code, refused.json()["resultado"]) == (429, "nao_aplicado")
        assert statuses(first, f"{node.url}/saude", LIMIT + 3, **hasty) == [200] * (LIMIT + 3), "whoever restarts nodes"


def test_an_address_that_asks_too_often_is_held_up_where_nobody_is_known_and_others_are_not(tmp_path: Path) -> None:
    with running(tmp_path, RATE_LIMIT=f"{LIMIT}/hour") as node:
        url = f"{node.url}/contas"
        assert statuses(asks_from("127.0.0.11"), url, LIMIT + 3) == [200] * LIMIT + [429] * 3
        forged = {"X-Forwarded-For": "127.0.0.13", "Forwarded": "for=127.0.0.13"}
        assert statuses(asks_from("127.0.0.11"), url, 1, **forged) == [429], "whatever it says of itself"
        assert statuses(asks_from("127.0.0.12"), url, LIMIT) == [200] * LIMIT


@pytest.mark.parametrize("proxy", ["", "127.0.0.1"], ids=["by itself", "behind a proxy"])
def test_wrong_tokens_are_held_up_by_address_and_right_ones_never(tmp_path: Path, proxy: str) -> None:
    tokens = Tokens(tmp_path)
    trust = {"TRUSTED_PROXY": proxy} if proxy else {}
    with running(tmp_path / "dados", **tokens.environment, **trust) as node:
        url, wrong = f"{node.url}/contas", bearer("banco_000000000000_" + "A" * 43)

        def of(address: str, count: int, shown: dict[str, str]) -> list[int]:
            said = {"X-Forwarded-For": address} if proxy else {}
            return statuses(asks_from(proxy or address), url, count, **shown, **said)

        told = of("127.0.0.11", WRONG_TOKENS.amount + 5, wrong)
        assert told[: WRONG_TOKENS.amount] == [401] * WRONG_TOKENS.amount
        assert 429 in told[WRONG_TOKENS.amount :]
        assert of("127.0.0.12", 1, wrong) == [401]
        no_proxy, told = asks_from("127.0.0.13"), []
        for number in range(WRONG_TOKENS.amount + 5):
            told += statuses(no_proxy, url, 1, **wrong, **{"X-Forwarded-For": f"127.0.1.{number}"})
        assert 429 in told, "counted as what it is, whatever it says"
        assert of("127.0.0.11", 3, bearer(tokens.of["operador"])) == [200] * 3
