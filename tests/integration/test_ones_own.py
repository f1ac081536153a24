"""What a token shows and moves besides the accounts that a path names: operations by their keys, and other servers."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import requests

from bank.tokens.principals import Role
from tests.support.cluster import NodeProcess, free_port
from tests.support.doors import Tokens, bearer


class Bank(NamedTuple):
    """A node with tokens, which ran without them before, and may ask one server outside: nobody is there."""

    node: NodeProcess
    tokens: Tokens
    outside: str

    def ask(self, who: str, path: str) -> requests.Response:
        return self.node.get(path, headers=bearer(self.tokens.of[who]))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder, outside = tmp_path_factory.mktemp("proprio"), f"http://127.0.0.1:{free_port()}"
    node = NodeProcess(folder / "dados").start().wait_ready()
    for account in ("ana", "bia", "caio"):
        node.post("/contas", {"id_conta": account, "saldo": 10})
        node.post(f"/contas/{account}/deposito", {"valor": 1}, headers={"Idempotency-Key": f"old-{account}"})
    move = {"conta_destino": "bia", "valor": 1}
    node.post("/transferencia/ana", move, headers={"Idempotency-Key": "old-transfer"})
    node.stop()
    tokens = Tokens(folder)
    tokens.of["both"] = tokens.add("both", Role.CUSTOMER, "ana", "bia")
    environment = tokens.environment | {"SERVERS_ALLOWED": outside}
    node = NodeProcess(folder / "dados", port=node.port, environment=environment).start()
    try:
        node.wait_ready()
        for who, account in (("operador", "ana"), ("operador", "bia"), ("cliente", "ana")):
            headers = bearer(tokens.of[who]) | {"Idempotency-Key": f"new-{account}"}
            assert node.post(f"/contas/{account}/deposito", {"valor": 1}, headers=headers).status_code == 200
        yield Bank(node, tokens, outside)
    finally:
        node.kill()


@pytest.mark.parametrize(
    ("who", "key", "status"),
    [
        ("cliente", "old-ana", 200), ("cliente", "old-bia", 404), ("cliente", "old-caio", 404),
        ("cliente", "old-transfer", 404), ("both", "old-transfer", 200), ("both", "old-caio", 404),
        ("operador", "old-bia", 200), ("auditor", "old-bia", 200), ("admin", "old-transfer", 200),
    ],
)  # fmt: skip
def test_what_was_done_before_there_were_tokens_is_seen_by_whoever_owns_all_of_it(
    bank: Bank, who: str, key: str, status: int
) -> None:
    assert bank.ask(who, f"/operacoes/{key}").status_code == status


@pytest.mark.parametrize("who", ["cliente", "both", "auditor", "admin", "operador"])
def test_no_key_is_spelled_with_the_name_of_whose_it_is(bank: Bank, who: str) -> None:
    assert bank.ask("operador", "/operacoes/new-ana").status_code == 200
    assert bank.ask(who, "/operacoes/operador%1Fnew-ana").status_code == 404


def test_a_customer_has_nothing_done_at_another_bank_with_what_is_not_its_own(bank: Bank) -> None:
    told = {}
    for account in ("ana", "bia"):
        body = {"id_conta": account, "valor": 1, "endereco_servidor": bank.outside}
        answer = bank.node.post("/transacao-outro-servidor", body, headers=bearer(bank.tokens.of["cliente"]))
        told[account] = (answer.status_code, answer.json()["codigo"])
    assert told == {"ana": (502, "SERVIDOR_INACESSIVEL"), "bia": (403, "NAO_AUTORIZADO")}


def test_a_head_that_is_too_large_is_answered_400_whoever_sends_it(bank: Bank) -> None:
    for who in ("cliente", "admin"):
        headers = bearer(bank.tokens.of[who]) | {"X-A": "a" * 65_536}
        answer = bank.node.get("/contas/ana", headers=headers)
        assert (answer.status_code, answer.json()["codigo"]) == (400, "REQUISICAO_INVALIDA")
        assert bank.node.get("/contas/ana", headers=headers | {"X-A": "a" * 60_000}).status_code == 200
