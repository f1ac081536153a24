"""What listens: at every address of a host name, with the same strictness."""

from typing import Any

import pytest
from flask import Flask
from waitress.server import BaseWSGIServer

from bank.config import Config
from bank.routes import server


def test_every_address_of_a_host_is_guarded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = [BaseWSGIServer.__new__(BaseWSGIServer) for _ in range(2)]

    def create_server(_app: Flask, *, map: dict[int, Any], **_settings: Any) -> object:  # noqa: A002 - waitress' name
        map.update(enumerate([*opened, object()]))  # and what wakes its loop up
        return object()

    monkeypatch.setattr(server, "create_server", create_server)
    app = Flask("banco")
    app.extensions["banco"] = type("Bank", (), {"metrics": "metrics"})
    server.listen(app, Config(node_name="banco-1", host="localhost"))
    assert [vars(one)["channel_class"] for one in opened] == [server._Channel] * 2
    assert [vars(one)["metrics"] for one in opened] == ["metrics"] * 2
