"""What becomes of a node when its HTTP server does: it ends, for nobody could reach it or ask it how it is."""

import contextlib
import socket
import sys
from pathlib import Path

import pytest

from tests.support.cluster import NodeProcess

PLANT = """
import os, sys
import waitress.server, waitress.wasyncore
real = {target}
def planted(*arguments):
    if os.path.exists(os.environ["PLANTED"]):
        raise RuntimeError("planted")
    return real(*arguments)
{target} = planted
import api
sys.exit(api.main())
"""


@pytest.mark.long
@pytest.mark.parametrize("target", ["waitress.wasyncore.poll2", "waitress.server.BaseWSGIServer.fix_addr"])
def test_a_node_whose_server_fails_ends_and_says_why(tmp_path: Path, target: str) -> None:
    """In its loop; or as it takes a connection, after which waitress alone would go on with nobody listening."""
    node = NodeProcess(tmp_path / "dados", environment={"PLANTED": str(tmp_path / "planted")})
    node.command = [sys.executable, "-c", PLANT.format(target=target)]
    node.start()
    try:
        node.wait_ready()
        (tmp_path / "planted").touch()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", node.port), timeout=15).close()
        assert node.wait(30) == 1
    finally:
        if node.is_running:
            node.kill()
    said = node.output()
    assert "thread died" in said
    assert "server" in said
    assert "planted" in said
