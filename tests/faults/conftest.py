"""Nodes of a test's own, for it is going to break them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import NodeProcess


@pytest.fixture
def node(data_dir: Path) -> Iterator[NodeProcess]:
    """One node in a folder of its own; the test starts it."""
    process = NodeProcess(data_dir)
    yield process
    if process.is_running:
        process.send(signal.SIGCONT)
        process.kill()
