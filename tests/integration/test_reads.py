"""Reads: linearizable, marked when they cannot be, never waiting when asked not to, and never behind a token."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from tests.support.cluster import Cluster, NodeProcess, eventually


def balance(answer: requests.Response) -> Decimal:
    assert answer.status_code == 200, answer.text
    return Decimal(answer.json(parse_float=Decimal)["saldo"])


@contextmanager
def stuck(log_path: Path) -> Iterator[None]:
    """Let the embedded log accept nothing, as a log that does not answer."""
    db = sqlite3.connect(log_path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
        db.close()


def test_what_was_answered_at_one_counter_is_read_at_every_other(three_nodes: Cluster) -> None:
    first, *others = three_nodes.nodes
    first.post("/contas", {"id_conta": "leituras"})
    for count in range(1, 31):
        assert first.post("/contas/leituras/deposito", {"valor": 1}).status_code == 200
        for other in others:
            answer = other.get("/contas/leituras", params={"consistencia": "forte"} if count % 2 else None)
            assert balance(answer) == count
            assert "X-Defasada" not in answer.headers
            assert "defasada" not in answer.json()


def test_a_token_makes_any_counter_wait_even_for_a_local_read(three_nodes: Cluster) -> None:
    first, second, third = three_nodes.nodes
    first.post("/contas", {"id_conta": "fichas"})
    for count in range(1, 51):
        told = first.post("/contas/fichas/deposito", {"valor": 1})
        for other in (second, third):
            headers = {"X-Posicao-Minima": told.headers["X-Posicao"]}
            answer = other.get("/contas/fichas", params={"consistencia": "local"}, headers=headers)
            assert balance(answer) == count
            page = other.get("/contas/fichas/extrato", params={"limite": 1}, headers=headers).json()
            assert page["lancamentos"][0]["versao"] == count + 1


def test_a_token_of_the_future_or_of_another_history_is_refused(three_nodes: Cluster) -> None:
    node = three_nodes.nodes[0]
    epoch, position, chain = node.get("/cluster").headers["X-Posicao"].split("-")
    future = node.get("/contas", headers={"X-Posicao-Minima": f"{epoch}-{int(position) + 1000}-{chain}"})
    assert (future.status_code, future.json()["codigo"]) == (503, "POSICAO_NAO_ALCANCADA")
    assert future.headers["Retry-After"]
    other = node.get("/contas", headers={"X-Posicao-Minima": f"{epoch}-{position}-{'0' * 8}"})
    assert (other.status_code, other.json()["codigo"]) == (409, "POSICAO_ABANDONADA")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """One node with an account A of 100.00, whose log may be brought to a stop."""
    if "AMQP_URL" in os.environ:
        pytest.skip("brings the embedded log to a stop; tests/faults/test_broker.py does so with a broker")
    node = NodeProcess(tmp_path).start().wait_ready()
    assert node.post("/contas", {"id_conta": "A", "saldo": 100}).status_code == 201
    yield node
    node.kill()


def test_without_the_log_reads_go_on_plainly_marked_and_writes_come_back_by_themselves(
    node: NodeProcess, tmp_path: Path
) -> None:
    with stuck(tmp_path / "livro.sqlite"):
        marked = node.get("/contas/A")
        assert balance(marked) == 100
        assert marked.headers["X-Defasada"] == "sim"
        assert marked.json()["defasada"] is True
        assert node.get("/contas/B").headers["X-Defasada"] == "sim", "that there is none may be old as well"
        strong = node.get("/contas/A?consistencia=forte")
        assert (strong.status_code, strong.json()["codigo"]) == (503, "REPLICACAO_INDISPONIVEL")
        assert strong.headers["Retry-After"]
        assert balance(node.get("/contas/A?consistencia=local")) == 100
        eventually(lambda: node.get("/saude").json()["estado"] == "sem_livro", seconds=15)
        refused = node.post("/contas/A/deposito", {"valor": 1}, headers={"Idempotency-Key": "later"})
        assert (refused.status_code, refused.json()["codigo"]) == (503, "REPLICACAO_INDISPONIVEL")
        assert refused.json()["resultado"] == "nao_aplicado"
        assert refused.json()["id_operacao"] == "later"
    node.wait_ready()
    assert node.post("/contas/A/deposito", {"valor": 1}, headers={"Idempotency-Key": "later"}).status_code == 200
    assert balance(node.get("/contas/A")) == 101


def test_a_write_that_was_under_way_when_the_log_stopped_is_unknown_and_its_key_settles_it(
    node: NodeProcess, tmp_path: Path
) -> None:
    headers = {"Idempotency-Key": "k"}
    with stuck(tmp_path / "livro.sqlite"):
        unknown = node.post("/contas/A/deposito", {"valor": 1}, headers=headers)
        assert (unknown.status_code, unknown.json()["codigo"]) == (504, "RESULTADO_DESCONHECIDO")
        assert unknown.json()["resultado"] == "desconhecido"
        again = node.post("/contas/A/deposito", {"valor": 1}, headers=headers)
        assert again.json()["resultado"] == "desconhecido", "an earlier attempt at this key is not settled"
    node.wait_ready()
    for _ in range(2):
        assert balance(node.post("/contas/A/deposito", {"valor": 1}, headers=headers)) == 101
    assert balance(node.get("/contas/A")) == 101
