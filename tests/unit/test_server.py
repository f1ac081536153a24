"""What listens: at every address of a host name, with the same strictness, and with room for whoever comes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from waitress.server import BaseWSGIServer

from bank.config import Config
from bank.routes import server
from tests.support.cluster import eventually, free_port

PLACES = 80
ASKED = b"GET / HTTP/1.1\r\nHost: banco\r\n\r\n"


class _Metrics:
    def answered(self, *_: object) -> None:
        """Count nothing."""


def application() -> Flask:
    app = Flask("banco")
    app.extensions["banco"] = type("Bank", (), {"metrics": _Metrics()})
    app.add_url_rule("/", "hello", lambda: "hello")
    return app


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], Any]]:
    """Serve an application until the test ends; return what listens."""
    with ExitStack() as ends:

        def run(app: Flask) -> Any:
            listening = server.listen(app, Config(node_name="banco-1", port=free_port()))
            thread = threading.Thread(target=listening.run)
            thread.start()
            ends.callback(thread.join, 20)
            ends.callback(listening.close)
            ends.callback(listening.task_dispatcher.shutdown, timeout=1)
            return listening

        yield run


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def greet(connection: socket.socket) -> None:
    """Ask and wait for the whole answer; fail if the connection is closed."""
    connection.sendall(ASKED)
    answer = b""
    while not answer.endswith(b"hello"):
        chunk = connection.recv(65_536)
        assert chunk, "closed"
        answer += chunk


def is_closed(connection: socket.socket) -> bool:
    """Tell whether the other side has closed a connection on which it says nothing."""
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.settimeout(20)


def test_every_address_of_a_host_is_guarded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = [BaseWSGIServer.__new__(BaseWSGIServer) for _ in range(2)]

    def create_server(_app: Flask, *, map: dict[int, Any], **_settings: Any) -> object:  # noqa: A002 - waitress' name
        map.update(enumerate([*opened, object()]))  # and what wakes its loop up
        return object()

    monkeypatch.setattr(server, "create_server", create_server)
    app = application()
    server.listen(app, Config(node_name="banco-1", host="localhost"))
    assert [vars(one)["channel_class"] for one in opened] == [server._Channel] * 2
    assert [vars(one)["metrics"] for one in opened] == [app.extensions["banco"].metrics] * 2
    assert [vars(one)["maintenance"].args for one in opened] == [(one,) for one in opened]


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


def test_whoever_comes_finds_room_and_those_who_were_idle_longest_make_it(
    serve: Callable[[Flask], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_connections_max", lambda: PLACES)
    port = serve(application()).effective_port
    with ExitStack() as connections:
        idle = []
        for _ in range(3 * PLACES):
            idle.append(connections.enter_context(connect(port)))
            if len(idle) == PLACES // 8:
                active = connections.enter_context(connect(port))
            if len(idle) >= PLACES // 8:
                greet(active)  # who goes on asking keeps its connection
        eventually(lambda: sum(map(is_closed, idle)) >= 2 * PLACES)
        assert not is_closed(idle[-1])
        assert is_closed(idle[0])


def test_when_all_places_were_taken_by_requests_the_next_one_gets_in_soon_after(
    serve: Callable[[Flask], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_connections_max", lambda: PLACES)
    monkeypatch.setattr(server, "LOOK_S", 1)
    app, door = application(), threading.Event()
    app.add_url_rule("/slow", "slow", lambda: str(door.wait(20)))
    listening = serve(app)

    def busy() -> int:
        return sum(bool(channel.requests) for channel in tuple(listening.active_channels.values()))

    with ExitStack() as connections:
        slow = []
        while not listening.in_connection_overflow:
            slow.append(connections.enter_context(connect(listening.effective_port)))
            slow[-1].sendall(ASKED.replace(b"/ ", b"/slow ", 1))
            eventually(lambda: listening.in_connection_overflow or busy() == len(slow))
        late = connections.enter_context(connect(listening.effective_port))
        door.set()
        greet(late)
        assert PLACES - 8 < len(slow) <= PLACES
        assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in slow), "none was cut in the middle"


def test_when_even_the_answer_to_a_failure_fails_the_client_does_not_wait(
    serve: Callable[[Flask], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    port = serve(application()).effective_port
    monkeypatch.setattr(server, "problem_fields", fail)
    with connect(port) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(65_536) == b""
    with connect(port) as client:
        greet(client)  # others are served
