"""Small histories, each with the verdict that it must get."""

import pytest

from tests.judge.tables import history
from tests.judge.verdict import examine, judge

OPEN = "0-1 open a 100 : ok 100\n"
TWO = OPEN + "0-1 open b 0 #open-b : ok 0\n"

VALID = {
    "one after the other": OPEN
    + """
        2-3   deposit a 10      : ok 110
        4-5   withdraw a 30     : ok 80
        6-7   read a            : ok 80 v3
    """,
    "two at once, in the other order than they began": OPEN
    + """
        2-9   deposit a 10      : ok 115
        3-8   deposit a 5       : ok 105
        10-11 read a            : ok 115
    """,
    "a read beside a deposit sees it": OPEN + "2-9 deposit a 10 : ok 110\n 3-4 read a : ok 110",
    "a read beside a deposit does not see it": OPEN + "2-9 deposit a 10 : ok 110\n 3-4 read a : ok 100",
    "what ends when the next begins is at the same time": OPEN + "2-5 deposit a 10 : ok 110\n 5-6 read a : ok 100",
    "unknown and applied": OPEN + "2- deposit a 10 : unknown\n 4-5 read a : ok 110",
    "unknown and never applied": OPEN + "2- deposit a 10 : unknown\n 4-5 read a : ok 100",
    "unknown and applied long after, after a later operation": OPEN
    + """
        2-3   deposit a 10      : unknown
        4-5   read a            : ok 100
        6-7   withdraw a 1      : ok 99
        8-9   read a            : ok 109
    """,
    "three unknown, two of them applied": OPEN
    + """
        2-3   deposit a 1       : unknown
        4-5   deposit a 20      : unknown
        6-7   withdraw a 50     : unknown
        8-9   read a            : ok 51
        10-11 read a            : ok 51 v3
    """,
    "an unknown withdrawal explains a refusal": OPEN
    + """
        2-3   withdraw a 60     : unknown
        4-5   withdraw a 60     : SALDO_INSUFICIENTE
        6-7   read a            : ok 40
    """,
    "a refusal needs another account to be there, and comes before a deposit that would have covered it": """
        0-1   open a 0          : ok 0
        2-9   open b 0 #open-b  : ok 0
        3-9   transfer a>b 30   : SALDO_INSUFICIENTE
        4-5   deposit a 100     : ok 100
        10-11 read a            : ok 100
    """,
    "an unknown deposit covers a transfer": TWO
    + """
        2-    deposit a 50      : unknown
        4-5   transfer a>b 120  : ok 30
        6-7   read b            : ok 120
    """,
    "an unknown transfer is seen on both sides": TWO
    + "2- transfer a>b 30 : unknown\n 4-5 read a : ok 70\n 6-7 read b : ok 30",
    "a retry repeats the outcome": OPEN
    + """
        2-    deposit a 10 #d     : unknown
        4-5   deposit a 10 #d @n2 : ok 110 replayed
        6-7   withdraw a 5        : ok 105
        8-9   deposit a 10 #d @n3 : ok 110 replayed
        10-11 read a              : ok 105
    """,
    "a retry is the first to be applied": OPEN
    + """
        2-    deposit a 10 #d     : unknown
        4-5   read a              : ok 100
        6-7   deposit a 10 #d @n2 : ok 110
        8-9   read a              : ok 110
    """,
    "a retry finds what the lost answer was about": OPEN
    + """
        2-3   deposit a 10 #d     : unknown
        4-5   read a              : ok 110
        6-7   withdraw a 50       : ok 60
        8-9   deposit a 10 #d     : ok 110 replayed
        10-11 read a              : ok 60
    """,
    "a refusal is repeated, though the balance would cover it now": OPEN
    + """
        2-3   withdraw a 150 #w   : SALDO_INSUFICIENTE
        4-5   deposit a 100       : ok 200
        6-7   withdraw a 150 #w   : SALDO_INSUFICIENTE replayed
        8-9   read a              : ok 200
    """,
    "not applied has no effect, and its id is free": OPEN
    + """
        2-3   deposit a 10 #d     : not_applied
        4-5   read a              : ok 100
        6-7   deposit a 10 #d     : ok 110
        8-9   read a              : ok 110
    """,
    "a reused id is refused": OPEN
    + """
        2-3   deposit a 10 #d     : ok 110
        4-5   deposit a 99 #d     : CHAVE_REUTILIZADA
        6-7   read a              : ok 110
    """,
    "a reused id shows that the unknown one was applied": OPEN
    + """
        2-3   deposit a 10 #d     : unknown
        4-5   deposit a 99 #d     : CHAVE_REUTILIZADA
        6-7   read a              : ok 110
    """,
    "of an id with two unknown requests either may be the first": OPEN
    + """
        2-3   deposit a 10 #d     : unknown
        4-5   deposit a 99 #d     : unknown
        6-7   deposit a 50 #d     : CHAVE_REUTILIZADA
        8-9   read a              : ok 199
    """,
    "of two unknown deposits only the first, and no balance says so at once": OPEN
    + """
        2-    deposit a 50        : unknown
        3-    deposit a 1         : unknown
        4-5   withdraw a 150      : ok
        6-7   read a              : ok 0
    """,
    "a stale read may show what was": OPEN
    + "2-3 deposit a 10 : ok 110\n 4-5 read a : ok 100 stale\n 6-7 read a : ok 110",
    "down to the limit": "0-1 open a 100 limit=50 : ok 100\n 2-3 withdraw a 150 : ok -50\n 4-5 read a : ok -50",
    "refused in every way": TWO
    + """
        2-3   open a 7          : CONTA_JA_EXISTE
        4-5   withdraw a 101    : SALDO_INSUFICIENTE
        6-7   transfer a>a 1    : MESMA_CONTA
        8-9   transfer a>x 1    : CONTA_NAO_ENCONTRADA
        10-11 deposit x 1       : CONTA_NAO_ENCONTRADA
        12-13 deposit a 999999999999999 : VALOR_ACIMA_DO_LIMITE
        14-15 read x            : CONTA_NAO_ENCONTRADA
        16-17 read a            : ok 100 v1
        16-17 read b            : ok 0
    """,
    "opened twice at once: one wins": """
        0-5   open a 100        : CONTA_JA_EXISTE
        1-4   open a 7          : ok 7
        6-7   read a            : ok 7
    """,
    "an answer without a balance": OPEN + "2-3 deposit a 10 : ok\n 4-5 read a : ok 110",
    "final reads agree": OPEN + "2-3 read a @n1 : ok 100 final\n 4-5 read a @n2 : ok 100 final",
}
INVALID = {
    "a lost deposit": OPEN + "2-3 deposit a 10 : ok 110\n 4-5 read a : ok 100",
    "two deposits that do not see each other": OPEN
    + "2-9 deposit a 10 : ok 110\n 3-8 deposit a 5 : ok 105\n 10-11 read a : ok 115",
    "a deposit doubled by its retry at another node": OPEN
    + """
        2-3   deposit a 10 #d     : unknown
        4-5   deposit a 10 #d @n2 : ok 110 replayed
        6-7   read a              : ok 120
    """,
    "a retry that is applied again and says so": OPEN
    + "2-3 deposit a 10 #d : ok 110\n 4-5 deposit a 10 #d @n2 : ok 120\n 6-7 read a : ok 120",
    "a retry with another balance": OPEN
    + "2-3 deposit a 10 #d : ok 110\n 4-5 deposit a 10 #d @n2 : ok 120 replayed\n 6-7 read a : ok 110",
    "a stale read that is not marked": OPEN
    + "2-3 deposit a 10 : ok 110\n 4-5 read a : ok 110\n 6-7 read a @n2 : ok 100",
    "an old version": OPEN + "2-3 deposit a 10 : ok 110\n 4-5 withdraw a 10 : ok 100\n 6-7 read a : ok 100 v1",
    "real time turned round": OPEN + "2-3 deposit a 10 : ok 115\n 4-5 deposit a 5 : ok 105\n 6-7 read a : ok 115",
    "a refusal although the balance covered it": OPEN + "2-3 withdraw a 100 : SALDO_INSUFICIENTE\n 4-5 read a : ok 100",
    "a withdrawal that nothing covers": OPEN + "2-3 withdraw a 101 : ok -1\n 4-5 read a : ok -1",
    "below the limit by a stale read": OPEN + "2-3 read a : ok -1 stale\n 4-5 read a : ok 100",
    "a refusal forgotten on retry": OPEN
    + """
        2-3   withdraw a 150 #w   : SALDO_INSUFICIENTE
        4-5   deposit a 100       : ok 200
        6-7   withdraw a 150 #w   : ok 50
        8-9   read a              : ok 50
    """,
    "half a transfer": TWO + "2-3 transfer a>b 30 : ok 70\n 4-5 read a : ok 70\n 6-7 read b : ok 0",
    "half an unknown transfer": TWO + "2- transfer a>b 30 : unknown\n 4-5 read a : ok 70\n 6-7 read b : ok 0",
    "a transfer that makes money": TWO + "2-3 transfer a>b 30 : ok 70\n 4-5 read a : ok 70\n 6-7 read b : ok 60",
    "a transfer refused as to the same account": TWO + "2-3 transfer a>b 30 : MESMA_CONTA\n 4-5 read a : ok 100",
    "an account that was found though it was not open": TWO
    + "2-3 transfer a>b 1 : CONTA_NAO_ENCONTRADA\n4-5 read a : ok 100",
    "unknown, seen, and gone again": OPEN + "2- deposit a 10 : unknown\n 4-5 read a : ok 110\n 6-7 read a : ok 100",
    "unknown, seen before it began": OPEN + "2-3 read a : ok 110\n 4- deposit a 10 : unknown",
    "not applied, and yet applied": OPEN + "2-3 deposit a 10 : not_applied\n 4-5 read a : ok 110",
    "a replay of what was never tried": OPEN + "2-3 deposit a 10 : ok 110 replayed\n 4-5 read a : ok 110",
    "a replay before the first try": OPEN
    + "2-3 deposit a 10 #d : ok 110 replayed\n 4-5 deposit a 10 #d : ok 110\n 6-7 read a : ok 110",
    "applied after a retry was told of it": OPEN
    + """
        2-    deposit a 10 #d     : unknown
        4-5   deposit a 10 #d     : ok 110 replayed
        6-7   read a              : ok 100
        8-9   read a              : ok 110
    """,
    "a reused id that is accepted": OPEN
    + "2-3 deposit a 10 #d : ok 110\n 4-5 deposit a 99 #d : ok 209\n 6-7 read a : ok 209",
    "an id called reused by its own request": OPEN
    + "2-3 deposit a 10 #d : ok 110\n 4-5 deposit a 10 #d : CHAVE_REUTILIZADA\n 6-7 read a : ok 110",
    "an id called reused that was never used": OPEN + "2-3 deposit a 10 #d : CHAVE_REUTILIZADA\n 4-5 read a : ok 100",
    "a reused id that takes effect": OPEN
    + "2-3 deposit a 10 #d : ok 110\n 4-5 deposit a 99 #d : CHAVE_REUTILIZADA\n 6-7 read a : ok 209",
    "of an id with two unknown requests the second, before it began": OPEN
    + """
        2-3   deposit a 10 #d     : unknown
        4-5   read a              : ok 199
        6-7   deposit a 99 #d     : unknown
        8-9   read a              : ok 199
    """,
    "a read with no explanation": OPEN + "2-3 read a : ok 73",
    "opened twice": OPEN + "2-3 open a 7 : ok 7\n 4-5 read a : ok 7",
    "gone": OPEN + "2-3 read a : CONTA_NAO_ENCONTRADA",
    "final reads differ": OPEN
    + "2-3 deposit a 5 : unknown\n 4-9 read a @n1 : ok 100 final\n 4-9 read a @n2 : ok 105 final",
}
UNKNOWN = {
    "no reads": OPEN + "2-3 deposit a 10 : ok 110",
    "stale reads only": OPEN + "2-3 read a : ok 100 stale",
    "a group of accounts without reads": OPEN + "0-1 open b 0 #b : ok 0\n 2-3 read a : ok 100",
    "nothing succeeded": "0-1 deposit x 1 : CONTA_NAO_ENCONTRADA\n 2-3 read x : CONTA_NAO_ENCONTRADA",
    "nothing at all": "",
}


