"""What happens when somebody unbinds the stream from its exchange: nothing counts that the stream did not take.

With nothing bound the broker returns what a node publishes. With a queue of an observer's own bound instead, it
confirms what no node will ever read; only that the record does not come back tells.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pika
import pytest

from tests.support.broker import Broker
from tests.support.cluster import Cluster, eventually, log_bodies, rabbit_names
from tests.support.customers import Customer, open_accounts, verdict

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def cluster(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that all cases share, with the customers' accounts open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMQP_URL", broker.url)
        with Cluster.running(tmp_path_factory.mktemp("binding"), 2) as cluster:
            open_accounts(cluster)
            yield cluster


@pytest.fixture
def channel(broker: Broker) -> Iterator[Any]:
    """What somebody with the broker's password may use."""
    with closing(pika.BlockingConnection(pika.URLParameters(broker.url))) as connection:
        yield connection.channel()


@pytest.fixture
def send_customers(cluster: Cluster) -> Iterator[Callable[[int], list[Customer]]]:
    """Start customers at all counters, numbered from what is handed in: a number's keys are used once."""
    sent: list[Customer] = []

    def send(first: int) -> list[Customer]:
        sent.extend(Customer(number, cluster.urls) for number in range(first, first + 3))
        for customer in sent:
            customer.start()
        await_answers(sent, 50)
        return sent

    yield send
    for customer in sent:
        customer.enough.set()


def await_answers(customers: list[Customer], count: int) -> None:
    """Wait until the customers have had this many more final answers."""

    def answers() -> int:
        return sum(told.answer is not None for customer in customers for told in list(customer.told))

    enough = answers() + count
    eventually(lambda: answers() >= enough, seconds=60)


def await_notice(cluster: Cluster, before: list[int], sentence: str) -> None:
    """Wait until some node's own log has the sentence behind what it had before."""
    nodes = list(zip(cluster.nodes, before, strict=True))
    eventually(lambda: any(sentence in node.output()[length:] for node, length in nodes), seconds=30)


def lengths(cluster: Cluster) -> list[int]:
    return [len(node.output()) for node in cluster.nodes]


def settle(cluster: Cluster, customers: list[Customer]) -> dict[str, int]:
    for customer in customers:
        customer.enough.set()
    return verdict(cluster, customers)


def test_a_binding_taken_away_is_noticed_and_made_again_and_nothing_counts_meanwhile(
    cluster: Cluster, channel: Any, send_customers: Callable[[int], list[Customer]]
) -> None:
    names = rabbit_names(cluster.data_dir)
    customers = send_customers(0)
    for _ in range(3):
        before = lengths(cluster)
        channel.queue_unbind(names["AMQP_STREAM"], names["AMQP_EXCHANGE"])
        await_notice(cluster, before, "unroutable")
        await_answers(customers, 50)
    assert settle(cluster, customers)["applied"] > 0


def test_a_confirm_for_what_only_an_observer_got_is_not_believed(
    cluster: Cluster, channel: Any, send_customers: Callable[[int], list[Customer]]
) -> None:
    names = rabbit_names(cluster.data_dir)
    customers = send_customers(10)
    observer = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(observer, names["AMQP_EXCHANGE"])
    before = lengths(cluster)
    channel.queue_unbind(names["AMQP_STREAM"], names["AMQP_EXCHANGE"])
    await_notice(cluster, before, "did not come back through the log")
    await_answers(customers, 50)
    assert settle(cluster, customers)["applied"] > 0
    stored = set(log_bodies(cluster.data_dir))
    confirmed = iter(lambda: channel.basic_get(observer, auto_ack=True)[2], None)
    lost = [json.loads(body)["operacoes"] for body in confirmed if body not in stored and body != b"end"]
    assert any(lost), "a confirm that never lied proves nothing"


def test_no_operation_is_published_again_before_the_node_has_compared_itself_with_the_log(
    cluster: Cluster, channel: Any
) -> None:
    """The first record that the repaired stream takes of a node is its marker, which holds nothing."""
    names = rabbit_names(cluster.data_dir)
    node = cluster.nodes[0]
    length = len(log_bodies(cluster.data_dir))
    before = lengths(cluster)
    channel.queue_unbind(names["AMQP_STREAM"], names["AMQP_EXCHANGE"])
    assert node.post("/contas/conta-0/deposito", {"valor": 1}).status_code == 200
    await_notice(cluster, before, "unroutable")
    records = [json.loads(body) for body in log_bodies(cluster.data_dir)[length:]]
    mine = [record["operacoes"] for record in records if record["banco"] == node.name]
    assert mine[0] == []
    assert any(mine)
