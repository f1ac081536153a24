"""The links that faults are made of do what they say: a link that passed everything would break nothing."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.support.link import Link


@pytest.fixture
def line() -> Iterator[tuple[Link, socket.socket, socket.socket]]:
    """A link, and a node and a broker that have a connection through it."""
    with ExitStack() as rest:
        server = rest.enter_context(socket.create_server(("127.0.0.1", 0)))
        link = Link(server.getsockname()[1])
        rest.callback(link.close)
        node = rest.enter_context(socket.create_connection(("127.0.0.1", urlsplit(link.url).port or 0), timeout=10))
        server.settimeout(10)
        broker = rest.enter_context(server.accept()[0])
        broker.settimeout(10)
        yield link, node, broker


def test_what_a_stalled_link_holds_arrives_late(line: tuple[Link, socket.socket, socket.socket]) -> None:
    link, node, broker = line
    link.stall()
    node.sendall(b"late")
    broker.settimeout(0.2)
    with pytest.raises(TimeoutError):
        broker.recv(10)
    link.mend()
    broker.settimeout(10)
    assert broker.recv(10) == b"late"


def test_a_deaf_node_is_heard_and_what_it_was_told_is_lost(line: tuple[Link, socket.socket, socket.socket]) -> None:
    link, node, broker = line
    link.deafen()
    broker.sendall(b"lost")
    node.sendall(b"heard")
    assert broker.recv(10) == b"heard"
    link.mend()
    assert node.recv(10) == b""


def test_a_mute_node_hears_and_what_it_said_is_lost(line: tuple[Link, socket.socket, socket.socket]) -> None:
    link, node, broker = line
    link.mute()
    node.sendall(b"lost")
    broker.sendall(b"heard")
    assert node.recv(10) == b"heard"
    link.mend()
    assert broker.recv(10) == b""


def test_what_is_said_into_a_cut_link_is_lost_both_ways(line: tuple[Link, socket.socket, socket.socket]) -> None:
    link, node, broker = line
    link.cut()
    node.sendall(b"lost")
    broker.sendall(b"lost too")
    link.mend()
    assert (node.recv(10), broker.recv(10)) == (b"", b"")