@pytest.mark.parametrize("name", VALID)
def test_valid(name: str) -> None:
    assert examine(history(VALID[name])).explanation == ""
    judge(history(VALID[name]))


@pytest.mark.parametrize("name", INVALID)
def test_invalid(name: str) -> None:
    verdict = examine(history(INVALID[name]))
    assert verdict.word == "invalid"
    assert verdict.explanation
    with pytest.raises(AssertionError, match="invalid"):
        judge(history(INVALID[name]))


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_judge_that_saw_too_little_says_so(name: str) -> None:
    assert examine(history(UNKNOWN[name])).word == "unknown"
    with pytest.raises(AssertionError, match="unknown"):
        judge(history(UNKNOWN[name]))


def test_too_few_operations_that_succeeded() -> None:
    few = history(VALID["one after the other"])
    assert examine(few, ok_min=3).word == "valid"
    assert examine(few, ok_min=4).word == "unknown"


def test_out_of_steps() -> None:
    assert examine(history(VALID["three unknown, two of them applied"]), steps_max=5).word == "unknown"


def test_the_explanation_is_short_and_names_the_answer_and_what_surrounds_it() -> None:
    table = OPEN + "0-1 open x 1 #x : ok 1\n" + "2- deposit a 9 : unknown\n 4-5 read x : ok 1\n"
    explanation = examine(history(table + "6-7 read a : ok 73\n 8-9 read a : ok 100")).explanation
    assert explanation.splitlines() == [
        "accounts a: 1 answers can be explained, the next cannot.",
        "  before it:",
        "    [0..1] c0@n1 open a 100 id=open-0 : ok balance=100",
        "    which may leave: a 100 (version 1)",
        "  not explained:",
        "    [6..7] c6@n1 read a : ok balance=73",
        "  perhaps at the same time:",
        "    [2..] c2@n1 deposit a 9 id=deposit-2 : unknown",
    ]
