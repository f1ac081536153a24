"""What listens: at every address of a host name, with the same strictness."""

import os
import select
from typing import Any

import pytest
from flask import Flask
from waitress.server import BaseWSGIServer
from waitress.trigger import trigger

from bank.config import Config
from bank.routes import server


def test_every_address_of_a_host_is_guarded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = [BaseWSGIServer.__new__(BaseWSGIServer) for _ in range(2)]
    for one in opened:
        one.trigger = trigger({})

    def create_server(_app: Flask, *, map: dict[int, Any], **_settings: Any) -> object:  # noqa: A002 - waitress' name
        map.update(enumerate([*opened, object()]))  # and what wakes its loop up
        return object()

    monkeypatch.setattr(server, "create_server", create_server)
    app = Flask("banco")
    app.extensions["banco"] = type("Bank", (), {"metrics": "metrics"})
    server.listen(app, Config(node_name="banco-1", host="localhost"))
    assert [vars(one)["channel_class"] for one in opened] == [server._Channel] * 2
    assert [vars(one)["metrics"] for one in opened] == ["metrics"] * 2
    assert [type(vars(one)["trigger"]) for one in opened] == [server._Bell] * 2
    for one in opened:
        one.trigger.close()


def test_a_bell_is_rung_once_until_it_was_heard() -> None:
    bell = server._Bell({})
    try:
        for _ in range(3):
            bell.pull_trigger()
        assert os.read(bell.socket.fileno(), 100) == b"x"
        bell.pull_trigger()
        assert not select.select([bell.socket.fileno()], [], [], 0)[0], "nobody has heard the first one"
        bell.is_rung = False
        bell.pull_trigger()
        bell.handle_read()
        assert not select.select([bell.socket.fileno()], [], [], 0)[0]
        bell.pull_trigger()
        assert os.read(bell.socket.fileno(), 100) == b"x", "after it was heard it rings again"
    finally:
        bell.close()


class Channel:
    """Keeps what a task writes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.server = type("Server", (), {"adj": type("Adjustments", (), {"ident": None})})

    def write_soon(self, data: bytes) -> int:
        self.written += [data] if data else []
        return len(data)


@pytest.mark.parametrize(
    ("length", "parts", "packets"),
    [
        (5, [b"hello"], [b"hello"]),
        (5, [b"he", b"llo"], [b"he", b"llo"]),
        (3, [b"hello"], [b"hel"]),  # no more than was promised
        (None, [b"hello"], [b"", b"5\r\nhello\r\n"]),  # a stream: waitress' own way, in chunks
        (0, [b""], [b""]),
    ],
)
def test_the_head_goes_out_with_what_comes_first(length: int | None, parts: list[bytes], packets: list[bytes]) -> None:
    channel, request = Channel(), type("Request", (), {"version": "1.1", "headers": {}})
    task = server._Task(channel, request)
    task.complete, task.content_length = True, length
    for part in parts:
        task.write(part)
    first, *rest = channel.written
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [body, *rest] == packets
