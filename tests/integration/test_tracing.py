"""Every answer carries the id of its request, the log's lines name it, and a node logs changes of state only."""

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.support.cluster import Cluster, NodeProcess, eventually

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that log JSON, with the account A."""
    environments = [{"LOG_FORMAT": "json"}] * 2
    with Cluster.running(tmp_path_factory.mktemp("dados"), 2, environments=environments) as cluster:
        assert cluster.nodes[0].post("/contas", {"id_conta": "A"}).status_code == 201
        yield cluster


def lines(node: NodeProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in node.output().splitlines()]


@pytest.mark.parametrize("sent", ["r-1", "Root=1-67891233-abcdef012345678912345678", "a/b+c:d@e", "x" * 128])
def test_an_id_that_was_sent_comes_back(bank: Cluster, sent: str) -> None:
    answer = bank.nodes[0].get("/saude", headers={"X-Request-ID": sent})
    assert answer.headers["X-Request-ID"] == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "two words", 'a"b', "<script>", "a,b", "a\tb", "é"])
def test_what_is_no_id_is_ignored_and_one_is_made(bank: Cluster, sent: str | None) -> None:
    headers = {} if sent is None else {"X-Request-ID": sent.encode()}
    first, second = (bank.nodes[0].get("/saude", headers=headers) for _ in range(2))
    assert first.status_code == 200
    assert UUID7.fullmatch(first.headers["X-Request-ID"])
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


def test_errors_carry_it_too(bank: Cluster) -> None:
    node, headers = bank.nodes[0], {"X-Request-ID": "r-2"}
    answers = [
        node.get("/nowhere", headers=headers),
        node.get("/contas?limite=1&limite=2", headers=headers),
        node.get("/contas/nobody", headers=headers),
        node.get("/contas", headers=headers | {"X-Posicao-Minima": "no position"}),
        node.post("/contas/A/saque", {"valor": 10}, headers=headers),
        node.post("/contas/A", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [404, 400, 404, 400, 422, 405]
    assert [answer.headers["X-Request-ID"] for answer in answers] == ["r-2"] * 6


def test_what_the_server_refuses_carries_it_and_is_counted(bank: Cluster) -> None:
    node = bank.nodes[0]
    with closing(socket.create_connection(("127.0.0.1", node.port), timeout=10)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Request-ID: r-3\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 400 ")
    assert "\r\nx-request-id: r-3\r\n" in answer.lower()
    counted = re.search(r'duracao_seconds_count\{metodo="-",rota="-",status="400"\} (\S+)', node.get("/metrics").text)
    assert counted is not None
    assert float(counted[1]) >= 1


@contextmanager
def without_accounts(node: NodeProcess) -> Iterator[None]:
    """Let every look at a page of accounts be a defect. Nothing is applied meanwhile."""
    with closing(sqlite3.connect(node.folder / "diario.sqlite", isolation_level=None)) as db:
        [view] = db.execute("SELECT sql FROM sqlite_master WHERE name = 'accounts'").fetchone()
        db.execute("DROP VIEW accounts")
        try:
            yield
        finally:
            db.execute(view)


def test_a_defect_is_one_line_with_its_stack_and_the_id_of_the_request(bank: Cluster) -> None:
    node = bank.nodes[0]
    with without_accounts(node):
        answer = node.get("/contas", headers={"X-Request-ID": "r-4"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "r-4")
    [line] = [line for line in lines(node) if line["message"] == "request failed"]
    assert (line["level"], line["request_id"], line["path"]) == ("ERROR", "r-4", "/contas")
    assert line["error_id"] in answer.json()["detail"]
    assert line["stack"].startswith("Traceback (most recent call last):\n")
    assert "no such table: accounts" in line["stack"]


def test_a_start_is_told_in_full_and_deposits_not_at_all(bank: Cluster) -> None:
    first, second = bank.nodes
    for node in bank.nodes:
        # The last that a start tells.
        eventually(lambda node=node: "replicas counted" in node.output())
        found = lines(node)
        assert all(set(line) >= {"time", "level", "logger", "message", "node"} for line in found)
        assert {"log attached", "state changed"} <= {line["message"] for line in found}
        assert {line["node"] for line in found} == {node.name}
    before = [len(lines(node)) for node in bank.nodes]
    for _ in range(50):
        assert first.post("/contas/A/deposito", {"valor": 1}).status_code == 200
        assert second.get("/contas/A").status_code == 200
    bank.settled_books()
    new = [line for node, known in zip(bank.nodes, before, strict=True) for line in lines(node)[known:]]
    # A busy machine may make a node late, which is a change of state: told, and not once a deposit.
    assert [line for line in new if line["message"] != "state changed"] == []
    assert len(new) < 10
