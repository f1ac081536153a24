"""A whole node in this process: its health tells what its threads came to."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bank.config import Config
from bank.errors import LogUnavailable, NotReady
from bank.operations import Open
from bank.runtime import Runtime, open_runtime
from bank.views import Consistency
from tests.support.cluster import eventually


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Runtime]:
    """A node that accepts writes."""
    node = open_runtime(Config(node_name="banco-1", data_dir=tmp_path, genesis_wait_ms=100), on_end=lambda _: None)
    node.start()
    eventually(lambda: node.health().ready)
    yield node
    node.stop()


def test_a_node_applies_and_reads(node: Runtime) -> None:
    node.submit(Open("k", "A", 5, 0))
    view = node.read_account("A", Consistency.STRONG)
    assert view.account is not None
    assert view.account.balance_cents == 5


def test_while_the_log_may_lack_what_others_have_reads_are_marked(
    node: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.submit(Open("k", "A", 5, 0))
    monkeypatch.setattr(node._desk, "is_settled", lambda: False)
    assert node.read_account("A", Consistency.DEFAULT).stale
    assert node.read_account("A", Consistency.LOCAL).stale
    with pytest.raises(LogUnavailable):
        node.read_account("A", Consistency.STRONG)


def test_where_no_bank_is_nobody_is_told_that_there_is_no_account(tmp_path: Path) -> None:
    node = open_runtime(Config(node_name="banco-2", data_dir=tmp_path, join_only=True), on_end=lambda _: None)
    node.start()
    try:
        eventually(lambda: "begins none" in "".join(node.health().reasons))
        for consistency in Consistency:
            with pytest.raises(NotReady):
                node.read_account("A", consistency)
    finally:
        node.stop()


def test_a_thread_that_ends_inside_a_lock_stops_the_node(node: Runtime) -> None:
    lock = node._locks._table[0]
    thread = threading.Thread(target=lock.acquire, name="careless")
    thread.start()
    thread.join()
    health = node.health()
    assert (health.alive, health.ready, health.state) == (False, False, "falha")
    assert "careless" in health.reasons[0]
    with pytest.raises(NotReady, match="careless"):
        node.submit(Open("k", "A", 5, 0))


def test_a_thread_that_dies_is_seen(node: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bank.watch.Watchdog._join", lambda self, now_ms: 1 / 0)
    eventually(lambda: not node.health().alive)
    health = node.health()
    assert health.threads["watchdog"] is False
    assert "watchdog thread died" in health.reasons[0]
