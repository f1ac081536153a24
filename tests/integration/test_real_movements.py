"""Real account movements through the importer and three nodes, against the balances that the bank itself recorded.

The data stay out of the repository; without them these tests skip and say so.
"""

import csv
import os
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.cluster import ROOT, Cluster, eventually

MOVEMENTS = Path(os.environ.get("MOVEMENTS_CSV", ROOT.parent / "shared" / "data" / "berka-150.csv"))
ROUNDING = Decimal("0.60")  # the bank rounded to ten haléřů; its own documentation of the data bounds the drift

pytestmark = pytest.mark.skipif(
    not MOVEMENTS.exists(), reason=f"no movements at {MOVEMENTS} (MOVEMENTS_CSV names others)"
)


def import_movements(cluster: Cluster, *more: str) -> "subprocess.Popen[str]":
    servers = [argument for url in cluster.urls for argument in ("--servidor", url)]
    command = [sys.executable, "-m", "bank.importer", str(MOVEMENTS), *servers, "--limite", "20000", *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(importer: "subprocess.Popen[str]") -> str:
    output, _ = importer.communicate(timeout=240)
    assert importer.returncode == 0, output
    return output


def expected_balances() -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    exact: dict[str, Decimal] = defaultdict(Decimal)
    recorded: dict[str, Decimal] = {}
    with MOVEMENTS.open(encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            sign = 1 if line["op"] == "deposito" else -1
            exact[line["conta"]] += sign * Decimal(line["valor"])
            recorded[line["conta"]] = Decimal(line["saldo_registrado"])
    return exact, recorded


def assert_every_balance_is_right(cluster: Cluster) -> dict[str, object]:
    exact, recorded = expected_balances()
    assert len(exact) == 150
    books = cluster.settled_books()
    for node in cluster.nodes:
        for account, balance in exact.items():
            shown = node.get(f"/contas/{account}").json(parse_float=Decimal)["saldo"]
            assert shown == balance
            assert abs(shown - recorded[account]) <= ROUNDING
    return books


@pytest.mark.timeout(300)
def test_real_movements_end_at_the_recorded_balances_and_importing_again_changes_nothing(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        finish(import_movements(cluster))
        books = assert_every_balance_is_right(cluster)
        finish(import_movements(cluster, "--lote", "100"))
        again = cluster.settled_books()
        for key in ("contas", "soma_saldos", "depositos", "saques"):
            assert again[key] == books[key]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("records", "more"), [pytest.param(500, (), marks=pytest.mark.long), (20, ("--lote", "100"))])
def test_a_node_killed_in_the_middle_of_an_import_changes_nothing(
    tmp_path: Path, records: int, more: tuple[str, ...]
) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        importer = import_movements(cluster, *more)
        victim = cluster.nodes[1]
        eventually(lambda: cluster.nodes[0].get("/auditoria").json()["posicao"] > records, seconds=60)
        assert importer.poll() is None, "the import ended before the kill"
        victim.kill()
        victim.start().wait_ready()
        finish(importer)
        assert_every_balance_is_right(cluster)
