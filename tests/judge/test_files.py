"""Histories as files, and the command."""

from pathlib import Path

import pytest

from tests.judge.__main__ import main
from tests.judge.history import UnreadableHistoryError, read_history, write_history
from tests.judge.simulated import simulated
from tests.judge.tables import history

VALID = "0-1 open a 100 : ok 100\n 2-3 read a : ok 100"
INVALID = "0-1 open a 100 : ok 100\n 2-3 read a : ok 99"
UNKNOWN = "0-1 open a 100 : ok 100"
GOOD_LINE = '{"client":"c","node":"n","begin":2,"end":3,"op":"read","account":"a","outcome":"ok","balance_cents":1}'


def test_what_is_written_is_read(tmp_path: Path) -> None:
    events = simulated(0, 500, "abc")
    write_history(tmp_path / "history", events)
    assert read_history(tmp_path / "history") == events


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"end":3', '"end":1', "it ends before it begins"),
        ('"end":3', '"end":null', "an answer has an end"),
        ('"ok"', '"refused"', "a refusal has a code"),
        ('"read"', '"deposit"', "every operation has an id"),
        ('"read"', '"deposit","id":"x"', "every operation has an amount"),
        ('"read"', '"open","id":"x","amount_cents":1', "an open has a limit"),
        ('"read"', '"transfer","id":"x","amount_cents":1', "a transfer has a counterpart"),
        (',"balance_cents":1', "", "says a balance"),
        ('"node"', '"nodo"', "nodo"),
        ("}", "", "truncated"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "history"
    path.write_text(f"{GOOD_LINE}\n{GOOD_LINE.replace(old, new, 1)}\n", encoding="utf-8")
    with pytest.raises(UnreadableHistoryError, match=f"history:2: .*{reason}"):
        read_history(path)


def test_the_command_judges_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, table in {"valid": VALID, "invalid": INVALID, "unknown": UNKNOWN}.items():
        write_history(tmp_path / name, history(table))
    valid, invalid, unknown, missing = (str(tmp_path / name) for name in ("valid", "invalid", "unknown", "missing"))
    assert main([valid]) == 0
    assert main([valid, invalid, unknown]) == 1
    assert main([valid, unknown]) == 2
    assert main([valid, missing]) == 2
    assert main([]) == 2
    printed = capsys.readouterr().out
    assert f"{invalid}: invalid\naccounts a: " in printed
    assert f"{missing}: No such file" in printed
