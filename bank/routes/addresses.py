"""Addresses: what a customer typed only selects a row of a table; the row's own address is what gets called.

An address is a node's name, `host:port`, or an http(s) URL without path, query or user. `localhost`, `127.0.0.1` and
`[::1]` are the same host. Whatever matches no row (decimal addresses, `user@host`, other spellings) is unknown.
"""

import re
from collections.abc import Iterable

from bank.views import NodeView

__all__ = ["find_node", "find_server"]

_URL = re.compile(r"(?:(https?)://)?(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?/?")
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def find_node(typed: str, nodes: Iterable[NodeView]) -> str | None:
    """Return the address of the node that this text names, or None."""
    wanted = _place(typed)
    for node in nodes:
        if typed == node.name or (wanted is not None and any(_matches(wanted, url) for url in node.addresses)):
            return node.addresses[0]
    return None


def find_server(typed: str, allowed: Iterable[str]) -> str | None:
    """Return the URL among those allowed that this text names, or None."""
    wanted = _place(typed)
    return next((url for url in allowed if wanted is not None and _matches(wanted, url)), None)


def _matches(wanted: tuple[str, str, int], url: str) -> bool:
    row = _place(url)
    # A scheme that the customer did not type is the row's.
    return row is not None and wanted[1:] == row[1:] and wanted[0] in {"", row[0]}


def _place(text: str) -> tuple[str, str, int] | None:
    match = _URL.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match[1] or "", match[2].lower(), match[3]
    default_port = {"http": 80, "https": 443}.get(scheme, 0)
    return scheme, "localhost" if host in _LOOPBACK else host, int(port) if port else default_port
