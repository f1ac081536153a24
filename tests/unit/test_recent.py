"""What is told to all readers of `/eventos` alike: each gets every entry after its own place, in order."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bank import feed
from bank.config import Config
from bank.operations import Deposit, Open
from bank.routes import events
from bank.runtime import Runtime, open_runtime
from tests.support.cluster import eventually

KEPT, PAGE = 6, 3


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A node that keeps few entries and reads few at a time."""
    monkeypatch.setattr(events, "RECENT_MAX", KEPT)
    monkeypatch.setattr(feed, "PAGE_ENTRIES", PAGE)
    node = open_runtime(Config(node_name="banco-1", data_dir=tmp_path, genesis_wait_ms=100), on_end=lambda _: None)
    node.start()
    eventually(lambda: node.health().ready)
    node.submit(Open("open", "A", 0, 0))
    for number in range(20):
        node.submit(Deposit(f"k{number}", "A", 1))
    yield node
    node.stop()


def numbers(node: Runtime) -> dict[str, int]:
    """Return the number of each entry by its operation's id."""
    entries = [entry for page in range(0, 60, PAGE) for entry in node.history.entries_after(page, PAGE)]
    return {entry.operation.id: entry.number for entry in entries}


def told_after(recent: events._Recent, number: int) -> tuple[int, list[str]]:
    """Ask for one page; return the number of its last entry, and the ids in it."""
    last, page = recent.after(number)
    lines = [line.removeprefix("data: ") for line in page.decode().splitlines() if line.startswith("data: ")]
    return last, [json.loads(line)["id_operacao"] for line in lines]


def test_readers_anywhere_are_told_all_that_comes_after_their_place(node: Runtime) -> None:
    known = numbers(node)
    in_order = sorted(known, key=known.__getitem__)
    ends = max(known.values())
    starts = [0, 3, ends - PAGE, ends - KEPT, ends - KEPT - 1, ends - KEPT - 2, ends - 1, ends]
    for pair in itertools.product(starts, repeat=2):  # whoever came before left something, or nothing, in the middle
        recent = events._Recent(node.feed, with_who=False)
        for start in pair:
            number, told = start, list[str]()
            while (page := told_after(recent, number))[1]:
                number = page[0]
                told += page[1]
            assert told == [name for name in in_order if known[name] > start]


def test_a_reader_far_ahead_of_the_others_does_not_wait_for_them(node: Runtime) -> None:
    ends = max(numbers(node).values())
    recent = events._Recent(node.feed, with_who=False)
    assert told_after(recent, 0)[0] == PAGE, "others are here"
    assert told_after(recent, ends - 1)[0] == ends
