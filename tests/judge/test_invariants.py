"""Each invariant by itself: the search would find most of these too."""

import pytest

from tests.judge.invariants import broken_invariants
from tests.judge.tables import history

OPEN = "0-1 open a 100 limit=10 : ok 100\n"
BROKEN = {
    "below the limit of 10": OPEN + "2-3 read a : ok -11",
    "more than one outcome": OPEN + "2-3 deposit a 5 #d : ok 105\n 4-5 deposit a 5 #d : SALDO_INSUFICIENTE replayed",
    "final reads of a differ": OPEN + "2-3 read a : ok 100 final\n 4-5 read a @n2 : CONTA_NAO_ENCONTRADA final",
    "sum up to 99": OPEN + "2-3 deposit a 5 : unknown\n 4-5 read a : ok 99 final",
    "sum up to 106": OPEN + "2-3 deposit a 5 : unknown\n 4-5 read a : ok 106 final",
    "makes 70 to 70": OPEN + "2-3 withdraw a 30 : ok 70\n 4-5 withdraw a 9 : not_applied\n 6-7 read a : ok 61 final",
}
KEPT = {
    "at the limit": OPEN + "2-3 read a : ok -10",
    "one outcome, repeated": OPEN + "2-3 deposit a 5 #d : ok 105\n 4-5 deposit a 5 #d : ok 105 replayed",
    "a reused id is no second outcome": OPEN + "2-3 deposit a 5 #d : ok 105\n 4-5 deposit a 6 #d : CHAVE_REUTILIZADA",
    "unknown and not applied": OPEN + "2-3 deposit a 5 : unknown\n 4-5 read a : ok 100 final",
    "unknown and applied": OPEN + "2-3 deposit a 5 : unknown\n 4-5 read a : ok 105 final",
    "an account without a final read": OPEN + "0-1 open b 9 #b : ok 9\n 4-5 read a : ok 1 final",
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_broken(sentence: str) -> None:
    broken = broken_invariants(history(BROKEN[sentence]))
    assert len(broken) == 1
    assert sentence in broken[0]


@pytest.mark.parametrize("name", KEPT)
def test_kept(name: str) -> None:
    assert broken_invariants(history(KEPT[name])) == []
