"""Live events: all that is applied, once each, in order, for readers who come back; others never notice a reader."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.cluster import Cluster, NodeProcess, eventually

BEGINNING = "1-0-00000000.0"


class Stream:
    """One reader of a node's events."""

    def __init__(self, answer: requests.Response) -> None:
        """Read this answer; it has begun when `id` is set."""
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        self._blocks = self._read(answer)
        self.id = ""
        next(self._blocks)

    def _read(self, answer: requests.Response) -> Iterator[dict[str, Any] | None]:
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            field, _, value = line.partition(": ")
            if field == "id":
                self.id = value
            elif field == "data":
                yield json.loads(value)
            elif field == "" and not value and self.id:
                yield None  # the end of a block, or a heartbeat's

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next events of accounts; nodes that join are told of at any time."""
        taken: list[dict[str, Any]] = []
        while len(taken) < count:
            if (event := next(self._blocks)) is not None and "id_conta" in event:
                taken.append(event)
        return taken

    def rest(self) -> list[dict[str, Any]]:
        """Return all events until the stream ends as it should."""
        return [event for event in self._blocks if event is not None]


@contextmanager
def stream(node: NodeProcess, last: str = "") -> Iterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    with closing(node.get("/eventos", headers=headers, stream=True)) as answer:
        yield Stream(answer)


@contextmanager
def silent_reader(node: NodeProcess, last: str) -> Iterator[str]:
    """Ask for events and read nothing but the status line of the answer."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=15) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /eventos HTTP/1.1\r\nHost: banco\r\nLast-Event-ID: {last}\r\n\r\n".encode())
        yield connection.recv(12).decode()


def batch(account_id: str, count: int) -> dict[str, Any]:
    return {"operacoes": [{"op": "deposito", "id_conta": account_id, "valor": 1}] * count}


def test_what_is_done_at_one_counter_is_told_at_another_as_in_operacoes(three_nodes: Cluster) -> None:
    first, second, _ = three_nodes.nodes
    with stream(second) as reader:
        first.post("/contas", {"id_conta": "ao-vivo", "saldo": "10.50"})
        first.post("/contas", {"id_conta": "ao-vivo-2"})
        first.post("/transferencia/ao-vivo", {"conta_destino": "ao-vivo-2", "valor": "0.50"})
        first.post("/contas/ao-vivo/saque", {"valor": 11})
        told = reader.take(4)
    assert [event["op"] for event in told] == ["abertura", "abertura", "transferencia", "saque"]
    assert [event.get("codigo") for event in told] == [None, None, None, "SALDO_INSUFICIENTE"]
    for event in told:
        answered = second.get(f"/operacoes/{event['id_operacao']}").json()
        assert answered == {"sucesso": True, "mensagem": "Operação encontrada."} | event


def test_a_reader_who_comes_back_misses_nothing_and_hears_nothing_twice(three_nodes: Cluster) -> None:
    first, second, third = three_nodes.nodes
    first.post("/contas", {"id_conta": "volta"})
    with stream(first) as reader:
        last = reader.id
    first.post("/lote", batch("volta", 6))
    heard: list[dict[str, Any]] = []
    for node, count in ((first, 2), (second, 3), (third, 1)):  # the ids lie within one record
        with stream(node, last) as reader:
            heard += reader.take(count)
            last = reader.id
    assert [event["saldo"] for event in heard] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("last", ["x", "1-1", "1-1-00000000", "1-1-00000000.", "1-1-00000000.01", "0-1-00000000.1"])
def test_what_is_no_id_is_refused(three_nodes: Cluster, last: str) -> None:
    answer = three_nodes.nodes[0].get("/eventos", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["codigo"]) == (400, "REQUISICAO_INVALIDA")
    assert answer.json()["violacoes"][0]["propriedade"] == "Last-Event-ID"


def test_an_id_beyond_its_record_or_of_another_history_is_refused(three_nodes: Cluster) -> None:
    node = three_nodes.nodes[0]
    with stream(node) as reader:
        token, _, told = reader.id.partition(".")
    beyond = node.get("/eventos", headers={"Last-Event-ID": f"{token}.{int(told) + 1_000_000}"})
    assert (beyond.status_code, beyond.json()["codigo"]) == (400, "REQUISICAO_INVALIDA")
    epoch, position, chain = token.split("-")
    other = f"{epoch}-{position}-{int(chain, 16) ^ 1:08x}.{told}"
    abandoned = node.get("/eventos", headers={"Last-Event-ID": other})
    assert (abandoned.status_code, abandoned.json()["codigo"]) == (409, "POSICAO_ABANDONADA")


@pytest.fixture
def node(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[NodeProcess]:
    """A node of the test's own."""
    environment = getattr(request, "param", {})
    with Cluster.running(data_dir, 1, environments=[environment]) as cluster:
        yield cluster.nodes[0]


def test_eight_readers_who_never_read_leave_deposits_served(node: NodeProcess) -> None:
    node.post("/contas", {"id_conta": "A"})
    with ExitStack() as readers:
        for _ in range(8):
            assert readers.enter_context(silent_reader(node, BEGINNING)) == "HTTP/1.1 200"
        refused = node.get("/eventos")
        assert (refused.status_code, refused.json()["codigo"]) == (429, "SOBRECARGA")
        assert int(refused.headers["Retry-After"]) > 0
        assert [node.post("/contas/A/deposito", {"valor": 1}).status_code for _ in range(100)] == [200] * 100
    eventually(lambda: node.get("/eventos", stream=True).status_code == 200)


@pytest.mark.parametrize("node", [{"THREADS": "4"}], indirect=True, ids=["one seat"])
def test_a_reader_who_never_reads_is_given_up_long_before_it_could_block_a_thread(node: NodeProcess) -> None:
    node.post("/contas", {"id_conta": "A"})
    for _ in range(2):
        assert node.post("/lote", batch("A", 10_000)).status_code == 200
    with silent_reader(node, BEGINNING) as status:
        assert status == "HTTP/1.1 200"
        assert node.get("/eventos").status_code == 429, "its seat is taken"
        eventually(lambda: node.get("/eventos", stream=True).status_code == 200, seconds=20, every=0.2)


def test_a_node_that_stops_ends_its_streams(node: NodeProcess) -> None:
    with stream(node) as reader:
        node.post("/contas", {"id_conta": "A"})
        assert reader.take(1)[0]["op"] == "abertura"
        assert node.stop() == 0
        assert reader.rest() == [], "ended, not cut"
