"""A batch happens as one thing, or not at all."""

import pytest

from tests.judge.history import Event, Part
from tests.judge.tables import history
from tests.judge.verdict import examine

OPENED = """
    1-2 open a 100 : ok 100
    3-4 open b 0 : ok 0
"""


def batch(begin: int, end: int | None, *parts: tuple[str, str, str | None, int], said: str) -> Event:
    made = tuple(Part(op=op, account=a, counterpart=b, amount_cents=cents) for op, a, b, cents in parts)
    outcome, code = (said, None) if said.islower() else ("refused", said)
    return Event(
        client="c", node="n1", begin=begin, end=end, op="batch", id="all", account="a", parts=made,
        outcome=outcome, code=code,
    )  # fmt: skip


MOVE_AND_ADD = (("transfer", "a", "b", 60), ("deposit", "a", None, 5))
TOO_MUCH = (("transfer", "a", "b", 60), ("withdraw", "a", None, 50))


@pytest.mark.parametrize(
    ("event", "later", "word"),
    [
        (batch(5, 6, *MOVE_AND_ADD, said="ok"), "7-8 read a : ok 45\n 9-10 read b : ok 60", "valid"),
        (batch(5, 6, *MOVE_AND_ADD, said="ok"), "7-8 read a : ok 40\n 9-10 read b : ok 60", "invalid"),
        (batch(5, None, *MOVE_AND_ADD, said="unknown"), "7-8 read a : ok 100\n 9-10 read b : ok 60", "valid"),
        (batch(5, None, *MOVE_AND_ADD, said="unknown"), "7-8 read b : ok 60\n 9-10 read a : ok 100", "invalid"),
        (batch(5, 6, *TOO_MUCH, said="SALDO_INSUFICIENTE"), "7-8 read a : ok 100\n 9-10 read b : ok 0", "valid"),
        (batch(5, 6, *TOO_MUCH, said="SALDO_INSUFICIENTE"), "7-8 read a : ok 40\n 9-10 read b : ok 60", "invalid"),
        (batch(5, 6, *TOO_MUCH, said="ok"), "7-8 read a : ok 100\n 9-10 read b : ok 0", "invalid"),
    ],
)
def test_a_batch_is_seen_whole(event: Event, later: str, word: str) -> None:
    assert examine([*history(OPENED), event, *history(later)]).word == word
