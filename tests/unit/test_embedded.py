"""What is peculiar to the embedded log and its presence: files."""

from contextlib import closing
from pathlib import Path

import pytest

from bank.errors import LogLost, StartRefused
from replication.embedded import EmbeddedLog, EmbeddedPresence
from replication.log import FIRST
from replication.presence import Heartbeat


def beat(node: str) -> Heartbeat:
    return Heartbeat(
        node=node, session="s", beat=1, addresses=("http://a",), log_id="x", epoch=1, position=1, chain="", digest="",
        state="pronto", lag_ms=0, clock_ms=5,
    )  # fmt: skip


def test_a_log_outlives_its_process(tmp_path: Path) -> None:
    with closing(EmbeddedLog(tmp_path)) as log:
        log.append(b"x")
    with closing(EmbeddedLog(tmp_path)) as log, closing(log.read_from(FIRST)) as reader:
        assert [stored.body for stored in reader.poll(1)] == [b"x"]


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_log_that_was_deleted_or_replaced_is_lost_and_not_written_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "livro.sqlite"
    with closing(EmbeddedLog(tmp_path)) as log, closing(log.read_from(FIRST)) as reader:
        log.append(b"x")
        assert reader.poll(1)
        path.rename(tmp_path / "aside")
        if how == "replaced":
            EmbeddedLog(tmp_path).close()
        with pytest.raises(LogLost, match="deleted or replaced"):
            log.append(b"y")
        with pytest.raises(LogLost):
            reader.poll(0)
        with pytest.raises(LogLost):
            log.read_from(FIRST)


def test_a_folder_that_cannot_be_used_is_a_refused_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartRefused, match="cannot be opened"):
        EmbeddedLog(tmp_path / "file")
    with pytest.raises(StartRefused, match="cannot be opened"):
        EmbeddedPresence(tmp_path / "file")


def test_nodes_hear_each_other_and_one_that_leaves_is_gone(tmp_path: Path) -> None:
    with closing(EmbeddedPresence(tmp_path)) as one, closing(EmbeddedPresence(tmp_path)) as two:
        assert one.exchange(beat("banco-1")) == []
        assert two.exchange(beat("banco-2")) == [beat("banco-1")]
        assert one.exchange(beat("banco-1")) == [beat("banco-2")]
        two.leave()
        assert one.exchange(beat("banco-1")) == []
