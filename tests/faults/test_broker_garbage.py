"""What anybody with the broker's password may publish beside the nodes: all nodes skip the same and hold the same."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pika
import pytest

from tests.support.broker import Broker
from tests.support.cluster import Cluster, NodeProcess, eventually, log_bodies, rabbit_names

pytestmark = pytest.mark.timeout(120)

DEEP = b"[" * 3_000 + b"]" * 3_000


@pytest.fixture(scope="module")
def cluster(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, for two could not tell which of them is right; all have answered for account A."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMQP_URL", broker.url)
        with Cluster.running(tmp_path_factory.mktemp("garbage"), 3) as cluster:
            assert cluster.nodes[0].post("/contas", {"id_conta": "A", "saldo": 100}).status_code == 201
            deposit_at_each(cluster)
            yield cluster


@pytest.fixture(scope="module")
def valid(cluster: Cluster) -> dict[str, Any]:
    """A record that every node would apply, of a node that nobody knows."""
    records = [json.loads(body) for body in log_bodies(cluster.data_dir) if body.startswith(b"{")]
    last: dict[str, Any] = next(record for record in reversed(records) if record["operacoes"])
    return last | {"banco": "forja", "sessao": "forja", "base": [0, ""], "operacoes": [deposit("forged")]}


def deposit(key: str, **changed: Any) -> dict[str, Any]:
    return {"op": "deposito", "id": key, "conta": "A", "valor": 100} | changed


def garbage(valid: dict[str, Any]) -> list[bytes]:
    """Return bodies that every node must skip; each would move money if one field of it were overlooked."""
    whole = json.dumps(valid | {"extra": 0}).encode()
    return [
        b"",
        b"garbage",
        b"\xff\xfe\x00",
        DEEP,
        whole,
        whole.replace(b'"extra": 0', b'"extra": ' + DEEP),
        json.dumps(valid).encode().replace(b'"op"', b'"x": ' + DEEP + b', "op"'),
        json.dumps(valid).encode().ljust(5 * 1024 * 1024),
        *[
            json.dumps(valid | changed).encode()
            for changed in (
                {"v": "1"},
                {"v": 1.5},
                {"v": 99},
                {"livro": "another"},
                {"livro": ""},
                {"epoca": valid["epoca"] + 1},
                {"operacoes": [deposit("forged", valor=2**63)]},
                {"operacoes": [deposit("forged"), deposit("forged", valor=-1)]},
            )
        ],
    ]


def publish(cluster: Cluster, broker: Broker, *bodies: bytes) -> None:
    """Publish to the nodes' exchange, each body confirmed."""
    with closing(pika.BlockingConnection(pika.URLParameters(broker.url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            channel.basic_publish(rabbit_names(cluster.data_dir)["AMQP_EXCHANGE"], "", body, mandatory=True)


def deposit_at_each(cluster: Cluster) -> None:
    """Deposit 1.00 at every node. What is in the log before that is behind every node then."""
    for node in cluster.nodes:
        answer = node.post("/contas/A/deposito", {"valor": 1})
        assert answer.status_code == 200, answer.text
    cluster.settled_books()


def detail(node: NodeProcess, name: str) -> int:
    return int(node.get("/saude").json()["detalhes"][name])


def has_judged(node: NodeProcess, against: str) -> bool:
    """Tell whether the node has recomputed its digests because of what another one says."""
    return f"peer='{against}'" in node.output()


def balance(cluster: Cluster) -> float:
    return float(cluster.nodes[0].get("/contas/A").json()["saldo"])


def test_garbage_is_skipped_alike_by_all_nodes_and_by_one_that_was_dead_meanwhile(
    cluster: Cluster, broker: Broker, valid: dict[str, Any]
) -> None:
    bodies = garbage(valid)
    before = [detail(node, "registros_ignorados") for node in cluster.nodes]
    had = balance(cluster)
    publish(cluster, broker, *bodies)
    deposit_at_each(cluster)
    skipped = [detail(node, "registros_ignorados") for node in cluster.nodes]
    assert skipped == [number + len(bodies) for number in before]
    assert len(set(skipped)) == 1
    assert balance(cluster) == had + 3
    dead = cluster.nodes[0]
    dead.kill()
    publish(cluster, broker, *bodies)
    dead.start().wait_ready()
    deposit_at_each(cluster)
    now = [detail(node, "registros_ignorados") for node in cluster.nodes]
    assert now == [len(bodies)] + [number + len(bodies) for number in skipped[1:]]
    assert balance(cluster) == had + 6


def test_an_id_twice_in_a_record_counts_once(cluster: Cluster, broker: Broker, valid: dict[str, Any]) -> None:
    had = balance(cluster)
    twice = valid | {"operacoes": [deposit("twice"), deposit("twice"), deposit("twice", valor=999)]}
    publish(cluster, broker, json.dumps(twice).encode())
    deposit_at_each(cluster)
    assert balance(cluster) == had + 1 + 3
    for node in cluster.nodes:
        outcome = node.get("/operacoes/twice").json()
        assert (outcome["situacao"], outcome["valor"]) == ("aplicada", 1)


def test_a_node_that_nobody_knows_cannot_stop_three_that_agree(
    cluster: Cluster, broker: Broker, valid: dict[str, Any]
) -> None:
    ahead = valid | {"base": [2**40, "0" * 32], "operacoes": [deposit("ahead")]}
    publish(cluster, broker, json.dumps(ahead).encode())
    for node in cluster.nodes:
        eventually(partial(has_judged, node, "forja"))
        assert detail(node, "contradicoes") == 1
    deposit_at_each(cluster)
    assert {node.get("/saude").json()["estado"] for node in cluster.nodes} == {"pronto"}
