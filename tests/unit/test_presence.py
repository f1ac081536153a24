"""Who lives: only a new beat is a sign of life."""

from replication.presence import Heartbeat, PeerTable

SILENT = 5_000


def beat(node: str, number: int = 1, *, session: str = "s", clock_ms: int = 1_000_000) -> Heartbeat:
    return Heartbeat(
        node=node, session=session, beat=number, addresses=("http://a",), log_id="x", epoch=1, position=number,
        chain="", digest="", state="pronto", lag_ms=0, clock_ms=clock_ms,
    )  # fmt: skip


def names(table: PeerTable, now_ms: int) -> list[str]:
    return [peer.heartbeat.node for peer in table.live(now_ms)]


def observe(table: PeerTable, *beats: Heartbeat, now_ms: int, clock_ms: int = 1_000_000) -> list[str]:
    return [heartbeat.node for heartbeat in table.observe(list(beats), now_ms=now_ms, clock_ms=clock_ms)]


def test_what_a_dead_node_left_behind_is_no_life() -> None:
    table = PeerTable(SILENT)
    for now_ms in range(0, 10_000, 500):
        assert observe(table, beat("dead"), now_ms=now_ms) == []
        assert names(table, now_ms) == []


def test_a_new_beat_is_life_until_the_silence_is_too_long() -> None:
    table = PeerTable(SILENT)
    observe(table, beat("b", 1), now_ms=0)
    assert observe(table, beat("b", 2), now_ms=500) == ["b"]
    assert names(table, 500 + SILENT) == ["b"]
    assert observe(table, beat("b", 2), now_ms=600) == []
    assert names(table, 501 + SILENT) == []


def test_a_restarted_node_lives_although_its_count_begins_again() -> None:
    table = PeerTable(SILENT)
    observe(table, beat("b", 1), now_ms=0)
    assert observe(table, beat("b", 1, session="s2"), now_ms=500) == ["b"]


def test_a_node_that_left_is_gone_at_once() -> None:
    table = PeerTable(SILENT)
    observe(table, beat("b", 1), now_ms=0)
    observe(table, beat("b", 2), now_ms=500)
    observe(table, now_ms=600)
    assert names(table, 600) == []


def test_peers_come_by_name() -> None:
    table = PeerTable(SILENT)
    for number in (1, 2):
        observe(table, beat("c", number), beat("a", number), beat("b", number), now_ms=number)
    assert names(table, 2) == ["a", "b", "c"]


def test_a_clock_is_off_if_more_than_half_of_the_nodes_disagree_with_it() -> None:
    table = PeerTable(SILENT)
    for number in (1, 2):
        observe(table, beat("b", number, clock_ms=1_003_000), beat("c", number), now_ms=number)
    assert not table.clock_is_off(2, 2_000), "one of three is off, and it is not this one"
    for number in (3, 4):
        observe(
            table, beat("b", number, clock_ms=1_003_000), beat("c", number, clock_ms=1_003_000), now_ms=number
        )  # fmt: skip
    assert table.clock_is_off(4, 2_000)
    assert not table.clock_is_off(4, 3_000)


def test_two_nodes_only_warn_each_other() -> None:
    table = PeerTable(SILENT)
    for number in (1, 2):
        observe(table, beat("b", number, clock_ms=2_000_000), now_ms=number)
    assert not table.clock_is_off(2, 2_000), "one of two is not more than half"
