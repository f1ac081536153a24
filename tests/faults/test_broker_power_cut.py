"""A broker's power is cut: a stream never fsyncs, so its end is gone, and with it what nodes had answered.

The broker's folder lies on a disk whose power can be cut; the nodes and their journals live elsewhere. Nobody writes
over what was lost, and nobody makes a second history of it (`test_forked_log_...`), in whatever order nodes come back.
"""

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from bank.entries import pack_id
from bank.errors import LogUnreachable
from tests.faults.test_lost_log import answered, epochs, finish
from tests.support.broker import Broker
from tests.support.cluster import Cluster, NodeProcess, eventually, log_bodies
from tests.support.customers import crowd, open_accounts
from tests.support.disk import Disk, cut_power, save
from tests.support.link import Link
from tools.local_broker import is_installed

pytestmark = pytest.mark.long

HEAD, TAIL = 10, 6
"""Deposits that reach the disk, and deposits that the cut takes."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk whose power can be cut."""
    if not is_installed():
        pytest.skip("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    with Disk.mounted(tmp_path) as disk:
        yield disk


@pytest.fixture
def own_broker(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """A broker on that disk."""
    assert "AMQP_URL" not in os.environ, "these tests bring their own brokers"
    broker = Broker(disk.place)
    monkeypatch.setenv("AMQP_URL", broker.url)
    try:
        yield broker.start().wait_ready()
    finally:
        broker.remove()


def state_of(node: NodeProcess) -> str:
    return str(node.get("/saude").json()["estado"])


def deposit(node: NodeProcess, key: str) -> requests.Response:
    return node.post("/contas/A/deposito", {"valor": 1}, headers={"Idempotency-Key": key})


def open_account(node: NodeProcess) -> None:
    eventually(lambda: node.post("/contas", {"id_conta": "A"}).status_code in {201, 409})


def deposit_all(node: NodeProcess, keys: list[str]) -> None:
    """Have these deposits applied and answered."""
    for key in keys:
        eventually(partial(is_applied, node, key))


def is_applied(node: NodeProcess, key: str) -> bool:
    return deposit(node, key).status_code == 200


def written(data_dir: Path) -> list[bytes]:
    """Return the records of the log's first epoch that hold operations; the others leave nothing anywhere."""
    bodies = eventually(lambda: readable(data_dir), seconds=30)
    return [body for body in bodies if (record := json.loads(body))["operacoes"] and record["epoca"] == 1]


def readable(data_dir: Path) -> list[bytes] | None:
    with suppress(LogUnreachable):  # a broker that has just started does not know its streams yet
        return log_bodies(data_dir)
    return None


class Row(NamedTuple):
    """What a journal says of one position of one epoch."""

    epoch: int
    position: int
    chain: bytes


def history(node: NodeProcess) -> set[Row]:
    """Return the records of a node's journal."""
    return {Row(*row) for row in select(node, "SELECT epoch, position, chain FROM records")}


def select(node: NodeProcess, query: str) -> list[tuple]:  # type: ignore[type-arg]
    uri = f"{(node.folder / 'diario.sqlite').resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return db.execute(query).fetchall()


def assert_one_history(cluster: Cluster, answered: dict[NodeProcess, list[str]]) -> None:
    """Wait until all nodes are well again, stop them, and compare their journals, and what they had answered."""
    for node in cluster.nodes:
        node.wait_ready(60)
    cluster.settled_books()
    for node in cluster.nodes:
        node.kill()
    for one, other in combinations(cluster.nodes, 2):
        mine, theirs = history(one), history(other)
        forks = {row[:2] for row in mine - theirs} & {row[:2] for row in theirs - mine}
        assert not forks, f"{one.name} and {other.name} hold different records at {sorted(forks)}"
    for node, keys in answered.items():
        applied = {row[0] for row in select(node, "SELECT operation_id FROM entries WHERE reason IS NULL")}
        assert {pack_id(key) for key in keys} <= applied, f"{node.name} lost what it had answered"


def assert_the_loss_is_known(node: NodeProcess, balance: int) -> None:
    """The node says that the log was lost and why, accepts nothing, and serves what it has, marked."""
    health = node.get("/saude").json()
    assert (health["estado"], health["pronto"]) == ("livro_perdido", False)
    assert any("lost" in reason or "cut" in reason for reason in health["motivos"]), health["motivos"]
    refused = deposit(node, f"refused by {node.name}")
    assert (refused.status_code, refused.json()["resultado"]) == (503, "nao_aplicado")
    marked = node.get("/contas/A")
    assert (marked.status_code, marked.json()["saldo"], marked.headers["X-Defasada"]) == (200, balance, "sim")


@pytest.mark.timeout(240)
def test_nodes_whose_history_is_past_the_end_of_the_log_stop_and_overwrite_nothing(
    disk: Disk, own_broker: Broker, data_dir: Path
) -> None:
    """A third node is away: with all members there the two others would not stay as they are."""
    with Cluster.running(data_dir, 3) as cluster:
        *pair, away = cluster.nodes
        answered: dict[NodeProcess, list[str]] = {node: [] for node in pair}
        open_account(pair[0])
        for number in range(HEAD + TAIL):
            if number == HEAD:
                cluster.settled_books()
                away.kill()
                save(disk, own_broker)
                head = written(data_dir)
            node = pair[number % 2]
            answered[node].append(f"deposit {number}")
            deposit_all(node, answered[node][-1:])
        whole = written(data_dir)
        cut_power(disk, own_broker)
        own_broker.restart()
        left = written(data_dir)
        assert left == head, "the cut takes the end and nothing else"
        assert len(left) == len(whole) - TAIL
        # What the nodes do about it; everything above is only how it came to be.
        eventually(lambda: {state_of(node) for node in pair} == {"livro_perdido"}, seconds=60)
        before = [history(node) for node in pair]
        for node in pair:
            assert_the_loss_is_known(node, balance=HEAD + TAIL)
        assert written(data_dir) == left
        assert [history(node) for node in pair] == before
        away.start()
        assert_one_history(cluster, answered)
        assert all(old <= history(node) for node, old in zip(pair, before, strict=True))


@pytest.mark.timeout(240)
def test_with_all_nodes_alive_the_bank_is_back_by_itself_with_every_answer_that_was_given(
    disk: Disk, own_broker: Broker, data_dir: Path
) -> None:
    with Cluster.running(data_dir, 3) as cluster:
        open_accounts(cluster)
        customers = crowd(cluster, 4)
        eventually(lambda: answered(customers) > 50, seconds=60)
        save(disk, own_broker)
        enough = answered(customers) + 50
        eventually(lambda: answered(customers) > enough, seconds=60)
        cut_power(disk, own_broker)
        own_broker.restart()
        eventually(lambda: epochs(cluster.nodes) == {2}, seconds=60)
        finish(cluster, customers)


@pytest.fixture
def links(own_broker: Broker) -> Iterator[list[Link]]:
    """A link to the broker for each of two nodes."""
    links = [Link(own_broker.port) for _ in range(2)]
    yield links
    for link in links:
        link.close()


@pytest.fixture
def cluster(links: list[Link], data_dir: Path) -> Iterator[Cluster]:
    """Two nodes, each at the end of its own link."""
    cluster = Cluster(data_dir, 0)
    cluster.nodes = [NodeProcess(data_dir, environment={"AMQP_URL": link.url}) for link in links]
    with with_a_head(cluster):
        yield cluster


@contextmanager
def with_a_head(cluster: Cluster) -> Iterator[None]:
    """Start the nodes and make deposits that all of them have; kill what is left of them at the end."""
    try:
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.wait_ready()
        open_account(cluster.nodes[0])
        deposit_all(cluster.nodes[0], [f"head {number}" for number in range(HEAD)])
        cluster.settled_books()
        yield
    finally:
        for node in cluster.nodes:
            if node.is_running:
                node.kill()


LOST = ["lost 1", "lost 2"]
"""What one node applied and answered, and the other never heard of."""


def lose_two_records(disk: Disk, broker: Broker, links: list[Link], cluster: Cluster) -> list[bytes]:
    """Let the first node go on by LOST while the second stands still, and the power fail; return what the log has left.

    The broker is up again, both links are cut, and the second node goes on: it has noticed nothing.
    """
    (ahead, behind), (to_ahead, to_behind) = cluster.nodes, links
    save(disk, broker)
    to_behind.cut()  # what the broker sends would wait in the paused process's socket otherwise
    behind.send(signal.SIGSTOP)
    deposit_all(ahead, LOST)
    to_ahead.cut()
    cut_power(disk, broker)
    broker.restart()
    left = written(cluster.data_dir)
    behind.send(signal.SIGCONT)
    return left


def assert_nothing_was_forked(cluster: Cluster, left: list[bytes], answered: list[str]) -> None:
    """Both nodes know of the loss, the one by its own history and the other by its peer's, and nobody wrote on.

    `answered` are the operations that the second node answered as applied, before or after the log was reopened.
    """
    ahead, behind = cluster.nodes
    eventually(lambda: has_stopped(ahead) and has_stopped(behind), seconds=60)
    assert written(cluster.data_dir) == left, "an operation was written where another one stood"
    assert "divergente" not in behind.output(), "who lags behind a lost log contradicts nobody"
    assert_one_history(cluster, {ahead: LOST, behind: answered})


def has_stopped(node: NodeProcess) -> bool:
    return any(f"state='{state}'" in node.output() for state in ("livro_perdido", "divergente"))


@pytest.mark.timeout(180)
def test_forked_log_what_waits_at_a_node_is_not_written_before_the_node_has_attached_anew(
    disk: Disk, own_broker: Broker, links: list[Link], cluster: Cluster
) -> None:
    (_, behind), (to_ahead, to_behind) = cluster.nodes, links
    left = lose_two_records(disk, own_broker, links, cluster)
    with unconfirmed(behind) as answered:
        to_behind.delay_s = 0.05
        to_behind.mend()
        eventually(lambda: state_of(behind) == "iniciando", seconds=30)
        to_ahead.mend()
    assert_nothing_was_forked(cluster, left, answered)


@contextmanager
def unconfirmed(node: NodeProcess) -> Iterator[list[str]]:
    """Have operations under way at a node whose broker is silent, and one waiting; yield the keys of those applied.

    They are known when the context ends.
    """
    asked: dict[str, Future[bool]] = {}
    answered: list[str] = []
    with ThreadPoolExecutor(32) as customers:

        def one_waits() -> bool:
            key = f"unconfirmed {len(asked)}"
            asked[key] = customers.submit(is_applied, node, key)
            health = node.get("/saude").json()
            return bool(health["estado"] != "pronto" or health["detalhes"]["operacoes_na_fila"])

        eventually(one_waits, every=0.1)
        yield answered
    answered += [key for key, future in asked.items() if future.result()]


@pytest.mark.timeout(180)
def test_forked_log_what_a_node_hears_while_it_attaches_is_not_forgotten(
    disk: Disk, own_broker: Broker, links: list[Link], cluster: Cluster
) -> None:
    """The log still has to prove what was heard of the other before; meanwhile the other says that it is further on."""
    (_, behind), (to_ahead, to_behind) = cluster.nodes, links
    left = lose_two_records(disk, own_broker, links, cluster)
    with unconfirmed(behind) as answered:
        to_behind.delay_s = 0.1
        accepted = to_behind.accepted
        to_behind.mend()
        # For its heartbeats, for both readers, and, once it attaches, for its marker.
        eventually(lambda: to_behind.accepted >= accepted + 4, seconds=30)
        to_ahead.mend()
    assert_nothing_was_forked(cluster, left, answered)


@pytest.mark.timeout(180)
def test_forked_log_a_node_that_lags_writes_nothing_before_it_knows_that_the_log_has_what_the_others_have(
    disk: Disk, own_broker: Broker, links: list[Link], cluster: Cluster
) -> None:
    """Its customers repeat their requests, and the broker is far: there is time between hearing and knowing."""
    (_, behind), (to_ahead, to_behind) = cluster.nodes, links
    left = lose_two_records(disk, own_broker, links, cluster)
    to_behind.delay_s = 0.05
    to_behind.mend()
    eventually(lambda: state_of(behind) == "iniciando", seconds=60)
    with repeated(behind, customers=4) as answered:
        to_ahead.mend()
        eventually(lambda: has_stopped(behind), seconds=30)
    assert_nothing_was_forked(cluster, left, answered)


@contextmanager
def repeated(node: NodeProcess, *, customers: int) -> Iterator[list[str]]:
    """Let customers repeat one request each until it is answered as applied; yield the keys of those that were."""
    answered: list[str] = []
    enough = threading.Event()

    def repeat(key: str) -> None:
        while not enough.is_set() and key not in answered:
            with suppress(requests.RequestException):
                if is_applied(node, key):
                    answered.append(key)
            enough.wait(0.01)

    with ThreadPoolExecutor(customers) as threads:
        for number in range(customers):
            threads.submit(repeat, f"repeated {number}")
        try:
            yield answered
        finally:
            enough.set()


@pytest.mark.timeout(120)
def test_forked_log_an_older_copy_of_the_embedded_log_is_not_continued_by_a_node_that_it_suits(data_dir: Path) -> None:
    """The copy has all that one node ever had: it can only know from the other that something is missing."""
    cluster = Cluster(data_dir, 2)
    ahead, behind = cluster.nodes
    with with_a_head(cluster):
        behind.kill()
        copy_database(data_dir / "livro.sqlite", data_dir / "older.sqlite")
        deposit_all(ahead, LOST)
        ahead.kill()
        copy_database(data_dir / "older.sqlite", data_dir / "livro.sqlite")
        left = written(data_dir)
        ahead.start()
        eventually(lambda: "log lost" in ahead.output(), seconds=30)
        ahead.send(signal.SIGSTOP)
        behind.start()
        with repeated(behind, customers=8) as answered:
            eventually(lambda: "state='iniciando' position=1" in behind.output(), seconds=30)
            ahead.send(signal.SIGCONT)
            eventually(lambda: has_stopped(behind), seconds=30)
        assert_nothing_was_forked(cluster, left, answered)


def copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
