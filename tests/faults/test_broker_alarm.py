"""A broker that holds its clients' connections and takes nothing: in a disk alarm, or standing still for long.

Nobody hangs, everybody is told what is true, and afterwards all goes on by itself. What pauses of seconds do is in
test_broker.py.
"""

import http.client
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.cluster import Cluster, NodeProcess, eventually

pytestmark = pytest.mark.long

PAUSE_S = 20.0
"""Four times what a node waits for a record, for a heartbeat of the broker, and for a peer."""


@contextmanager
def disk_alarm(broker: Broker) -> Iterator[None]:
    """Let the broker find its disk too full: it reads nothing more from whoever publishes."""
    broker.control("set_disk_free_limit", "1000000GB")
    try:
        yield
    finally:
        broker.control("set_disk_free_limit", "50MB")


@contextmanager
def long_pause(broker: Broker) -> Iterator[None]:
    """Stop the broker's process for as long as the test needs, and 20 s at least."""
    until = time.monotonic() + PAUSE_S
    broker.send(signal.SIGSTOP)
    try:
        yield
        eventually(lambda: time.monotonic() >= until, seconds=PAUSE_S + 1, every=0.2)
    finally:
        broker.send(signal.SIGCONT)


@pytest.fixture(scope="module")
def cluster(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes that both cases share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMQP_URL", broker.url)
        with Cluster.running(tmp_path_factory.mktemp("alarm"), 2) as cluster:
            yield cluster


class Deposit:
    """A deposit of 1.00 under way: whoever sent it does other things before asking for the answer."""

    def __init__(self, node: NodeProcess, account: str, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=15)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        self._connection.request("POST", f"/contas/{account}/deposito", b'{"valor": 1}', headers)

    def told(self) -> tuple[int, str | None]:
        """Return status and `resultado`."""
        answer = self._connection.getresponse()
        content: dict[str, Any] = json.loads(answer.read())
        self._connection.close()
        return answer.status, content.get("resultado")


@pytest.mark.timeout(150)
@pytest.mark.parametrize("trouble", [disk_alarm, long_pause])
def test_a_broker_that_takes_nothing_hangs_nobody_and_deceives_nobody(
    cluster: Cluster, broker: Broker, trouble: Callable[[Broker], AbstractContextManager[None]]
) -> None:
    account = trouble.__name__
    # The node of the lower name publishes into a silent log; at the other the first deposit is packed first.
    node = max(cluster.nodes, key=lambda node: node.name)
    keys = {name: {"Idempotency-Key": f"{account} {name}"} for name in ("packed", "queued", "refused")}
    assert node.post("/contas", {"id_conta": account, "saldo": 100}).status_code == 201
    cluster.settled_books()
    with trouble(broker):
        packed = Deposit(node, account, keys["packed"]["Idempotency-Key"])
        assert node.get("/saude").status_code == 200  # so the node has taken that deposit
        queued = Deposit(node, account, keys["queued"]["Idempotency-Key"])
        marked = node.get(f"/contas/{account}", timeout=5)
        assert (marked.status_code, marked.json()["saldo"], marked.headers["X-Defasada"]) == (200, 100, "sim")
        assert packed.told() == (504, "desconhecido")
        assert queued.told() == (503, "nao_aplicado")
        for other in cluster.nodes:
            assert other.get("/saude").json()["estado"] == "sem_livro"
            marked = other.get(f"/contas/{account}", timeout=5)
            assert (marked.status_code, marked.json()["saldo"], marked.headers["X-Defasada"]) == (200, 100, "sim")
        assert Deposit(node, account, keys["refused"]["Idempotency-Key"]).told() == (503, "nao_aplicado")
        assert Deposit(node, account, keys["packed"]["Idempotency-Key"]).told() == (504, "desconhecido")
    for other in cluster.nodes:
        other.wait_ready(60)
        answer = other.post(f"/contas/{account}/deposito", {"valor": 1}, headers=keys["packed"])
        assert (answer.status_code, answer.json()["saldo"]) == (200, 101)
    cluster.settled_books()
    assert [node.get(f"/operacoes/{account} {name}").status_code for name in keys] == [200, 404, 404]
    for expected, name in ((102, "queued"), (103, "refused")):
        answer = node.post(f"/contas/{account}/deposito", {"valor": 1}, headers=keys[name])
        assert (answer.status_code, answer.json()["saldo"]) == (200, expected)
        assert answer.headers.get("Idempotency-Replayed") != "true"
    cluster.settled_books()
