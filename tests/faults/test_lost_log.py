"""A log that was lost or cut short goes on, and every answer that any customer was given still holds."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.support.cluster import ROOT, Cluster, NodeProcess, eventually
from tests.support.customers import Customer, crowd, open_accounts, verdict


def lose(data_dir: Path) -> None:
    """Delete the log, as if it had never been."""
    for path in data_dir.glob("livro.sqlite*"):
        path.unlink()


def copy_log(data_dir: Path) -> Path:
    """Return a closed copy of the log as it is now."""
    copy = data_dir / "livro-antigo.sqlite"
    with closing(sqlite3.connect(data_dir / "livro.sqlite")) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def put_back(copy: Path) -> None:
    """Let the log be that copy: what came after it is lost. No node runs."""
    lose(copy.parent)
    copy.rename(copy.with_name("livro.sqlite"))


def admin(*arguments: str, data_dir: Path = Path("dados")) -> subprocess.CompletedProcess[str]:
    """Run an operator's command."""
    command = [sys.executable, "-m", "bank.admin", *arguments]
    environment = os.environ | {"DATA_DIR": str(data_dir)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def state_of(node: NodeProcess) -> str:
    """Return the state that the node says it is in, "" while it says nothing."""
    try:
        return str(node.get("/saude").json()["estado"])
    except requests.ConnectionError:
        return ""


def epochs(nodes: list[NodeProcess]) -> set[int]:
    """Return the epochs of those nodes that accept writes, 0 for any that does not."""
    return {node.get("/auditoria").json()["epoca"] if node._is_ready() else 0 for node in nodes}


def answered(customers: list[Customer]) -> int:
    return sum(told.answer is not None for customer in customers for told in list(customer.told))


def finish(cluster: Cluster, customers: list[Customer]) -> dict[str, int]:
    """Let customers go on for a while, then judge."""
    enough = answered(customers) + 50
    eventually(lambda: answered(customers) >= enough, seconds=40)
    for customer in customers:
        customer.enough.set()
    return verdict(cluster, customers, log_is_whole=False)


@pytest.mark.long
def test_a_log_deleted_under_load_is_reopened_by_itself(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        open_accounts(cluster)
        customers = crowd(cluster, 4)
        eventually(lambda: answered(customers) > 50, seconds=30)
        lose(tmp_path)
        eventually(lambda: epochs(cluster.nodes) == {2}, seconds=40)
        kinds = finish(cluster, customers)
    assert kinds["applied"] > 50
    assert kinds["repeated attempts"] > 0


def test_a_log_cut_short_with_nodes_ahead_of_it_by_different_amounts_is_reopened_by_itself(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        first, second, third = cluster.nodes
        open_accounts(cluster)
        cluster.settled_books()
        copy = copy_log(tmp_path)
        third.kill()
        for _ in range(3):
            assert first.post("/contas/conta-0/deposito", {"valor": 1}).status_code == 200
        position = first.get("/auditoria").json()["posicao"]
        eventually(lambda: second.get("/auditoria").json()["posicao"] == position)
        second.kill()
        eventually(lambda: first.post("/contas/conta-0/deposito", {"valor": 1}).status_code == 200)
        first.kill()
        put_back(copy)
        customers = crowd(cluster, 3)
        for node in cluster.nodes:
            node.start()
        eventually(lambda: all(node.is_running and epochs([node]) == {2} for node in cluster.nodes), seconds=60)
        finish(cluster, customers)
        for node in cluster.nodes:
            assert node.get("/contas/conta-0/extrato?limite=1000").json()["lancamentos"][-2]["valor"] == 1


def test_with_a_member_missing_an_operator_decides_and_what_it_had_comes_home(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        first, second, third = cluster.nodes
        open_accounts(cluster)
        cluster.settled_books()
        copy = copy_log(tmp_path)
        first.kill()
        second.kill()
        # Answered by one node alone, and then lost by the log.
        kept = {"Idempotency-Key": "kept"}
        refused = {"Idempotency-Key": "refused"}
        eventually(lambda: third.post("/contas/conta-0/deposito", {"valor": 7}, headers=kept).ok, seconds=20)
        answer = third.post("/contas/conta-0/saque", {"valor": 1000}, headers=refused)
        assert answer.json()["codigo"] == "SALDO_INSUFICIENTE"
        assert third.post("/lote", KEPT_BATCH, headers={"Idempotency-Key": "kept batch"}).status_code == 200
        answer = third.post("/lote", REFUSED_BATCH, headers={"Idempotency-Key": "refused batch"})
        assert answer.json()["codigo"] == "SALDO_INSUFICIENTE"
        third.kill()
        put_back(copy)
        (tmp_path / "presenca.sqlite").unlink()
        for node in (first, second):
            remember(node, third)
            node.start()
        eventually(lambda: [state_of(node) for node in (first, second)] == ["livro_perdido"] * 2, seconds=20)
        not_yet = eventually(lambda: refused_for(third, admin("reabrir", "--servidor", first.url)), seconds=20)
        assert f"--sem {third.name}" in not_yet
        # Refused as well until the second has heard the first, which may have started a moment later.
        given_up = ("reabrir", "--servidor", second.url, "--sem", third.name)
        eventually(lambda: admin(*given_up).returncode == 0, seconds=20)
        eventually(lambda: epochs([first, second]) == {2}, seconds=30)
        assert first.post("/contas/conta-0/deposito", {"valor": 2000}).status_code == 200
        third.start()
        eventually(lambda: epochs(cluster.nodes) == {2} if third.is_running else None, seconds=40)
        eventually(lambda: not list(third.folder.glob("ramo-*")), seconds=20)
        cluster.settled_books()
        for node in cluster.nodes:
            replayed = node.post("/contas/conta-0/deposito", {"valor": 7}, headers=kept)
            assert (replayed.status_code, replayed.headers["Idempotency-Replayed"]) == (200, "true")
            still = node.post("/contas/conta-0/saque", {"valor": 1000}, headers=refused)
            assert still.json()["codigo"] == "SALDO_INSUFICIENTE", "refused once, refused for ever"
            replayed = node.post("/lote", KEPT_BATCH, headers={"Idempotency-Key": "kept batch"})
            assert (replayed.status_code, replayed.headers["Idempotency-Replayed"]) == (200, "true")
            still = node.post("/lote", REFUSED_BATCH, headers={"Idempotency-Key": "refused batch"})
            assert (still.json()["codigo"], still.json()["indice"]) == ("SALDO_INSUFICIENTE", 1)
            assert not list(third.folder.glob("antigo-*.jsonl")), "nothing is told otherwise than before"
        assert list(third.folder.glob("antigo-*.sqlite")), "the old journal is kept"


KEPT_BATCH = {
    "atomico": True,
    "operacoes": [
        {"op": "abertura", "id_conta": "lote", "saldo": 2},
        {"op": "transferencia", "id_conta": "lote", "conta_destino": "conta-0", "valor": 2},
    ],
}
REFUSED_BATCH = {
    "atomico": True,
    "operacoes": [
        {"op": "deposito", "id_conta": "conta-0", "valor": 1},
        {"op": "saque", "id_conta": "conta-0", "valor": 1100},
    ],
}


def remember(node: NodeProcess, other: NodeProcess) -> None:
    """Let a node that does not run remember that another one was far ahead, as if it had heard that before it died."""
    with closing(sqlite3.connect(node.folder / "diario.sqlite")) as journal, journal:
        journal.execute("INSERT OR REPLACE INTO heard (node, epoch, position) VALUES (?, 1, 99)", (other.name,))


def refused_for(missing: NodeProcess, done: subprocess.CompletedProcess[str]) -> str | None:
    """Return what a refused command said, once it speaks of that node and not of one that is still starting."""
    assert done.returncode == 1, done.stdout
    return done.stderr if missing.name in done.stderr else None


@pytest.mark.long
def test_two_operators_who_reopen_at_two_nodes_at_once_make_one_history(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        open_accounts(cluster)
        cluster.settled_books()
        third = cluster.nodes[2]
        third.kill()  # so that it is not done without them
        lose(tmp_path)
        pair = cluster.nodes[:2]
        eventually(lambda: {state_of(node) for node in pair} == {"livro_perdido"}, seconds=20)
        body = {"sem": [third.name]}
        eventually(lambda: all(silent(node, third) for node in pair), seconds=10)
        at_once = [threading.Thread(target=node.post, args=("/cluster/reabertura", body)) for node in pair]
        for thread in at_once:
            thread.start()
        for thread in at_once:
            thread.join(30)
        eventually(lambda: epochs(pair) == {2}, seconds=40)
        third.start()
        eventually(lambda: epochs(cluster.nodes) == {2}, seconds=40)
        cluster.settled_books()


def silent(node: NodeProcess, other: NodeProcess) -> bool:
    return other.name not in {view["nome"] for view in node.get("/cluster").json()["nos"]}
