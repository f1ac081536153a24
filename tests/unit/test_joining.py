"""Taking a peer's journal, and going on without when nobody gives a good one."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from bank import joining
from bank.committed import Committed
from bank.config import Config
from bank.desk import Desk, monotonic_ms
from bank.errors import JournalReplaced, LogUnreachable
from bank.joining import Joiner
from bank.journal_copy import STAGED_NAME, copy_journal
from bank.ledger import genesis_operation
from bank.state import State, state_digest
from replication.presence import Heartbeat
from tests.unit.test_journal import Writer


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


class Giver:
    """A peer that gives a whole journal, and says whatever it likes of its digests."""

    def __init__(self, journal: Path, said: tuple[str, str]) -> None:
        self._journal = journal
        self._said = said

    def fetch(self, _address: str, target: Path, _told: Callable[[int, int], None]) -> None:
        target.unlink(missing_ok=True)
        copy_journal(self._journal, target)

    def digests(self, _address: str, _position: int) -> tuple[str, str]:
        return self._said


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


@pytest.mark.parametrize("agrees", [True, False])
def test_a_whole_copy_is_taken_only_if_its_digests_are_confirmed(desk: Desk, tmp_path: Path, *, agrees: bool) -> None:
    writer = Writer(tmp_path / "banco-1")
    writer.journal.attach(node="banco-1", log="embutido:livro.sqlite")
    writer.commit(genesis_operation(operation_id="g", log_id="x"))
    writer.journal.close()
    folder = tmp_path / "banco-9"
    folder.mkdir()
    state = writer.state
    said = (state.chain.hex(), state_digest(state).hex()) if agrees else ("0" * 32, "0" * 32)
    with pytest.raises(JournalReplaced) if agrees else nullcontext():
        Joiner(desk, folder, Giver(writer.journal.path, said)).take_journal("Why.", least_epoch=1)  # type: ignore[arg-type]
    assert (folder / STAGED_NAME).exists() == agrees
