"""A user of the broker for each bank, as deploy/rabbitmq/definitions.sh makes them: enough to work, and not more."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pika
import pytest
import requests
from pika.exceptions import AMQPError

from replication.rabbitmq import Brokers, close
from tests.support.broker import Broker
from tests.support.cluster import ROOT, Cluster, eventually, free_port
from tools.local_broker import is_installed

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

LOG, STREAM, PRESENCE = "banco.operacoes", "banco.livro", "banco.operacoes.presenca"


class Guarded(NamedTuple):
    """A broker that knows two banks, and the page of its own for people."""

    broker: Broker
    page: str

    def url(self, bank: int) -> str:
        """Return what AMQP_URL is for a bank."""
        return self.broker.url.replace("guest:guest", f"banco-{bank}:word-{bank}")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    if not is_installed():
        if os.environ.get("CI"):
            pytest.fail("RabbitMQ is not installed (Debian's package rabbitmq-server)")
        pytest.skip("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    broker, port = Broker(tmp_path_factory.mktemp("rabbitmq-users"), "guarded"), free_port()
    (broker.folder / "plugins").write_text("[rabbitmq_management].", encoding="ascii")
    with (broker.folder / "rabbitmq.conf").open("a", encoding="ascii") as configuration:
        configuration.write(f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {port}\n")
    try:
        broker.start().wait_ready()
        definitions = broker.folder / "definitions.json"
        definitions.write_text(definitions_for(BANCO_1_PASS="word-1", BANCO_2_PASS="word-2"), encoding="ascii")
        broker.control("import_definitions", str(definitions))
        yield Guarded(broker, f"http://127.0.0.1:{port}/api/overview")
    finally:
        broker.remove()


def definitions_for(**passwords: str) -> str:
    """Return what the script prints."""
    script = ["sh", str(ROOT / "deploy/rabbitmq/definitions.sh")]
    return subprocess.run(script, env=passwords, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.fixture(scope="module")
def cluster(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two banks, each with a user of its own."""
    names = {"AMQP_EXCHANGE": LOG, "AMQP_STREAM": STREAM}
    environments = [names | {"AMQP_URL": guarded.url(bank)} for bank in (1, 2)]
    with Cluster.running(tmp_path_factory.mktemp("dados"), 2, environments=environments) as cluster:
        yield cluster


def test_banks_work_with_no_more_than_they_may(cluster: Cluster) -> None:
    first, second = cluster.nodes
    assert first.post("/contas", {"id_conta": "A", "saldo": 100}).status_code == 201
    assert first.post("/contas/A/deposito", {"valor": 1}).json()["saldo"] == 101
    assert second.get("/contas/A").json()["saldo"] == 101
    assert {one["nome"] for one in second.get("/cluster").json()["nos"]} == {first.name, second.name}, "presence too"
    assert second.get("/cluster").json()["livro"]["estado"] == "conectado"
    cluster.settled_books()


@pytest.fixture
def stolen(guarded: Guarded) -> Iterator[Any]:
    """What a stolen bank has at the broker."""
    connection = pika.BlockingConnection(pika.URLParameters(guarded.url(1)))
    yield connection.channel()
    close(connection)


def bind_a_queue_to_the_log(channel: Any) -> None:
    channel.queue_bind(channel.queue_declare("", exclusive=True).method.queue, LOG)


def publish_to(exchange: str, key: str) -> Callable[[Any], None]:
    def publish(channel: Any) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}")

    return publish


