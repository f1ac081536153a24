"""What all tests share: private RabbitMQ brokers, started once, and the log under which the integration tests run.

`pytest tests/integration --log rabbitmq` (or `rabbitmq-3`: three brokers) runs them over RabbitMQ instead of the
embedded log. A missing broker skips on a laptop and fails where CI is set.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker, BrokerCluster
from tools.local_broker import is_installed


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the log be chosen."""
    parser.addoption("--log", choices=["embutido", "rabbitmq", "rabbitmq-3"], default="embutido")


def _need_rabbitmq() -> None:
    if not is_installed():
        sentence = "RabbitMQ is not installed (Debian's package rabbitmq-server)"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One private broker for all tests that leave it running."""
    _need_rabbitmq()
    broker = Broker(tmp_path_factory.mktemp("rabbitmq"))
    try:
        yield broker.start().wait_ready()
    finally:
        broker.remove()


@pytest.fixture(scope="session")
def broker_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerCluster]:
    """Three private brokers that share their streams; who kills one starts it again."""
    _need_rabbitmq()
    cluster = BrokerCluster(tmp_path_factory.mktemp("rabbitmq-3"))
    try:
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session", autouse=True)
def chosen_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the nodes of this session find the chosen log in their environment."""
    chosen = request.config.getoption("--log")
    with pytest.MonkeyPatch.context() as patch:
        if chosen == "rabbitmq":
            patch.setenv("AMQP_URL", request.getfixturevalue("broker").url)
        elif chosen == "rabbitmq-3":
            patch.setenv("AMQP_URL", request.getfixturevalue("broker_cluster").url)
        else:
            patch.delenv("AMQP_URL", raising=False)
        yield


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty folder for nodes of the test's own."""
    return tmp_path / "dados"
