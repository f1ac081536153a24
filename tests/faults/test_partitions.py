"""Partitions: each node on a host of its own, cut from the broker alone, or from everything, and joined again."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.faults.test_joining import giver_of, take_away, write_history
from tests.faults.test_operator_reopens import assert_unhurt
from tests.support.broker import Broker
from tests.support.cluster import Cluster, NodeProcess, eventually
from tests.support.customers import open_accounts
from tests.support.network import Host, Network
from tests.support.witnesses import wait_for_answers, watched
from tools.local_broker import is_installed

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

Cut = Callable[[Host, Broker], AbstractContextManager[None]]


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts."""
    if not is_installed():
        pytest.skip("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    with Network.joined(3) as network:
        yield network


@pytest.fixture
def broker(network: Network, tmp_path: Path) -> Iterator[Broker]:
    """A broker that listens on the bridge too."""
    assert "AMQP_URL" not in os.environ, "these tests bring their own broker"
    broker = Broker(tmp_path / "rabbitmq")
    broker.configure(f"listeners.tcp.2 = {network.address}:{broker.port}", "loopback_users = none")
    try:
        yield broker.start().wait_ready()
    finally:
        broker.remove()


@pytest.fixture
def cluster(network: Network, broker: Broker, data_dir: Path) -> Iterator[Cluster]:
    """A node on each host; customers reach them over the bridge."""
    with running_on(network.hosts, f"amqp://guest:guest@{network.address}:{broker.port}/", data_dir) as cluster:
        yield cluster


@contextmanager
def running_on(hosts: Sequence[Host], amqp_url: str, data_dir: Path) -> Iterator[Cluster]:
    cluster = Cluster(data_dir, 0)
    cluster.nodes = [node_on(host, amqp_url, data_dir) for host in hosts]
    try:
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.wait_ready()
        yield cluster
    finally:
        for node in cluster.nodes:
            if node.is_running:
                node.kill()


def node_on(host: Host, amqp_url: str, data_dir: Path) -> NodeProcess:
    node = NodeProcess(data_dir, environment={"AMQP_URL": amqp_url})
    node.url = f"http://{host.address}:{node.port}"
    node.command = host.command("env", "HOST=0.0.0.0", "ALLOW_ANONYMOUS=1", f"PUBLIC_URL={node.url}", *node.command)
    return node


def is_without_log(host: Host, node: NodeProcess) -> bool:
    """Ask a node on its own host, from where no partition keeps it away, whether it has lost touch with the log."""
    health = ["curl", "--silent", "--max-time", "10", f"http://127.0.0.1:{node.port}/saude"]
    answer = subprocess.run(host.command(*health), capture_output=True, check=True).stdout
    return bool(json.loads(answer)["estado"] == "sem_livro")


@contextmanager
def from_the_broker(host: Host, broker: Broker) -> Iterator[None]:
    """Cut it from the broker, not from its peers and its customers."""
    with host.without_port(broker.port):
        yield


@contextmanager
def from_everything(host: Host, _: Broker) -> Iterator[None]:
    """Cut it from broker, peers and customers."""
    with host.unplugged():
        yield


@pytest.mark.parametrize(("cut", "reaches_peers"), [(from_the_broker, True), (from_everything, False)])
def test_a_node_that_is_cut_off_says_so_and_comes_back_and_the_others_go_on(
    network: Network, broker: Broker, cluster: Cluster, cut: Cut, *, reaches_peers: bool
) -> None:
    with watched(cluster.nodes, 6) as crowd:
        for host, alone in zip(network.hosts, cluster.nodes, strict=True):
            others = [node for node in cluster.nodes if node is not alone]
            with cut(host, broker):
                assert not host.reaches(network.address, broker.port)
                for node, other in zip(cluster.nodes, network.hosts, strict=True):
                    assert host.reaches(other.address, node.port) == (reaches_peers or node is alone)
                eventually(partial(is_without_log, host, alone), seconds=40)
                for node in others:
                    wait_for_answers(crowd, node, 20)
            alone.wait_ready(60)
            for node in cluster.nodes:
                wait_for_answers(crowd, node, 10)
    assert_unhurt(cluster, crowd)


@pytest.mark.timeout(420)
def test_a_node_that_is_cut_off_before_it_has_taken_a_copy_joins_nevertheless(network: Network, data_dir: Path) -> None:
    *givers, host = network.hosts
    with running_on(givers, "", data_dir) as cluster:
        open_accounts(cluster)
        write_history(cluster)
        late = eventually(lambda: joined_in_spite_of_a_cut(cluster, host), seconds=300)
        cluster.settled_books()
        assert not list(late.folder.glob("entrada*")), "nothing is left of the copy that it gave up"


def joined_in_spite_of_a_cut(cluster: Cluster, host: Host) -> NodeProcess | None:
    """Let a newcomer join whose cable is pulled while it takes or compares a copy; None if it was quicker."""
    late = node_on(host, "", cluster.data_dir).start()
    cluster.nodes.append(late)
    eventually(lambda: "bytes have come" in late.output(), seconds=60, every=0.001)
    giver = giver_of(cluster, late)
    assert giver is not None
    giver.send(signal.SIGSTOP)
    with host.unplugged():
        giver.send(signal.SIGCONT)
        eventually(lambda: any(words in late.output() for words in ("no copy", "state='pronto'")), seconds=120)
    late.wait_ready(120)
    return late if "no copy" in late.output() else take_away(cluster, late)
