"""Who may reopen a lost log: only what loses nothing happens by itself."""

import msgspec
import pytest

from bank.rebuilding import contradiction, obstacle
from replication.presence import Heartbeat

MEMBERS = ("banco-1", "banco-2", "banco-3")


def beat(node: str, position: int = 10, **changed: object) -> Heartbeat:
    """Return the heartbeat of a node that has stopped at the end of the log."""
    fields: dict[str, object] = {
        "node": node, "session": "s", "beat": 1, "addresses": (f"http://{node}:5000",), "log_id": "x", "epoch": 1,
        "position": position, "chain": f"{position:032x}", "digest": "", "state": "livro_perdido", "lag_ms": 0,
        "stopped": True, "clock_ms": 0,
    }  # fmt: skip
    return Heartbeat(**(fields | changed))  # type: ignore[arg-type]


def ask(*live: Heartbeat, node: str = "banco-1", position: int = 10, given_up: tuple[str, ...] = ()) -> str | None:
    return obstacle(
        node=node, place=(1, position), log_id="x", members=MEMBERS, live={peer.node: peer for peer in live},
        given_up=given_up,
    )  # fmt: skip


def test_the_longest_history_goes_on_when_all_members_have_stopped() -> None:
    assert ask(beat("banco-2", 9), beat("banco-3", 0)) is None


def test_among_equals_the_lowest_name_goes_on_and_nobody_else() -> None:
    assert ask(beat("banco-2"), beat("banco-3")) is None
    assert "banco-1 comes first" in str(ask(beat("banco-1"), beat("banco-3"), node="banco-2"))


@pytest.mark.parametrize(
    ("peer", "says"),
    [
        (beat("banco-3", 11), "banco-3 comes first, with position 11"),
        (beat("banco-3", 1, epoch=2), "banco-3 comes first"),
        (beat("banco-3", stopped=False, state="pronto"), "banco-3 is in state pronto"),
        (beat("banco-3", log_id="y"), "another log"),
    ],
)
def test_what_stands_in_the_way(peer: Heartbeat, says: str) -> None:
    assert says in str(ask(beat("banco-2"), peer))


def test_a_missing_member_is_waited_for_unless_it_is_given_up() -> None:
    assert "--sem banco-3" in str(ask(beat("banco-2")))
    assert ask(beat("banco-2"), given_up=("banco-3",)) is None


def test_who_answers_is_not_given_up() -> None:
    assert "stop it before" in str(ask(beat("banco-2"), beat("banco-3"), given_up=("banco-3",)))
    assert "stop it before" in str(ask(beat("banco-2"), beat("banco-3"), given_up=("banco-1",)))


def test_who_never_joined_is_not_waited_for() -> None:
    assert ask(beat("banco-2"), beat("banco-3"), beat("banco-9", stopped=False, state="iniciando")) is None


def test_a_node_without_a_history_reopens_nothing() -> None:
    assert "no history" in str(obstacle(node="n", place=(1, 0), log_id="", members=(), live={}))


def test_a_history_that_is_no_beginning_of_this_one_is_left_to_an_operator() -> None:
    live = {"banco-2": beat("banco-2", 9), "banco-3": beat("banco-3", 0, chain="")}
    assert contradiction(live, "x", lambda position: f"{position:032x}") is None
    assert "banco-2 has another history at position 9" in str(contradiction(live, "x", lambda _: "f" * 32))


def test_nobody_reopens_over_another_bank_that_lives_in_the_log() -> None:
    stranger = msgspec.structs.replace(beat("banco-9", stopped=False), log_id="other")
    assert "banco-9 follows another log" in str(ask(beat("banco-2"), beat("banco-3"), stranger))


def test_an_empty_member_may_have_lost_answers() -> None:
    empty = msgspec.structs.replace(beat("banco-3"), log_id="")
    assert "--sem banco-3" in str(ask(beat("banco-2"), empty))


def test_who_joined_in_what_this_node_lacks_comes_first() -> None:
    later = beat("banco-9", 12)
    assert "banco-9 comes first, with position 12" in str(ask(beat("banco-2"), beat("banco-3"), later))
    assert "banco-9 has another history" in str(contradiction({"banco-9": later}, "x", lambda _: ""))
