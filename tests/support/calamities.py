"""Calamities: one fault of each kind for a bank on real processes, and plans of many, drawn from a seed.

Each is a context manager: the fault begins on entering, lasts as long as the block, and is mended on leaving. It does
not wait until the bank is well again, except that a broker that was killed listens again. Knows no customer.
"""

import random
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from itertools import chain, repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from replication.rabbitmq import Brokers, RabbitLog
from tests.support.broker import START_S, Broker, BrokerCluster
from tests.support.cluster import Cluster, NodeProcess, eventually, rabbit_names
from tests.support.link import Link

__all__ = ["KINDS", "LOGS", "Fault", "Scene", "kinds_of", "plan_of"]

LOGS = ("embutido", "rabbitmq", "rabbitmq-3")
SLOW_S = 0.15


class Fault(NamedTuple):
    """What is broken, and for how long."""

    kind: str
    seconds: float
    victim: int
    """Of nodes, links or brokers, whichever the kind breaks, counted round and round."""

    def __str__(self) -> str:
        return f"{self.kind:18} {self.seconds:5.2f} s  {self.victim + 1}"


class Scene:
    """Three nodes and their log, where faults happen. Over RabbitMQ each node has links of its own to the brokers."""

    def __init__(self, folder: Path, log: str) -> None:
        """Describe it; `running` starts it."""
        self.folder = folder
        self._log = log
        self._brokers: BrokerCluster | None = None
        self.brokers: Sequence[Broker] = ()
        self.links: list[list[Link]] = []
        self.cluster: Cluster

    @contextmanager
    def running(self) -> "Iterator[Scene]":
        """Start everything, wait until all nodes are ready, and end everything."""
        with ExitStack() as rest:
            self._start_brokers(rest)
            self.links = [[Link(broker.port) for broker in self.brokers] for _ in range(3)]
            for link in chain(*self.links):
                rest.callback(link.close)
            environments = [{"AMQP_URL": ",".join(link.url for link in links)} for links in self.links]
            nodes = Cluster.running(self.folder / "dados", 3, output_dir=self.folder, environments=environments)
            self.cluster = rest.enter_context(nodes)
            yield self

    def _start_brokers(self, rest: ExitStack) -> None:
        folder = self.folder / "rabbitmq"
        if self._log == "rabbitmq-3":
            self._brokers = BrokerCluster(folder)
            rest.callback(self._brokers.remove)
            self.brokers = self._brokers.brokers
        elif self._log == "rabbitmq":
            self.brokers = [Broker(folder)]
            rest.callback(self.brokers[0].remove)
            self.brokers[0].start().wait_ready()

    @property
    def nodes(self) -> list[NodeProcess]:
        """The three nodes."""
        return self.cluster.nodes

    def leader(self) -> int:
        """Return which broker leads the stream that the nodes share."""
        assert self._brokers is not None
        return self.brokers.index(self._brokers.leader_of(self._names["AMQP_STREAM"]))

    def make_whole(self) -> None:
        """Wait until all nodes accept writes, and all brokers hold the log again: then the next fault is alone."""
        if self.brokers:
            eventually(self._is_whole, seconds=START_S, every=0.5)
        for node in self.nodes:
            node.wait_ready(START_S)

    def _is_whole(self) -> bool:
        """True if each broker lets the nodes' stream be read. It goes to the brokers themselves, past all links."""
        brokers = Brokers([broker.url for broker in self.brokers])
        log = RabbitLog(brokers, exchange=self._names["AMQP_EXCHANGE"], stream=self._names["AMQP_STREAM"])
        with closing(log):
            return log.replicas().held == len(self.brokers)

    @property
    def _names(self) -> dict[str, str]:
        return rabbit_names(self.cluster.data_dir)


def _chosen(victims: Sequence[Any], fault: Fault) -> list[Any]:
    return list(victims) if fault.kind.startswith("all ") else [victims[fault.victim % len(victims)]]


