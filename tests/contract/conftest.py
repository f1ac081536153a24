"""Every log there is, under the same tests. A new one adds its place here and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replication.embedded import EmbeddedLog
from replication.log import Log
from replication.memory import MemoryLog

Open = Callable[[], Log]
"""Opens the same log once more, as another node would."""


@pytest.fixture(params=["memoria", "embutido"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens one empty log, as often as asked."""
    opened: list[Log] = []
    memory = MemoryLog()

    def open_once() -> Log:
        log: Log = memory if request.param == "memoria" else EmbeddedLog(tmp_path / "dados")
        opened.append(log)
        return log

    yield open_once
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log: Open) -> Log:
    """One empty log."""
    return open_log()
