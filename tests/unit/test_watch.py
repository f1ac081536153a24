"""What the watchdog takes for trouble with the log, and the herald for a twin."""

import msgspec
import pytest

from bank.committed import Committed
from bank.config import Config
from bank.desk import Desk, monotonic_ms
from bank.errors import StartRefused
from bank.publisher import Publisher
from bank.records import Base
from bank.state import State
from bank.waiting import Head
from bank.watch import TWIN_WAIT_MS, Herald, Watchdog
from replication.memory import MemoryLog
from replication.presence import Heartbeat


@pytest.fixture
def desk() -> Desk:
    """The desk of a node that has published a marker at 0 ms."""
    desk = Desk(Config(node_name="banco-1"), session="s", committed=Committed.of(State()), heard={})
    desk.attachment.begin(now_ms=0, marker_seq=1)
    pack(desk, now_ms=0)
    return desk


def pack(desk: Desk, *, now_ms: int) -> None:
    desk.node.pack(now_ms=now_ms, instant_ms=0, head=Head(1, "x", 1, Base(0, "")), operations_allowed=False)


def notices(desk: Desk, *, now_ms: int) -> bool:
    watchdog = Watchdog(desk, None, None, histories=list)  # type: ignore[arg-type]
    watchdog._look_for_trouble(now_ms)
    return desk.reattach.is_set()


def test_who_catches_up_waits_for_its_marker_as_long_as_the_log_brings_anything(desk: Desk) -> None:
    desk.log_heard_ms = 58_000
    assert not notices(desk, now_ms=60_000)


def test_who_catches_up_and_hears_nothing_attaches_anew(desk: Desk) -> None:
    desk.log_heard_ms = 54_000
    assert notices(desk, now_ms=60_000)


@pytest.mark.parametrize(("drained_ms", "is_trouble"), [(4_000, False), (5_001, True)])
def test_at_the_end_a_record_that_does_not_come_back_is_trouble_if_nothing_more_is_to_come(
    desk: Desk,
    drained_ms: int,
    is_trouble: bool,  # noqa: FBT001 - of the table above
) -> None:
    desk.attachment.returned(1, (1, 0))
    desk.log_heard_ms = 60_000
    desk.log_drained_ms = drained_ms
    assert notices(desk, now_ms=60_000) is is_trouble


def test_operations_wait_from_the_moment_the_log_is_down(desk: Desk) -> None:
    desk.committed = desk.committed._replace(log_id="x")
    desk.attachment.returned(1, (1, 0))
    assert desk.may_publish()
    desk.log_is_down("The log does not answer.")
    assert not desk.may_publish()


@pytest.mark.parametrize("join_only", [False, True])
def test_who_is_to_join_begins_no_bank_and_says_what_it_waits_for(*, join_only: bool) -> None:
    desk = Desk(
        Config(node_name="banco-1", join_only=join_only), session="s", committed=Committed.of(State()), heard={}
    )
    publisher = Publisher(desk, MemoryLog())
    desk.attachment.begin(now_ms=0, marker_seq=1)
    desk.attachment.returned(1, (1, 0))
    watchdog = Watchdog(desk, publisher, None, histories=list)  # type: ignore[arg-type]
    watchdog._begin_log(watchdog._genesis_after_ms)
    assert (publisher.beginning is None) == join_only
    assert ("begins none (JOIN_ONLY)" in str(desk.condition().refusal)) == join_only


def twin(session: str, beat: int) -> Heartbeat:
    return Heartbeat(
        node="banco-1", session=session, beat=beat, addresses=("http://127.0.0.1:1",), log_id="", epoch=1, position=0,
        chain="", digest="", state="pronto", lag_ms=0, clock_ms=0,
    )  # fmt: skip


def test_a_heartbeat_tells_how_far_the_records_of_each_live_node_were_read(desk: Desk) -> None:
    for beat in (1, 2):
        peer = msgspec.structs.replace(twin("theirs", beat), node="banco-2")
        desk.peers.observe([peer], now_ms=monotonic_ms(), clock_ms=0)
    desk.has_read("theirs", 7)
    desk.has_read("somebody's who is gone", 9)
    assert Herald(desk, None, None).heartbeat().read == {"theirs": 7}  # type: ignore[arg-type]


def test_only_a_twin_that_beats_keeps_a_node_from_starting_whatever_dead_ones_left(desk: Desk) -> None:
    herald = Herald(desk, None, None)  # type: ignore[arg-type]
    herald._refuse_at_ms -= TWIN_WAIT_MS
    dead = twin("dead", 7)
    for _ in range(3):
        herald._notice_twin([dead])
    herald._notice_twin([dead, twin("living", 1)])
    with pytest.raises(StartRefused, match="runs already"):
        herald._notice_twin([dead, twin("living", 2)])