@contextmanager
def _killed_nodes(scene: Scene, fault: Fault) -> Iterator[None]:
    victims = _chosen(scene.nodes, fault)
    for node in victims:
        node.send(signal.SIGKILL)
    for node in victims:
        node.wait()
    yield
    for node in victims:
        node.start()


@contextmanager
def _stopped_node(scene: Scene, fault: Fault) -> Iterator[None]:
    node = scene.nodes[fault.victim]
    status = node.stop()
    assert status == 0, f"{node.name} was asked to end, and its exit status is {status}"
    yield
    node.start()


@contextmanager
def _paused(victims: Sequence[NodeProcess | Broker]) -> Iterator[None]:
    for victim in victims:
        victim.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for victim in victims:
            victim.send(signal.SIGCONT)


@contextmanager
def _killed_brokers(victims: Sequence[Broker]) -> Iterator[None]:
    for broker in victims:
        broker.send(signal.SIGKILL)
    for broker in victims:
        broker.kill()
    yield
    for broker in victims:
        broker.start()
    eventually(lambda: all(broker.is_listening for broker in victims), seconds=START_S)


@contextmanager
def _links(links: Sequence[Link], change: Callable[[Link], None]) -> Iterator[None]:
    for link in links:
        change(link)
    try:
        yield
    finally:
        for link in links:
            link.delay_s = 0.0
            link.mend()


def _slow(link: Link) -> None:
    link.delay_s = SLOW_S


KINDS: Mapping[str, Callable[[Scene, Fault], AbstractContextManager[None]]] = MappingProxyType(
    {
        "node killed": _killed_nodes,
        "node paused": lambda scene, fault: _paused(_chosen(scene.nodes, fault)),
        "node stopped": _stopped_node,
        "all nodes killed": _killed_nodes,
        "all nodes paused": lambda scene, fault: _paused(scene.nodes),
        "broker killed": lambda scene, fault: _killed_brokers(_chosen(scene.brokers, fault)),
        "broker paused": lambda scene, fault: _paused(_chosen(scene.brokers, fault)),
        "link slow": lambda scene, fault: _links(scene.links[fault.victim], _slow),
        "link stalled": lambda scene, fault: _links(scene.links[fault.victim], Link.stall),
        "link cut": lambda scene, fault: _links(scene.links[fault.victim], Link.cut),
        "link mute": lambda scene, fault: _links(scene.links[fault.victim], Link.mute),
        "link deaf": lambda scene, fault: _links(scene.links[fault.victim], Link.deafen),
        "all links cut": lambda scene, fault: _links([*chain(*scene.links)], Link.cut),
        "leader killed": lambda scene, fault: _killed_brokers([scene.brokers[scene.leader()]]),
        "leader paused": lambda scene, fault: _paused([scene.brokers[scene.leader()]]),
        "all brokers killed": lambda scene, fault: _killed_brokers(scene.brokers),
    }
)


def kinds_of(log: str) -> list[str]:
    """Return the kinds of fault that there are over this log."""
    kinds = list(KINDS)
    ends = {"embutido": kinds.index("broker killed"), "rabbitmq": kinds.index("leader killed"), "rabbitmq-3": None}
    return kinds[: ends[log]]


def plan_of(seed: int, kinds: Sequence[str], count: int, longest_s: float) -> list[Fault]:
    """Draw that many faults, of each kind as often as of any other. Pauses and cuts last 1 s to the longest."""
    draw = random.Random(f"storm {seed}")
    chosen: list[str] = []
    for rest in repeat(len(kinds)):
        if len(chosen) >= count:
            break
        chosen += draw.sample(list(kinds), rest)
    return [Fault(kind, round(_seconds(draw, kind, longest_s), 2), draw.randrange(3)) for kind in chosen[:count]]


def _seconds(draw: random.Random, kind: str, longest_s: float) -> float:
    return draw.uniform(0, 1) if kind.endswith(("killed", "stopped")) else draw.uniform(1, longest_s)
