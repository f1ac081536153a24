"""The routes against their own OpenAPI document: schemathesis makes up requests, valid and not, and checks answers."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

pytest.importorskip("schemathesis")

CONFIG = Path(__file__).with_name("schemathesis.toml")
SEED = "20261123"
HOOKS = """
import schemathesis

@schemathesis.hook
def filter_body(context, body):
    # To JSON Schema 5724.0 is an integer. To this bank it is no account id: see test_bad_requests.py.
    asked = body.get("operacoes", [body]) if isinstance(body, dict) else []
    return not any(
        isinstance(one.get(name), float) and one[name].is_integer()
        for one in (asked if isinstance(asked, list) else []) if isinstance(one, dict)
        for name in ("id_conta", "conta_destino")
    )
"""
RUN_S_MAX = 150
EXAMPLES_MAX = 100


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of the test's own: it leaves them full of made-up accounts."""
    with Cluster.running(tmp_path / "dados", 3) as nodes:
        yield nodes


@contextmanager
def deposits_elsewhere(cluster: Cluster) -> Iterator[list[int]]:
    """Deposit 1.00 after 1.00 at the other nodes meanwhile; the list holds the statuses."""
    _, *others = cluster.nodes
    assert others[0].post("/contas", {"id_conta": "ao-lado"}).status_code == 201
    done, statuses = threading.Event(), list[int]()

    def deposit() -> None:
        while not done.wait(0.05):
            node = others[len(statuses) % len(others)]
            statuses.append(node.post("/contas/ao-lado/deposito", {"valor": 1}).status_code)

    customer = threading.Thread(target=deposit)
    customer.start()
    try:
        yield statuses
    finally:
        done.set()
        customer.join()


@pytest.mark.slow
@pytest.mark.timeout(RUN_S_MAX + 60)
def test_every_route_keeps_to_its_document_while_others_deposit(cluster: Cluster, tmp_path: Path) -> None:
    asked = cluster.nodes[0]
    command = [
        *(str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG), "run", f"{asked.url}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES_MAX), "--seed", SEED),
        *("--generation-database", "none", "--request-timeout", "15", "--no-color"),
    ]
    (tmp_path / "ganchos.py").write_text(HOOKS, encoding="utf-8")
    position = asked.get("/cluster").headers["X-Posicao"]
    environment = os.environ | {"X_POSICAO": position, "SCHEMATHESIS_HOOKS": "ganchos"}
    with deposits_elsewhere(cluster) as statuses:
        run = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
        )
    assert run.returncode == 0, run.stdout[-60_000:] + run.stderr
    assert statuses, "a check that saw nothing proves nothing"
    assert statuses == [200] * len(statuses)
    cluster.settled_books()
    for node in cluster.nodes:
        assert node.get("/saude").status_code == 200
        assert "request failed" not in node.output(), "no ERRO_INTERNO"
