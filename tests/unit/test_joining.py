"""Taking a peer's journal, and going on without when nobody gives a good one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bank import joining
from bank.committed import Committed
from bank.config import Config
from bank.desk import Desk, monotonic_ms
from bank.errors import LogUnreachable
from bank.joining import Joiner
from bank.state import State
from replication.presence import Heartbeat


class NoPeers:
    """Peers that are heard, and do not answer."""

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, address: str, target: Path, _told: Callable[[int, int], None]) -> None:
        assert not list(target.parent.glob(f"{target.name}*")), "SQLite would take what is left for its own"
        self.asked += 1
        target.write_bytes(b"half")
        target.with_name(f"{target.name}-wal").write_bytes(b"old")
        raise LogUnreachable(f"{address}: refused")


@pytest.fixture
def desk() -> Desk:
    """The desk of an empty node that hears a peer with a long history."""
    config = Config(node_name="banco-9", heartbeat_ms=100, peer_silent_ms_max=400)
    desk = Desk(config, session="s", committed=Committed.of(State()), heard={})
    for beat in range(2):
        peer = Heartbeat(
            node="banco-1", session="z", beat=beat, addresses=("http://127.0.0.1:1",), log_id="x", epoch=1,
            position=9_999, chain="", digest="", state="pronto", lag_ms=0, clock_ms=0,
        )  # fmt: skip
        desk.peers.observe([peer], now_ms=monotonic_ms(), clock_ms=0)
    return desk


def test_a_node_whose_peers_give_nothing_goes_on_with_the_log(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "AGAIN_S", 0.05)
    peers = NoPeers()
    Joiner(desk, tmp_path, peers).join_late()  # type: ignore[arg-type]
    assert peers.asked > 1
    assert desk.troubles.joining == ""


def test_what_an_interrupted_attempt_left_is_removed_before_the_next(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "entrada.part-wal").write_bytes(b"of another copy")
    peers = NoPeers()
    Joiner(desk, tmp_path, peers).take_journal("Why.", least_epoch=1)  # type: ignore[arg-type]
    assert peers.asked
