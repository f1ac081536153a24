"""The command line against real nodes: what each command does, and the status that a shell sees."""

import csv
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.cluster import ROOT, Cluster, NodeProcess, eventually, free_port
from tests.support.doors import KEY, Tokens
from tests.support.journal import alter_balance

Done = subprocess.CompletedProcess[str]


def banco(*arguments: str, at: Cluster | None = None, **environment: str) -> Done:
    """Run a command against these nodes."""
    urls = {"BANCO_URL": ",".join(at.urls)} if at else {}
    return subprocess.run(
        [sys.executable, "-m", "bank.cli", *arguments],
        cwd=ROOT, env=os.environ | urls | {"COLUMNS": "200"} | environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def told(*arguments: str, at: Cluster) -> Any:
    """Return what a command that succeeds says as JSON."""
    done = banco(*arguments, "--json", at=at)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("dados"), 3) as cluster:
        yield cluster


def test_a_day_at_the_counter(bank: Cluster) -> None:
    assert told("conta", "criar", "ana", "--saldo", "100", "--titular", "Ana", at=bank)["saldo"] == "100.00"
    assert told("conta", "criar", "bia", "--limite", "50", at=bank)["saldo"] == "0.00"
    assert told("deposito", "ana", "10,50", at=bank)["saldo"] == "110.50"
    assert told("saque", "bia", "50.00", at=bank)["saldo"] == "-50.00"
    receipt = told("transferencia", "ana", "bia", "60", at=bank)
    assert (receipt["id_conta"], receipt["saldo"]) == ("ana", "50.50")
    shown = told("conta", "ver", "bia", at=bank)
    assert (shown["saldo"], shown["saldo_disponivel"], shown["titular"]) == ("10.00", "60.00", None)
    assert [row["id_conta"] for row in told("conta", "listar", at=bank)] == ["ana", "bia"]
    assert len(told("conta", "listar", "--limite", "1", at=bank)) == 1
    lines = told("conta", "extrato", "ana", at=bank)
    assert [(line["op"], line["valor"]) for line in lines] == [
        ("transferencia", "-60.00"), ("deposito", "10.50"), ("abertura", "100.00"),
    ]  # fmt: skip
    assert told("auditoria", at=bank)["soma_saldos"] == "60.50"


def test_people_see_tables(bank: Cluster) -> None:
    banco("conta", "criar", "tabela", "--saldo", "7.25", at=bank)
    for arguments in (["conta", "ver", "tabela"], ["conta", "listar"], ["conta", "extrato", "tabela"]):
        done = banco(*arguments, at=bank)
        assert (done.returncode, "7.25" in done.stdout) == (0, True)
    assert "saldo 8.25" in banco("deposito", "tabela", "1", at=bank).stdout
    shown = banco("rede", "--uma-vez", at=bank).stdout
    assert all(node.name in shown for node in bank.nodes)


def test_the_same_key_is_the_same_operation(bank: Cluster) -> None:
    banco("conta", "criar", "chave", at=bank)
    first = told("deposito", "chave", "5", "--chave", "cli-1", at=bank)
    assert told("deposito", "chave", "5", "--chave", "cli-1", at=bank) == first
    assert first["id_operacao"] == "cli-1"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["saque", "nobody", "1"], 3, "CONTA_NAO_ENCONTRADA"),
        (["deposito", "ana", "1.234"], 2, "1234.56"),
        (["deposito", "ana", "-1"], 2, "-1"),
        (["deposito", "ana", "1e3"], 2, "1234.56"),
        (["deposito", "ana"], 2, "VALOR"),
        (["conta", "ver", "ana", "--servidor", "ftp://x"], 2, "http://127.0.0.1:5000"),
        (["nothing"], 2, "nothing"),
    ],
)
def test_an_error_is_a_sentence_and_a_status(bank: Cluster, arguments: list[str], status: int, says: str) -> None:
    done = banco(*arguments, at=bank)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_there_is_told_as_such() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    done = banco("conta", "ver", "ana", "--servidor", nobody, "--prazo", "1")
    assert done.returncode == 6
    assert "nenhum nó responde" in done.stderr


def test_while_the_log_is_gone_nothing_is_applied(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, environment={"JOIN_ONLY": "1"}).start()
    try:
        eventually(lambda: "log attached" in node.output(), seconds=20)
        done = banco("deposito", "ana", "1", "--servidor", node.url, "--prazo", "2")
        assert (done.returncode, "nada foi aplicado" in done.stderr) == (4, True)
    finally:
        node.kill()


