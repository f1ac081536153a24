"""What the bank does when brokers of its three fail it: all that was answered is kept, and nothing counts twice.

The times until a write is applied again are printed.
"""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.broker import START_S, Broker, BrokerCluster
from tests.support.cluster import Cluster, NodeProcess, eventually, rabbit_names
from tests.support.customers import Customer, crowd, open_accounts, verdict

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PAUSE_S = 20.0


@pytest.fixture
def brokers(broker_cluster: BrokerCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerCluster]:
    """Three brokers, whole before the test and whole after it."""
    broker_cluster.make_whole()
    monkeypatch.setenv("AMQP_URL", broker_cluster.url)
    yield broker_cluster
    broker_cluster.make_whole()


@pytest.fixture
def cluster(brokers: BrokerCluster, data_dir: Path) -> Iterator[Cluster]:
    """Three nodes over them."""
    with Cluster.running(data_dir, 3) as cluster:
        yield cluster


@pytest.fixture
def customers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Customer]]:
    """Customers whose requests are being applied, and who wait as long as three brokers may take to start."""
    monkeypatch.setattr("tests.support.customers.PATIENCE_S", 2 * START_S)
    open_accounts(cluster)
    customers = crowd(cluster, 4)
    eventually(lambda: applied(customers) >= 200, seconds=60)
    yield customers
    for customer in customers:
        customer.enough.set()


def applied(customers: list[Customer]) -> int:
    """Return how many requests were answered as applied, here and now."""
    answers = [told.answer for customer in customers for told in list(customer.told)]
    return sum(
        answer is not None and answer.status_code == 200 and "Idempotency-Replayed" not in answer.headers
        for answer in answers
    )


def state_of(node: NodeProcess) -> str:
    return str(node.get("/saude").json()["estado"])


def leader(brokers: BrokerCluster, cluster: Cluster) -> Broker:
    return brokers.leader_of(rabbit_names(cluster.data_dir)["AMQP_STREAM"])


def moment(event: Callable[[], bool], *, seconds: float) -> float:
    """Wait for the event; return when it was noticed."""
    eventually(event, seconds=seconds)
    return time.monotonic()


def moment_of_new_writes(customers: list[Customer], before: int) -> float:
    """Return when a request was applied that was not yet under way when `before` had been applied."""
    return moment(lambda: applied(customers) > before + len(customers), seconds=60)


def finish(cluster: Cluster, customers: list[Customer]) -> dict[str, int]:
    """Let the customers send on for a while, to nodes that all accept writes; then hear the verdict."""
    before = applied(customers)
    eventually(lambda: applied(customers) >= before + 200, seconds=60)
    for node in cluster.nodes:
        node.wait_ready()
    for customer in customers:
        customer.enough.set()
    return verdict(cluster, customers)


def test_the_leader_killed_under_load_loses_nothing(
    brokers: BrokerCluster, cluster: Cluster, customers: list[Customer], capsys: pytest.CaptureFixture[str]
) -> None:
    victim = leader(brokers, cluster)
    victim.kill()
    began, before = time.monotonic(), applied(customers)
    back = moment_of_new_writes(customers, before)
    kinds = finish(cluster, customers)
    assert not victim.is_running
    assert kinds["applied"] > 400
    with capsys.disabled():
        print(f"\nleader killed: applied again after {back - began:.2f} s; {kinds}")


def test_all_brokers_killed_under_load_and_started_again_lose_nothing_that_was_answered(
    brokers: BrokerCluster, cluster: Cluster, customers: list[Customer], capsys: pytest.CaptureFixture[str]
) -> None:
    brokers.kill()
    eventually(lambda: {state_of(node) for node in cluster.nodes} == {"sem_livro"}, seconds=20)
    before, began = applied(customers), time.monotonic()
    brokers.start()
    listening = moment(lambda: all(broker.is_listening for broker in brokers.brokers), seconds=START_S)
    back = moment_of_new_writes(customers, before)
    kinds = finish(cluster, customers)
    assert kinds["repeated attempts"] > 0
    with capsys.disabled():
        print(
            f"\nall killed: listening again {listening - began:.2f} s after their start, "
            f"applied again {back - listening:.2f} s later; {kinds}"
        )


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_broker_paused_under_load_and_continued_loses_nothing(
    brokers: BrokerCluster, cluster: Cluster, customers: list[Customer], which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leading = leader(brokers, cluster)
    victim = leading if which == "leader" else next(broker for broker in brokers.brokers if broker is not leading)
    began = applied(customers)
    victim.send(signal.SIGSTOP)
    time.sleep(PAUSE_S)  # the length of the fault
    before, continued = applied(customers), time.monotonic()
    victim.send(signal.SIGCONT)
    back = moment_of_new_writes(customers, before)
    kinds = finish(cluster, customers)
    assert kinds["applied"] > 400
    with capsys.disabled():
        print(
            f"\n{which} paused: {before - began} applied meanwhile, "
            f"applied again {back - continued:.2f} s after it went on; {kinds}"
        )
