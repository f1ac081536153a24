"""What a customer typed only selects a row of the table."""

import pytest

from bank.routes.addresses import find_node, find_server
from bank.views import NodeView


def node(name: str, *addresses: str) -> NodeView:
    return NodeView(name, addresses, 0, 0, "pronto", "", "", 0)


NODES = [node("banco-1", "http://127.0.0.1:5000", "https://banco.example"), node("banco-2", "http://[::1]:5001")]


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("banco-1", "http://127.0.0.1:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost:5000", "http://127.0.0.1:5000"),
        ("LOCALHOST:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://127.0.0.1:5000"),
        ("http://localhost:5000", "http://127.0.0.1:5000"),
        ("http://localhost:5000/", "http://127.0.0.1:5000"),
        ("https://banco.example", "http://127.0.0.1:5000"),
        ("https://banco.example:443", "http://127.0.0.1:5000"),
        ("localhost:5001", "http://[::1]:5001"),
    ],
)
def test_every_spelling_of_a_row_selects_it(typed: str, address: str) -> None:
    assert find_node(typed, NODES) == address


@pytest.mark.parametrize(
    "typed",
    [
        "", "banco-3", "BANCO-1", "localhost", "localhost:5002", "127.0.0.2:5000", "127.1:5000", "2130706433:5000",
        "0x7f000001:5000", "0177.0.0.1:5000", "0.0.0.0:5000", "user@localhost:5000", "http://user:pw@localhost:5000",
        "http://localhost:5000@evil.example", "http://evil.example#@localhost:5000", "http://localhost:5000/contas",
        "http://localhost:5000?x=1", "ftp://localhost:5000", "//localhost:5000", "https://localhost:5000",
        "localhost:5000\n", "localhost:5000 ", " localhost:5000", "localhost.:5000", "[::ffff:127.0.0.1]:5000",
        "localhost:05000x", "localhost:", "http://", "localhost:5000\r\nHost: x", "loc\u0430lhost:5000",
    ],
)  # fmt: skip
def test_a_disguise_selects_nothing(typed: str) -> None:
    assert find_node(typed, NODES) is None


def test_a_server_outside_the_log_is_selected_among_those_allowed() -> None:
    allowed = ("https://other.example", "http://10.0.0.1:5000")
    assert find_server("other.example:443", allowed) is None or find_server("other.example:443", allowed) == allowed[0]
    assert find_server("10.0.0.1:5000", allowed) == allowed[1]
    assert find_server("10.0.0.2:5000", allowed) is None
