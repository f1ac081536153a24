"""The contract of `replication/log.py`, which every log keeps."""

import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from bank.errors import LogUnreachable
from replication.log import FIRST, LAST, Log, Reader, Stored
from tests.support.cluster import eventually

Open = Callable[[], Log]


def take(reader: Reader, count: int, *, seconds: float = 10.0) -> list[Stored]:
    """Poll until `count` records came; fail if they do not."""
    found: list[Stored] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
        found += reader.poll(0.2)
    return found


def bodies(stored: list[Stored]) -> list[bytes]:
    return [item.body for item in stored]


def test_what_was_appended_is_read_in_order(log: Log) -> None:
    written = [b"record %d" % number for number in range(300)]
    for body in written:
        log.append(body)
    with closing(log.read_from(FIRST)) as reader:
        read = take(reader, 300)
    assert bodies(read) == written
    offsets = [item.offset for item in read]
    assert offsets == sorted(set(offsets))
    assert offsets[0] > 0, "0 is what a node knows that has applied nothing"


def test_a_body_comes_back_byte_for_byte(log: Log) -> None:
    written = [b"{}", bytes(range(256)), b"\x00", b"x" * (1024 * 1024)]
    for body in written:
        log.append(body)
    with closing(log.read_from(FIRST)) as reader:
        assert bodies(take(reader, len(written))) == written


def test_a_reader_begins_exactly_where_it_is_told(log: Log) -> None:
    for number in range(150):
        log.append(b"%d" % number)
    with closing(log.read_from(FIRST)) as reader:
        everything = take(reader, 150)
    for wanted in (0, 1, 70, 149):
        with closing(log.read_from(everything[wanted].offset)) as reader:
            assert take(reader, 150 - wanted)[0] == everything[wanted]


def test_a_reader_at_last_hears_what_is_appended_after_it_was_opened(log: Log) -> None:
    for number in range(20):
        log.append(b"%d" % number)
    with closing(log.read_from(LAST)) as reader:
        log.append(b"marker")
        heard: list[Stored] = []
        while not heard or heard[-1].body != b"marker":
            heard += take(reader, 1)
    assert len(heard) <= 21


def test_a_reader_at_last_of_an_empty_log_hears_the_first_record(log: Log) -> None:
    with closing(log.read_from(LAST)) as reader:
        assert reader.poll(0.01) == []
        log.append(b"first")
        assert bodies(take(reader, 1)) == [b"first"]


def test_a_reader_past_the_end_hears_what_comes_there(log: Log) -> None:
    log.append(b"one")
    with closing(log.read_from(FIRST)) as reader:
        [first] = take(reader, 1)
        assert reader.poll(0.01) == []
        log.append(b"two")
        [second] = take(reader, 1)
    assert second.body == b"two"
    assert second.offset > first.offset


def test_two_nodes_read_the_same(open_log: Open) -> None:
    one, two = open_log(), open_log()
    for number in range(50):
        (one if number % 2 else two).append(b"%d" % number)
    with closing(one.read_from(FIRST)) as reader, closing(two.read_from(FIRST)) as other:
        assert take(reader, 50) == take(other, 50)


def append_as_a_node_does(log: Log, body: bytes, repeated: set[bytes]) -> None:
    """Append, again if that fails: the record is then in the log at least once, and its body in `repeated`."""

    def is_stored() -> bool:
        try:
            log.append(body)
        except LogUnreachable:
            repeated.add(body)
            return False
        return True

    eventually(is_stored)


def test_many_writers_make_one_order(open_log: Open) -> None:
    logs = [open_log() for _ in range(4)]
    repeated: set[bytes] = set()

    def write(log: Log, name: int) -> None:
        for number in range(100):
            append_as_a_node_does(log, b"%d-%d" % (name, number), repeated)

    def read_all(reader: Reader) -> list[Stored]:
        read = take(reader, 400, seconds=30)
        for thread in threads:
            thread.join(30)
        append_as_a_node_does(logs[0], b"end", repeated)
        while b"end" not in bodies(read):
            read += take(reader, 1)
        return read[: bodies(read).index(b"end")]

    threads = [threading.Thread(target=write, args=(log, name)) for name, log in enumerate(logs)]
    for thread in threads:
        thread.start()
    with closing(logs[0].read_from(FIRST)) as first, closing(logs[1].read_from(FIRST)) as second:
        read = read_all(first)
        assert read_all(second) == read
    for name in range(4):
        mine: list[bytes] = []
        for body in bodies(read):
            if body.startswith(b"%d-" % name) and not (body in mine and body in repeated):
                mine.append(body)
        assert mine == [b"%d-%d" % (name, number) for number in range(100)], "each writer's own order is kept"


def test_a_waiting_reader_is_woken_by_an_append(open_log: Open) -> None:
    log, other = open_log(), open_log()
    came: list[Stored] = []
    with closing(log.read_from(FIRST)) as reader:
        waiter = threading.Thread(target=lambda: came.extend(take(reader, 1)))
        waiter.start()
        other.append(b"x")
        waiter.join(10)
    assert bodies(came) == [b"x"]


def test_a_poll_returns_when_its_time_is_up(log: Log) -> None:
    with closing(log.read_from(FIRST)) as reader:
        began = time.monotonic()
        assert reader.poll(0.05) == []
        assert time.monotonic() - began >= 0.04


def test_a_log_names_itself(open_log: Open) -> None:
    one, two = open_log(), open_log()
    assert one.identity == two.identity
    assert one.kind in {"memoria", "embutido", "rabbitmq"}


@pytest.mark.parametrize("offset", [FIRST, LAST])
def test_a_reader_may_be_closed_twice(log: Log, offset: int) -> None:
    reader = log.read_from(offset)
    reader.close()
    reader.close()
