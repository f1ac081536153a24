"""The importer with many lines in one request: the same lines under the same keys, so both ways may be mixed."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.support.cluster import ROOT, Cluster, eventually

ACCOUNTS = [f"imp-{number}" for number in range(40)]
LINES = 4_000
TOTALS = ("contas", "soma_saldos", "depositos", "saques")


def write_movements(path: Path) -> Counter[str]:
    """Write deposits and transfers, each covered if the order holds; return the balances that they lead to."""
    random, balances, lines = Random(1974), Counter[str](), ["conta,op,valor,conta_destino"]
    while len(lines) <= LINES:
        origin, target = random.sample(ACCOUNTS, 2)
        if balances[origin] > 0 and random.random() < 0.6:
            amount = random.randint(1, balances[origin])
            balances[origin] -= amount
            balances[target] += amount
            lines.append(f"{origin},transferencia,{amount},{target}")
        else:
            amount = random.randint(1, 9)
            balances[origin] += amount
            lines.append(f"{origin},deposito,{amount},")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return balances


def start_import(path: Path, cluster: Cluster, *more: str) -> "subprocess.Popen[str]":
    servers = [argument for url in cluster.urls for argument in ("--servidor", url)]
    command = [sys.executable, "-m", "bank.importer", str(path), *servers, *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(importer: "subprocess.Popen[str]") -> str:
    output, _ = importer.communicate(timeout=200)
    assert importer.returncode == 0, output
    return output


def row(output: str, name: str) -> list[str]:
    """Return now, repeated and total of a row of the table of results."""
    line = next(line for line in output.splitlines() if name in line)
    return [cell.strip() for cell in line.strip("│ ").split("│")][1:]


def assert_balances(cluster: Cluster, balances: Counter[str]) -> None:
    shown = {account["id_conta"]: account["saldo"] for account in cluster.nodes[0].get("/contas").json()["contas"]}
    assert shown == {name: float(balance) for name, balance in balances.items()}


@pytest.mark.timeout(240)
def test_an_import_begun_one_by_one_and_ended_in_batches_changes_nothing_twice(tmp_path: Path) -> None:
    movements = tmp_path / "movimentos.csv"
    balances = write_movements(movements)
    with Cluster.running(tmp_path / "dados", 2) as cluster:
        begun = start_import(movements, cluster)
        eventually(lambda: cluster.nodes[0].get("/auditoria").json()["posicao"] > 100, seconds=30)
        assert begun.poll() is None, "the import ended before it was stopped"
        begun.kill()
        begun.communicate()
        now, repeated, total = row(finish(start_import(movements, cluster, "--lote", "500")), "aplicadas")
        assert (int(now) > 0, int(repeated) > 0, int(total)) == (True, True, LINES)
        assert_balances(cluster, balances)
        books = cluster.settled_books()
        assert row(finish(start_import(movements, cluster, "--lote", "7")), "aplicadas") == [
            "0",
            str(LINES),
            str(LINES),
        ]
        again = cluster.settled_books()
        assert [again[name] for name in TOTALS] == [books[name] for name in TOTALS]


@pytest.mark.timeout(240)
def test_a_node_killed_in_the_middle_of_batches_loses_and_doubles_nothing(tmp_path: Path) -> None:
    movements = tmp_path / "movimentos.csv"
    balances = write_movements(movements)
    with Cluster.running(tmp_path / "dados", 3) as cluster:
        importer = start_import(movements, cluster, "--lote", "100")
        eventually(lambda: cluster.nodes[0].get("/auditoria").json()["posicao"] > 30, seconds=30, every=0.01)
        assert importer.poll() is None, "the import ended before the kill"
        cluster.nodes[1].kill()
        cluster.nodes[1].start().wait_ready()
        finish(importer)
        assert_balances(cluster, balances)
        cluster.settled_books()