@contextmanager
def counter_that_never_answers(node: NodeProcess) -> Iterator[str]:
    """Pass on what is posted, and hang up when the node's answer has come."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.post(node.url + self.path, data=body, headers=dict(self.headers), timeout=15)
            self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_that_is_lost_is_told_as_unknown_with_the_key_that_settles_it(bank: Cluster) -> None:
    banco("conta", "criar", "perdida", at=bank)
    with counter_that_never_answers(bank.nodes[0]) as url:
        done = banco("deposito", "perdida", "5", "--servidor", url, "--prazo", "2")
    assert (done.returncode, done.stdout) == (5, "")
    key = re.findall(r"repita com --chave '([^']+)'", done.stderr)[0]
    assert told("conta", "ver", "perdida", at=bank)["saldo"] == "5.00", "it was applied all the same"
    assert told("deposito", "perdida", "5", "--chave", key, at=bank)["saldo"] == "5.00"
    assert len(told("conta", "extrato", "perdida", at=bank)) == 2


def test_what_is_exported_is_every_account_and_every_movement(bank: Cluster) -> None:
    banco("conta", "criar", "csv", "--saldo", "1", at=bank)
    banco("deposito", "csv", "0.10", at=bank)
    rows = list(csv.DictReader(StringIO(banco("exportar", at=bank).stdout)))
    assert {row["id_conta"]: row["saldo"] for row in rows}["csv"] == "1.10"
    rows = list(csv.DictReader(StringIO(banco("exportar", "csv", at=bank).stdout)))
    assert [(row["op"], row["valor"], row["saldo"]) for row in rows] == [
        ("abertura", "1.00", "1.00"), ("deposito", "0.10", "1.10"),
    ]  # fmt: skip


def test_the_importer_is_asked_with_the_same_servers(bank: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("conta,op,valor\nimp-1,deposito,12.30\nimp-1,saque,2.30\n")
    done = banco("importar", str(file), "--lote", "10", at=bank)
    assert done.returncode == 0, done.stdout + done.stderr
    assert told("conta", "ver", "imp-1", at=bank)["saldo"] == "10.00"


def test_nodes_that_hold_the_same_are_told_so(bank: Cluster) -> None:
    banco("conta", "criar", "igual", at=bank)
    compared = told("conferir", at=bank)
    assert compared["iguais"] is True
    assert {row["nó"] for row in compared["nos"]} == {node.name for node in bank.nodes}
    assert len({row["resumo_estado"] for row in compared["nos"]}) == 1
    shown = banco("conferir", at=bank, COLUMNS="80").stdout
    assert shown.count("conferem") == len(bank.nodes), "a line for each node, at the width of a terminal"


def test_a_node_that_was_killed_is_gone_around_and_named_when_comparing(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 2) as cluster:
        banco("conta", "criar", "ana", at=cluster)
        cluster.nodes[0].kill()
        done = banco("conferir", "--json", at=cluster)
        # On a machine so slow that the others have forgotten it by now, there is nothing to name.
        is_forgotten = cluster.nodes[0].name not in done.stdout
        assert (done.returncode, json.loads(done.stdout)["iguais"]) == (0 if is_forgotten else 6, True)
        assert (cluster.nodes[0].name in done.stderr) != is_forgotten
        assert told("deposito", "ana", "1", at=cluster)["saldo"] == "1.00"


def test_a_balance_that_was_altered_by_hand_is_found_and_the_account_named(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 2) as cluster:
        for account in ("ana", "bia", "eva"):
            banco("conta", "criar", account, "--saldo", "10", at=cluster)
        cluster.settled_books()
        alter_balance(cluster.nodes[1].folder, "bia", 1)
        done = banco("conferir", at=cluster)
        assert done.returncode == 1
        assert "conta bia: " in done.stderr
        assert "10.00 na versão 1" in done.stderr
        assert "10.01 na versão 1" in done.stderr


def test_where_tokens_are_asked_for_one_is_shown(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    with Cluster.running(tmp_path / "dados", 2, environments=[tokens.environment] * 2) as cluster:
        assert banco("conta", "listar", at=cluster).returncode == 3
        teller, auditor = ({"BANCO_TOKEN": tokens.of[who]} for who in ("operador", "auditor"))
        assert banco("conta", "criar", "ana", at=cluster, **teller).returncode == 0
        file = tmp_path / "m.csv"
        file.write_text("conta,op,valor\nana,deposito,1.00\n")
        assert banco("importar", str(file), at=cluster, **teller).returncode == 0
        done = banco("conferir", at=cluster, CLUSTER_KEY=KEY, **auditor)
        assert done.returncode == 0, done.stderr
        assert banco("conferir", at=cluster, **auditor).returncode == 6, "without the key between nodes"


def test_a_shell_can_complete_the_commands() -> None:
    done = banco(_BANCO_COMPLETE="bash_complete", COMP_WORDS="banco con", COMP_CWORD="1")
    assert "conta" in done.stdout
    assert "conferir" in done.stdout
