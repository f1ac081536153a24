"""Histories as tables, for tests: one attempt a line.

    0-1  open a 100 limit=50      : ok 100
    2-3  transfer a>b 30 #t @n2   : ok 70
    4-   deposit a 5 #d           : unknown
    6-7  read a                   : ok 70 v2 stale

`#id` is the operation's id (its line's begin and name if not given), `@node` the node; `replayed`, `stale` and `final`
stand behind the outcome.
"""

from typing import Any

import msgspec

from tests.judge.history import Event

__all__ = ["history"]


def history(table: str) -> list[Event]:
    """Return the events of a table."""
    return [_event(line) for line in table.splitlines() if line.strip()]


def _event(line: str) -> Event:
    asked, told = line.split(":")
    times, op, names, *details = asked.split()
    begin, end = times.split("-")
    account, _, counterpart = names.partition(">")
    fields: dict[str, Any] = {"client": f"c{begin}", "node": "n1", "op": op, "account": account, "begin": int(begin)}
    fields |= {"end": int(end) if end else None, "counterpart": counterpart or None}
    fields |= {} if op == "read" else {"id": f"{op}-{begin}"}
    fields |= {"limit_cents": 0} if op == "open" else {}
    marks = {"#": "id", "@": "node"}
    for word in details:
        if word[0] in marks:
            fields[marks[word[0]]] = word[1:]
        elif word.startswith("limit="):
            fields["limit_cents"] = int(word.removeprefix("limit="))
        else:
            fields["amount_cents"] = int(word)
    return msgspec.convert(fields | _answer(told.split()), Event)


def _answer(words: list[str]) -> dict[str, Any]:
    first, *rest = words
    fields: dict[str, Any] = {"outcome": first} if first.islower() else {"outcome": "refused", "code": first}
    for word in rest:
        if word in {"replayed", "final"}:
            fields[word] = True
        elif word == "stale":
            fields["consistency"] = word
        elif word.startswith("v"):
            fields["version"] = int(word[1:])
        else:
            fields["balance_cents"] = int(word)
    return fields
