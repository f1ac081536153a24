"""Brokers cut from one another: each of three on a host of its own with a node beside it, and then joined again.

Brokers notice a cut by Erlang's ticks: with RabbitMQ's own settings after 45 to 75 s, here after some 6 to 10 s.
NET_TICKTIME=60 makes it a long run with RabbitMQ's own. The times until a write is applied again are printed.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from replication.rabbitmq import Brokers, RabbitLog
from tests.faults.test_operator_reopens import assert_unhurt
from tests.faults.test_partitions import is_without_log, running_on
from tests.support.broker import Broker, BrokerCluster
from tests.support.cluster import Cluster, NodeProcess, eventually, rabbit_names
from tests.support.network import Host, Network
from tests.support.witnesses import Witness, answers, wait_for_answers, watched
from tools.local_broker import is_installed

TICK_S = int(os.environ.get("NET_TICKTIME", "8"))
NOTICED_S = 30 + 2 * TICK_S
ALL_CUT_S = 15.0

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(420 + 10 * TICK_S)]


class Site(NamedTuple):
    """A host, the broker on it, and the node on it."""

    host: Host
    broker: Broker
    node: NodeProcess


class Country(NamedTuple):
    """Three sites, and what is asked of all of them."""

    sites: list[Site]
    brokers: BrokerCluster
    cluster: Cluster

    def cut_broker(self, site: Site) -> AbstractContextManager[None]:
        """Cut its broker from the two others; everybody still reaches every broker, and every node every node."""
        others = [other.host.address for other in self.sites if other is not site]
        open_ports = [port for other in self.sites for port in (other.broker.port, other.node.port)]
        return site.host.cut_from(others, except_ports=open_ports)

    def leading(self) -> Site:
        """Return where the log's leader is."""
        leader = self.brokers.leader_of(rabbit_names(self.cluster.data_dir)["AMQP_STREAM"])
        return next(site for site in self.sites if site.broker is leader)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, BrokerCluster]]:
    """Three hosts, and a broker on each."""
    if not is_installed():
        pytest.skip("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    assert "AMQP_URL" not in os.environ, "these tests bring their own brokers"
    folder = tmp_path_factory.mktemp("rabbitmq-sites")
    with Network.joined(3) as network:
        brokers = BrokerCluster(folder, network.hosts, [f"net_ticktime = {TICK_S}"])
        try:
            yield network, brokers
        finally:
            brokers.remove()


@pytest.fixture
def country(sites: tuple[Network, BrokerCluster], data_dir: Path) -> Iterator[Country]:
    """A node beside each broker; each node knows all three."""
    network, brokers = sites
    brokers.make_whole()
    with running_on(network.hosts, brokers.url, data_dir) as cluster:
        yield Country([*map(Site, network.hosts, brokers.brokers, cluster.nodes)], brokers, cluster)


@contextmanager
def a_follower(country: Country) -> Iterator[Site]:
    leader = country.leading()
    follower = next(site for site in country.sites if site is not leader)
    with country.cut_broker(follower):
        yield follower


@contextmanager
def the_leader(country: Country) -> Iterator[Site]:
    leader = country.leading()
    with country.cut_broker(leader):
        yield leader


@contextmanager
def a_whole_site(country: Country) -> Iterator[Site]:
    leader = country.leading()
    with leader.host.unplugged():
        yield leader


Cut = Callable[[Country], AbstractContextManager[Site]]


@pytest.mark.parametrize("cut", [a_follower, the_leader, a_whole_site])
def test_a_broker_cut_from_the_two_others_stops_and_the_bank_goes_on_with_these(
    country: Country, cut: Cut, capsys: pytest.CaptureFixture[str]
) -> None:
    with watched(country.cluster.nodes, 6) as crowd:
        for site in country.sites:
            wait_for_answers(crowd, site.node, 10)
        began = time.monotonic()
        with cut(country) as alone:
            eventually(lambda: not serves(alone), seconds=NOTICED_S, every=0.5)
            paused = time.monotonic()
            reached = [site.node for site in country.sites if cut is not a_whole_site or site is not alone]
            for node in reached:
                wait_for_answers(crowd, node, 1)
            went_on = time.monotonic()
            for node in reached:
                wait_for_answers(crowd, node, 20)
            if cut is a_whole_site:
                eventually(partial(is_without_log, alone.host, alone.node), seconds=NOTICED_S)
        healed = make_whole(country, crowd)
    assert_unhurt(country.cluster, crowd)
    with capsys.disabled():
        print(
            f"\n{cut.__name__}: it paused after {paused - began:.1f} s; {len(reached)} nodes have answered "
            f"writes after {went_on - began:.1f} s; all ready {healed:.1f} s after healing"
        )


def test_three_brokers_cut_from_one_another_answer_nothing_wrong_and_come_back(
    country: Country, capsys: pytest.CaptureFixture[str]
) -> None:
    with watched(country.cluster.nodes, 6) as crowd:
        for site in country.sites:
            wait_for_answers(crowd, site.node, 10)
        with ExitStack() as cuts:
            for site in country.sites:
                cuts.enter_context(country.cut_broker(site))
            before = answers(crowd)
            time.sleep(ALL_CUT_S)  # the length of the fault
            meanwhile = answers(crowd) - before
        healed = make_whole(country, crowd)
    assert_unhurt(country.cluster, crowd)
    with capsys.disabled():
        print(f"\nall three: {meanwhile} answered in {ALL_CUT_S} s; all ready {healed:.1f} s after healing")


def serves(site: Site) -> bool:
    """True if clients on its own host can connect to its broker."""
    return site.host.reaches(site.host.address, site.broker.port)


def make_whole(country: Country, crowd: list[Witness]) -> float:
    """Wait until every node accepts writes, and see all else come back by itself; return how long the first took."""
    began = time.monotonic()
    for site in country.sites:
        site.node.wait_ready(NOTICED_S + 60)
    ready = time.monotonic()
    for site in country.sites:
        eventually(partial(serves, site), seconds=NOTICED_S + 60)
        wait_for_answers(crowd, site.node, 10)
    names = rabbit_names(country.cluster.data_dir)
    log = RabbitLog(
        Brokers(country.brokers.url.split(",")), exchange=names["AMQP_EXCHANGE"], stream=names["AMQP_STREAM"]
    )
    with closing(log):
        eventually(lambda: log.replicas().held == len(country.sites), seconds=NOTICED_S + 60, every=0.5)
    return ready - began
