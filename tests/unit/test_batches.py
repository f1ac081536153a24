"""What a batch asks for, as its shapes read it, and what a node without room says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from api import create_app
from bank.config import Config
from bank.errors import NotAccepted, NotReady, OutcomeUnknown
from bank.operations import Batch, Deposit
from bank.routes.batches import _what_is_wrong
from bank.runtime import Runtime, open_runtime


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Runtime]:
    """A node that is never started."""
    runtime = open_runtime(Config(node_name="banco-1", data_dir=tmp_path), on_end=lambda _: None)
    yield runtime
    runtime.stop()


@pytest.mark.parametrize(
    ("said", "place", "reason"),
    [
        ("Object missing required field `valor` - at `$.operacoes[3]`", "operacoes[3].valor", "é obrigatório"),
        ("Object missing required field `operacoes`", "operacoes", "é obrigatório"),
        ("Object contains unknown field `x` - at `$.operacoes[3]`", "operacoes[3].x", "é desconhecido"),
        ("Expected `array` of length <= 10000 - at `$.operacoes`", "operacoes", "deve ser uma lista de 1 a 10000"),
        ("Expected `object`, got `int` - at `$.operacoes[3]`", "operacoes[3]", "não tem a forma esperada"),
        ("Expected `object`, got `array`", "corpo", "não tem a forma esperada"),
    ],
)
def test_what_msgspec_says_is_told_in_portuguese(said: str, place: str, reason: str) -> None:
    told = _what_is_wrong(said)
    assert told[0] == place
    assert told[1].startswith(reason)


def test_a_batch_is_not_let_in_before_every_node_can_read_it(node: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.desk.condition_of", lambda *_, **__: type("Fine", (), {"refusal": None, "state": ""}))
    with pytest.raises(NotReady, match="record version"):
        node._desk.submit([Deposit("d", "A", 1), Batch("b", (Deposit("0", "A", 1),))])
    assert node._desk.node.queued == 0


@pytest.fixture
def app(node: Runtime, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Its application; the node's queue is full but for two operations."""
    monkeypatch.setattr("bank.desk.condition_of", lambda *_, **__: type("Fine", (), {"refusal": None, "state": ""}))
    monkeypatch.setattr("bank.runtime.outcomes_of", lambda asked, _: [NotAccepted("") for _ in asked.waiters])
    node._desk.node._queue_max = 2
    return create_app(node)


def test_a_batch_that_finds_no_room_is_refused_whole_and_one_that_does_is_told_each(app: Flask, node: Runtime) -> None:
    deposit = {"op": "deposito", "id_conta": "A", "valor": 1}
    full = app.test_client().post("/lote", json={"operacoes": [deposit] * 3})
    assert (full.status_code, full.json["codigo"], full.json["resultado"]) == (429, "SOBRECARGA", "nao_aplicado")
    assert full.headers["Retry-After"] == "1"
    assert node._desk.node.queued == 0
    given_up = app.test_client().post("/lote", json={"operacoes": [deposit] * 2}, headers={"Idempotency-Key": "k"})
    assert [
        (result["id_operacao"], result["resultado"], result["status"]) for result in given_up.json["resultados"]
    ] == [
        ("k/0", "nao_aplicado", 503),
        ("k/1", "nao_aplicado", 503),
    ]


def test_what_is_not_known_in_time_is_said_with_its_id(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.runtime.outcomes_of", lambda asked, _: [OutcomeUnknown("") for _ in asked.waiters])
    deposit = {"op": "deposito", "id_conta": "A", "valor": 1, "id": "mine"}
    answer = app.test_client().post("/lote", json={"operacoes": [deposit]})
    [result] = answer.json["resultados"]
    assert (result["resultado"], result["codigo"], result["id_operacao"]) == (
        "desconhecido",
        "RESULTADO_DESCONHECIDO",
        "mine",
    )
    assert "1 de resultado desconhecido" in answer.json["mensagem"]
