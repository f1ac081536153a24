"""What a node does when its broker fails it: it goes on by itself, or says that the log is lost."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pika
import pytest

from bank.errors import LogUnreachable
from replication.rabbitmq import Brokers, RabbitLog
from tests.support.broker import Broker
from tests.support.cluster import Cluster, NodeProcess, eventually, rabbit_names
from tests.support.customers import crowd, open_accounts, verdict


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Iterator[Path]:
    """The folder of nodes that follow a log over RabbitMQ; the test says which broker."""
    assert "AMQP_URL" not in os.environ, "these tests bring their own brokers"
    yield data_dir
    monkeypatch.undo()


def state_of(node: NodeProcess) -> str:
    return str(node.get("/saude").json()["estado"])


def applied(customers: list, count: int) -> bool:  # type: ignore[type-arg]
    return sum(told.answer is not None for customer in customers for told in list(customer.told)) >= count


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_broker_killed_under_load_and_started_again_loses_nothing_that_was_answered(
    over: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(tmp_path / "own").start().wait_ready()
    monkeypatch.setenv("AMQP_URL", broker.url)
    try:
        with Cluster.running(over, 2) as cluster:
            open_accounts(cluster)
            customers = crowd(cluster, 4)
            eventually(lambda: applied(customers, 200), seconds=30)
            broker.kill()
            eventually(lambda: {state_of(node) for node in cluster.nodes} == {"sem_livro"}, seconds=15)
            marked = cluster.nodes[0].get("/contas/conta-0")
            assert (marked.status_code, marked.headers["X-Defasada"]) == (200, "sim")
            broker.restart()
            for node in cluster.nodes:
                node.wait_ready()
            answered = sum(len(customer.told) for customer in customers)
            eventually(lambda: applied(customers, answered + 100), seconds=30)
            for customer in customers:
                customer.enough.set()
            kinds = verdict(cluster, customers)
        assert kinds["repeated attempts"] > 0
    finally:
        broker.remove()


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_paused_broker_hangs_nobody(over: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URL", broker.url)
    with Cluster.running(over, 2) as cluster:
        node = cluster.nodes[0]
        assert node.post("/contas", {"id_conta": "A", "saldo": 100}).status_code == 201
        key = {"Idempotency-Key": "under way"}
        broker.send(signal.SIGSTOP)
        try:
            unknown = node.post("/contas/A/deposito", {"valor": 1}, headers=key, timeout=15)
            assert (unknown.status_code, unknown.json()["resultado"]) == (504, "desconhecido")
            marked = node.get("/contas/A", timeout=5)
            assert (marked.status_code, marked.json()["defasada"]) == (200, True)
        finally:
            broker.send(signal.SIGCONT)
        for other in cluster.nodes:
            other.wait_ready(60)
            answer = other.post("/contas/A/deposito", {"valor": 1}, headers=key)
            assert (answer.status_code, answer.json()["saldo"]) == (200, 101)
        cluster.settled_books()


@pytest.mark.timeout(120)
def test_a_stream_that_was_deleted_is_a_lost_log_until_all_members_are_there_and_reopen_it(
    over: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMQP_URL", broker.url)
    with Cluster.running(over, 3) as cluster:
        *pair, away = cluster.nodes
        node = pair[0]
        node.post("/contas", {"id_conta": "A", "saldo": 100})
        for _ in range(20):
            assert node.post("/contas/A/deposito", {"valor": 1}).status_code == 200
        cluster.settled_books()
        away.kill()
        broker.control("delete_queue", rabbit_names(over)["AMQP_STREAM"])
        eventually(lambda: {state_of(other) for other in pair} == {"livro_perdido"}, seconds=30)
        for other in pair:
            refused = other.post("/contas/A/deposito", {"valor": 1})
            assert (refused.status_code, refused.json()["resultado"]) == (503, "nao_aplicado")
            marked = other.get("/contas/A")
            assert (marked.json()["saldo"], marked.headers["X-Defasada"]) == (120, "sim")
        away.start()
        for other in cluster.nodes:
            other.wait_ready(60)
            assert other.get("/contas/A", params={"consistencia": "forte"}).json()["saldo"] == 120
        assert cluster.settled_books()["epoca"] == 2


@pytest.mark.timeout(120)
def test_a_second_node_of_a_name_does_not_start_and_the_first_goes_on(
    over: Path, tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMQP_URL", broker.url)
    with Cluster.running(over, 1) as cluster:
        first = cluster.nodes[0]
        twin = NodeProcess(
            tmp_path / "other-machine", environment={"NODE_NAME": first.name} | rabbit_names(over)
        ).start()  # fmt: skip
        try:
            assert twin.wait(30) == 1
            assert "runs already" in twin.output()
            assert "state='pronto'" not in twin.output()
            assert first.post("/contas", {"id_conta": "A"}).status_code == 201
        finally:
            if twin.is_running:
                twin.kill()


def test_an_exchange_of_another_kind_is_refused_with_a_sentence(broker: Broker, tmp_path: Path) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(broker.url))) as connection:
        connection.channel().exchange_declare("taken", "direct", durable=True)
    environment = {"AMQP_URL": broker.url, "AMQP_EXCHANGE": "taken", "AMQP_STREAM": "livro.taken"}
    node = NodeProcess(tmp_path, environment=environment).start()
    assert node.wait(30) == 1
    assert "Choose another exchange and stream" in node.output()


def test_a_connection_that_died_while_nothing_was_written_is_told_and_not_mended_in_silence(
    broker: Broker, tmp_path: Path
) -> None:
    names = rabbit_names(tmp_path)
    with closing(RabbitLog(Brokers([broker.url]), exchange=names["AMQP_EXCHANGE"], stream=names["AMQP_STREAM"])) as log:
        log.append(b"one")
        log.tend()
        broker.control("close_all_connections", "test")
        with pytest.raises(LogUnreachable):
            eventually(log.tend)
