"""Clients that crawl or say nothing hold connections and nothing else. `bench/slow_clients.py` has the ratios."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.cluster import NodeProcess, eventually
from tests.support.crawlers import Crawlers


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
