"""The examples of README.md, sent to real nodes as they stand there, each twice: money moves once."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.documents import at_real_ports, blocks_of, clone_in, environment

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

HEAD = 'curl() { command curl --silent --show-error --fail-with-body --max-time 30 --write-out "\\n" "$@"; }\n'
"""Lets an error of the bank be an error of the script."""
TOTALS = ("contas", "soma_saldos", "depositos", "saques")


def blocks() -> list[str]:
    return [block.text for block in blocks_of("README.md", "bash")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of this test's own: examples count on an empty bank."""
    with Cluster.running(tmp_path_factory.mktemp("dados"), 3) as nodes:
        yield nodes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return clone_in(tmp_path)


def run(block: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=HEAD + block,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_example_works_twice_and_moves_its_money_once(cluster: Cluster, folder: Path) -> None:
    ports = [node.port for node in cluster.nodes]
    examples = [at_real_ports(block, ports) for block in blocks()]
    assert sum("curl" in example for example in examples) >= 8, "a check that saw nothing proves nothing"
    for example in examples:
        run(example, folder)
        books = cluster.settled_books()
        run(example, folder)
        again = cluster.settled_books()
        assert {name: again[name] for name in TOTALS} == {name: books[name] for name in TOTALS}, example
    assert books["depositos"] != "0.00", "no example moved anything"
    assert books["saques"] != "0.00"


def test_every_route_that_clients_know_has_its_example() -> None:
    text = "\n".join(blocks())
    for path in (
        "-X POST http://127.0.0.1:5000/contas ",
        "curl http://127.0.0.1:5001/contas/bruno",
        "/contas/ana/deposito",
        "/contas/ana/saque",
        "/transferencia/ana",
        "/saldo-outro-servidor/ana/",
        "/transacao-outro-servidor",
        "/lote",
        "/contas/ana/extrato",
        "/auditoria",
        "/cluster",
        "/saude",
    ):
        assert path in text
