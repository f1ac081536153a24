"""Clients that crawl or say nothing hold connections and nothing else. `bench/slow_clients.py` has the ratios."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bank.routes.server import CONNECTIONS_MAX
from tests.support.cluster import NodeProcess, eventually
from tests.support.crawlers import Crawlers
from tests.support.doors import Tokens, bearer


@pytest.mark.parametrize(("slow", "idle"), [(200, 0), (0, 2_000)], ids=["200 slow ones", "2000 idle ones"])
def test_other_customers_are_served_meanwhile(node: NodeProcess, slow: int, idle: int) -> None:
    node.start().wait_ready()
    assert node.post("/contas", {"id_conta": "A"}).status_code == 201
    with Crawlers(node.port, slow=slow, idle=idle) as crawlers, ThreadPoolExecutor(8) as customers:
        statuses = list(
            customers.map(lambda _: node.post("/contas/A/deposito", {"valor": 1}).status_code, range(200))
        )  # fmt: skip
        assert statuses == [200] * 200
        assert node.get("/saude").status_code == 200
        assert len(crawlers.connections) == slow + idle
    eventually(lambda: node.get("/contas/A").json()["saldo"] == 200)


def test_slow_clients_without_a_token_keep_nobody_waiting_who_has_one(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    node = NodeProcess(tmp_path / "dados", environment=tokens.environment | {"THREADS": "4"}).start()
    shown = bearer(tokens.of["operador"])
    try:
        node.wait_ready()
        assert node.post("/contas", {"id_conta": "A"}, headers=shown).status_code == 201
        with Crawlers(node.port, slow=200), ThreadPoolExecutor(8) as customers:
            deposit = lambda _: node.post("/contas/A/deposito", {"valor": 1}, headers=shown).status_code  # noqa: E731
            assert list(customers.map(deposit, range(100))) == [200] * 100
        assert node.get("/contas/A", headers=shown).json()["saldo"] == 100
    finally:
        node.kill()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("files", [20_000, 1_000], ids=["as it is", "that may open few files"])
def test_ten_thousand_idle_connections_leave_a_node_as_it_was(tmp_path: Path, files: int) -> None:
    """They make room for each other and for customers; what the node holds open stays bounded."""
    node = NodeProcess(tmp_path / "dados")
    node.command = ["prlimit", f"--nofile={files}:{files}", *node.command]
    node.start()
    try:
        node.wait_ready()
        assert node.process is not None
        assert node.post("/contas", {"id_conta": "A"}).status_code == 201
        open_files = Path(f"/proc/{node.process.pid}/fd")
        with Crawlers(node.port, idle=10_000) as crawlers:
            assert len(crawlers.connections) == 10_000
            with ThreadPoolExecutor(8) as customers:
                deposits = [
                    customers.submit(node.post, "/contas/A/deposito", {"valor": 1}, timeout=60) for _ in range(100)
                ]
                assert [one.result().status_code for one in deposits] == [200] * 100
            assert len(list(open_files.iterdir())) < min(files, CONNECTIONS_MAX + 256)
            assert node.get("/saude").json()["pronto"] is True
        books = node.get("/auditoria").json()
        assert (books["confere"], str(books["soma_saldos"])) == (True, "100.00")
        assert node.is_running
        assert "threw an exception" not in node.output()
    finally:
        node.kill()