REFUSED: dict[str, Callable[[Any], Any]] = {
    "delete the stream": lambda channel: channel.queue_delete(STREAM),
    "purge the stream": lambda channel: channel.queue_purge(STREAM),
    "delete the log's exchange": lambda channel: channel.exchange_delete(LOG),
    "delete the exchange of presence": lambda channel: channel.exchange_delete(PRESENCE),
    "take the stream off its exchange": lambda channel: channel.queue_unbind(STREAM, LOG),
    "bind the stream to another exchange": lambda channel: channel.queue_bind(STREAM, PRESENCE),
    "bind another queue to the log's exchange": bind_a_queue_to_the_log,
    "bind another exchange to the log's": lambda channel: channel.exchange_bind(PRESENCE, LOG),
    "declare a queue": lambda channel: channel.queue_declare("mine"),
    "declare a queue under a broker's name": lambda channel: channel.queue_declare("amq.gen-mine"),
    "declare an exchange": lambda channel: channel.exchange_declare("mine", "fanout"),
    "declare the stream anew": lambda channel: channel.queue_declare(STREAM, durable=True),
    "publish to the default exchange": publish_to("", STREAM),
    "publish to a broker's own exchange": publish_to("amq.fanout", ""),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_banks_user_cannot(stolen: Any, cluster: Cluster, what: str) -> None:
    said = "NOT_IMPLEMENTED" if what == "purge the stream" else "ACCESS_REFUSED"  # streams know no purge
    with pytest.raises(AMQPError, match=said):
        REFUSED[what](stolen)
    cluster.settled_books()
    assert cluster.nodes[0].get("/saude/pronto").status_code == 200


@pytest.mark.parametrize("touch", ["queue_delete", "queue_purge"])
def test_a_banks_user_cannot_touch_the_queue_of_anothers_presence(guarded: Guarded, stolen: Any, touch: str) -> None:
    names = guarded.broker.control("list_queues", "--silent", "name").split()
    others = [name for name in names if name != STREAM]
    assert others, "a check that saw nothing proves nothing"
    with pytest.raises(AMQPError, match="RESOURCE_LOCKED"):
        getattr(stolen, touch)(others[0])


def test_what_a_banks_user_still_can_fills_the_log_and_changes_no_books(
    guarded: Guarded, stolen: Any, cluster: Cluster
) -> None:
    first = cluster.nodes[0]
    books = cluster.settled_books()
    stolen.exchange_bind(LOG, PRESENCE)  # heartbeats run into the log
    publish_to(LOG, "")(stolen)
    eventually(lambda: first.get("/saude").json()["detalhes"]["registros_ignorados"] >= 5)
    assert cluster.settled_books() == books
    assert first.get("/saude/pronto").status_code == 200
    with Brokers([guarded.broker.url]).connection() as connection, closing(connection):
        connection.channel().exchange_unbind(LOG, PRESENCE)


def test_a_banks_user_reads_nothing_of_the_brokers_page(guarded: Guarded) -> None:
    assert requests.get(guarded.page, auth=("guest", "guest"), timeout=20).status_code == 200
    assert requests.get(guarded.page, auth=("banco-1", "word-1"), timeout=20).status_code == 401


def test_a_bank_without_a_password_gets_no_user_and_a_password_that_is_no_word_is_refused() -> None:
    assert "banco-2" not in definitions_for(BANCO_1_PASS="word")
    for passwords in ({}, {"BANCO_1_PASS": 'a", "tags": "administrator'}):
        with pytest.raises(subprocess.CalledProcessError):
            definitions_for(**passwords)


def test_the_document_tells_the_permissions_that_are_given() -> None:
    told = (ROOT / "docs/SECURITY.md").read_text(encoding="utf-8").replace("\\|", "|")
    given = json.loads(definitions_for(BANCO_1_PASS="word"))["permissions"][0]
    assert [kind for kind in ("configure", "write", "read") if f"| {kind} | `{given[kind]}` |" not in told] == []


def test_a_stream_that_was_deleted_is_back_when_its_operator_made_it_anew(guarded: Guarded, cluster: Cluster) -> None:
    first = cluster.nodes[0]
    books = cluster.settled_books()
    with Brokers([guarded.broker.url]).connection() as connection, closing(connection):
        connection.channel().queue_delete(STREAM)
    eventually(lambda: first.get("/saude").json()["estado"] == "sem_livro", seconds=20)
    guarded.broker.control("import_definitions", str(guarded.broker.folder / "definitions.json"))
    for node in cluster.nodes:
        node.wait_ready(60)
    again = cluster.settled_books()
    assert (again["contas"], again["soma_saldos"]) == (books["contas"], books["soma_saldos"])
    assert again["epoca"] == books["epoca"] + 1
