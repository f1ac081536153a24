"""A broker behind TLS that asks its clients who they are: nodes with the right papers work, others say what is wrong.

The certificates are the test's own, made by the `openssl` program.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.authority import Authority
from tests.support.broker import Broker
from tests.support.cluster import NodeProcess, eventually, free_port
from tools.local_broker import is_installed

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signed the broker's certificate, and those of the nodes that it lets in."""
    if not (is_installed() and shutil.which("openssl")):
        sentence = "RabbitMQ or openssl is not installed (Debian's packages rabbitmq-server and openssl)"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return Authority(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def url(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker that speaks TLS, too, and there only with clients that the authority knows."""
    broker, port = Broker(tmp_path_factory.mktemp("rabbitmq-tls"), "tls"), free_port()
    with (broker.folder / "rabbitmq.conf").open("a", encoding="ascii") as configuration:
        configuration.write(
            f"listeners.ssl.1 = 127.0.0.1:{port}\n"
            f"ssl_options.cacertfile = {authority.path('ca.pem')}\n"
            f"ssl_options.certfile = {authority.path('server.pem')}\n"
            f"ssl_options.keyfile = {authority.path('server.key')}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = true\n"
        )
    try:
        broker.start().wait_ready()
        yield f"amqps://guest:guest@localhost:{port}/"
    finally:
        broker.remove()


@pytest.fixture
def papers(url: str, authority: Authority) -> dict[str, str]:
    """What a node must be told to be let in."""
    files = {"AMQP_CA": "ca.pem", "AMQP_CERT": "client.pem", "AMQP_KEY": "client.key"}
    return {"AMQP_URL": url} | {name: str(authority.path(file)) for name, file in files.items()}


@contextmanager
def running(data_dir: Path, papers: dict[str, str]) -> Iterator[NodeProcess]:
    node = NodeProcess(data_dir, environment=papers).start()
    try:
        yield node
    finally:
        if node.is_running:
            node.kill()


def test_a_node_with_a_certificate_of_the_brokers_authority_takes_deposits(
    data_dir: Path, papers: dict[str, str]
) -> None:
    with running(data_dir, papers) as node:
        node.wait_ready()
        assert node.post("/contas", {"id_conta": "A", "saldo": 100}).status_code == 201
        answer = node.post("/contas/A/deposito", {"valor": 1})
        assert (answer.status_code, answer.json()["saldo"]) == (200, 101)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"AMQP_CERT": "", "AMQP_KEY": ""}, "certificate required"),
        ({"AMQP_CA": "ca.pem"}, "certificate verify failed"),
    ],
    ids=["without a certificate", "of another authority"],
)
def test_who_does_not_know_the_other_does_not_get_through_and_says_so(
    data_dir: Path, tmp_path: Path, papers: dict[str, str], changed: dict[str, str], sentence: str
) -> None:
    if "AMQP_CA" in changed:
        changed = {"AMQP_CA": str(Authority(tmp_path / "other").path(changed["AMQP_CA"]))}
    with running(data_dir, papers | changed) as node:
        eventually(lambda: sentence in node.output(), seconds=30)
        health = eventually(lambda: health_without_log(node), seconds=30)
        assert not health["pronto"]
        assert "no broker answers" in health["motivos"][0]
        assert node.post("/contas", {"id_conta": "A"}).json()["resultado"] == "nao_aplicado"


def health_without_log(node: NodeProcess) -> dict[str, Any] | None:
    """Return what the node says of its health, if it can be asked and says that it has no log."""
    with suppress(requests.ConnectionError):
        health: dict[str, Any] = node.get("/saude").json()
        return health if health["estado"] == "sem_livro" else None
    return None


def test_an_authority_that_is_no_file_ends_the_node_with_a_sentence(data_dir: Path, papers: dict[str, str]) -> None:
    with running(data_dir, papers | {"AMQP_CA": "/nowhere/ca.pem"}) as node:
        assert node.wait(30) == 1
        assert "certificates cannot be used" in node.output()
