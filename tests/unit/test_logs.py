"""The node's own log: what a line looks like in either form, and one line for each change of state."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bank.config import Config
from bank.errors import LogUnreachable
from bank.logs import REQUEST_ID, JsonFormatter, TextFormatter
from bank.operations import Open
from bank.runtime import Runtime, open_runtime
from replication.embedded import EmbeddedLog, EmbeddedPresence
from tests.support.cluster import eventually


@contextmanager
def serving(request_id: str) -> Iterator[None]:
    token = REQUEST_ID.set(request_id)
    yield
    REQUEST_ID.reset(token)


def record(**extra: object) -> logging.LogRecord:
    """Return what is logged at a fixed moment."""
    made = logging.LogRecord("bank.watch", logging.WARNING, "x.py", 1, "state changed", None, None)
    made.created = 1_769_860_800.25
    vars(made).update(extra)
    return made


def test_a_json_line_holds_the_same_keys_as_a_text_line() -> None:
    with serving("r-1"):
        text = TextFormatter("banco-1").format(record(state="pronto", position=7))
        line = json.loads(JsonFormatter("banco-1").format(record(state="pronto", position=7)))
    assert text.endswith(" WARNING bank.watch state changed node='banco-1' request_id='r-1' state='pronto' position=7")
    assert line == {
        "time": "2026-01-31T12:00:00.250Z",
        "level": "WARNING",
        "logger": "bank.watch",
        "message": "state changed",
        "node": "banco-1",
        "request_id": "r-1",
        "state": "pronto",
        "position": 7,
    }


def test_outside_a_request_no_line_has_a_request_id() -> None:
    with serving(""):
        assert "request_id" not in TextFormatter("banco-1").format(record())
        assert "request_id" not in JsonFormatter("banco-1").format(record())


def test_a_stack_stays_on_its_json_line() -> None:
    with pytest.raises(ValueError, match="base 10") as caught:
        int("seven")
    text = JsonFormatter("banco-1").format(record(exc_info=(caught.type, caught.value, caught.tb)))
    assert "\n" not in text
    stack = json.loads(text)["stack"]
    assert stack.startswith("Traceback (most recent call last):\n")
    assert stack.endswith("\nValueError: invalid literal for int() with base 10: 'seven'")


@pytest.mark.parametrize("value", ["a\nb", "ção", "\udc80", ("http://a", "http://b"), Path("dados"), b"\xff", None])
def test_whatever_a_line_was_logged_with_is_one_line_of_ascii_json(value: object) -> None:
    text = JsonFormatter("banco-1").format(record(reason=value))
    assert text.isascii()
    assert "\n" not in text
    assert "reason" in json.loads(text)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Runtime]:
    """A node that accepts writes, with hasty heartbeats."""
    config = Config(node_name="banco-1", data_dir=tmp_path, genesis_wait_ms=100, heartbeat_ms=10)
    node = open_runtime(config, on_end=lambda _: None)
    node.start()
    eventually(lambda: node.health().ready)
    yield node
    node.stop()


class Refusal:
    """A call that fails as one to a log that is away, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: object) -> None:
        self.count += 1
        raise LogUnreachable(f"attempt {self.count}")


def events(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    """Return what a module logged of outages; the node's state changes now and then for reasons of its own."""
    found = [record.getMessage() for record in caplog.records if record.name == logger]
    return [event for event in found if event != "state changed"]


def test_an_outage_of_the_log_is_said_once_and_so_is_its_end(
    node: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refusal = Refusal()
    with monkeypatch.context() as trouble:
        trouble.setattr(EmbeddedLog, "append", refusal)
        trouble.setattr(EmbeddedLog, "read_from", refusal)
        node._desk.reattach.set()
        node._desk.begin_attach()
        eventually(lambda: refusal.count >= 6)
    eventually(lambda: node.health().ready)
    node.submit(Open("k", "A", 0, 0))
    assert events(caplog, "bank.applier") == ["log unreachable", "log attached"]
    assert events(caplog, "bank.publisher") == ["publish failed"]


def test_an_outage_of_presence_is_said_once_and_so_is_its_end(
    node: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refusal = Refusal()
    with monkeypatch.context() as trouble:
        trouble.setattr(EmbeddedPresence, "exchange", refusal)
        eventually(lambda: refusal.count >= 3)
    eventually(lambda: "presence answers" in events(caplog, "bank.watch"))
    assert events(caplog, "bank.watch") == ["presence unreachable", "presence answers"]
