"""Every log there is, under the same tests. A new one adds its place here and nothing else."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replication.embedded import EmbeddedLog
from replication.log import Log
from replication.memory import MemoryLog
from replication.rabbitmq import Brokers, RabbitLog
from tests.support.broker import Broker, BrokerCluster

Open = Callable[[], Log]
"""Opens the same log once more, as another node would."""


def _rabbit(broker: Broker | BrokerCluster) -> Open:
    name = secrets.token_hex(4)
    brokers = Brokers(broker.url.split(","))
    return lambda: RabbitLog(brokers, exchange=f"operacoes.{name}", stream=f"livro.{name}")


@pytest.fixture(
    params=[
        "memoria",
        "embutido",
        pytest.param("broker", id="rabbitmq"),
        pytest.param("broker_cluster", id="rabbitmq-3", marks=pytest.mark.cluster),
    ]
)
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens one empty log, as often as asked."""
    opened: list[Log] = []
    memory = MemoryLog()
    openers: dict[str, Open] = {"memoria": lambda: memory, "embutido": lambda: EmbeddedLog(tmp_path / "dados")}
    opener = openers.get(request.param) or _rabbit(request.getfixturevalue(request.param))

    def open_once() -> Log:
        log = opener()
        opened.append(log)
        return log

    yield open_once
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log: Open) -> Log:
    """One empty log."""
    return open_log()
