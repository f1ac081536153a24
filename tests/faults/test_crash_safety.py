"""What a node does when its machine fails it: right continuation, or a refusal that says what happened."""

import os
import signal
import sqlite3
import subprocess
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from tests.support.cluster import Cluster, NodeProcess, eventually

IS_ROOT = os.geteuid() == 0


def opened(node: NodeProcess, account: str = "A", balance: str = "100.00") -> NodeProcess:
    """Start the node and open an account there."""
    node.start().wait_ready()
    assert node.post("/contas", {"id_conta": account, "saldo": balance}).status_code == 201
    return node


def balance_of(node: NodeProcess, account: str = "A") -> Decimal:
    answer = node.get(f"/contas/{account}")
    assert answer.status_code == 200, answer.text
    assert answer.headers.get("X-Defasada") is None
    return Decimal(answer.json(parse_float=Decimal)["saldo"])


def test_a_node_stops_on_sigterm_within_five_seconds_and_comes_back(node: NodeProcess) -> None:
    opened(node)
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 5
    assert balance_of(node.start().wait_ready()) == 100


def test_two_processes_on_one_journal_are_one_too_many(node: NodeProcess, data_dir: Path) -> None:
    opened(node)
    second = NodeProcess(data_dir, environment={"NODE_NAME": node.name}).start()
    assert second.wait() == 1
    assert "Another process owns" in second.output()
    assert "Traceback" not in second.output()
    assert balance_of(node) == 100


def test_a_journal_of_another_log_is_refused_and_nothing_is_overwritten(node: NodeProcess, data_dir: Path) -> None:
    opened(node)
    node.stop()
    for name in ("livro.sqlite", "livro.sqlite-wal", "livro.sqlite-shm"):
        (data_dir / name).unlink(missing_ok=True)
    node.start()
    health = eventually(lambda: state_is(node, "livro_perdido"), seconds=15)
    assert health.status_code == 503
    assert node.post("/contas/A/deposito", {"valor": 1}).json()["codigo"] == "REPLICACAO_INDISPONIVEL"
    marked = node.get("/contas/A")
    assert marked.headers["X-Defasada"] == "sim"
    assert marked.json()["defasada"] is True


def state_is(node: NodeProcess, state: str) -> requests.Response | None:
    try:
        answer = node.get("/saude")
    except requests.RequestException:
        return None
    return answer if answer.json()["estado"] == state else None


def test_a_log_deleted_under_a_running_node_stops_its_writes(node: NodeProcess, data_dir: Path) -> None:
    opened(node)
    (data_dir / "livro.sqlite").rename(data_dir / "moved.sqlite")
    answer = node.post("/contas/A/deposito", {"valor": 1})
    assert answer.status_code in {503, 504}
    eventually(lambda: state_is(node, "livro_perdido"), seconds=15)
    assert node.post("/contas/A/deposito", {"valor": 1}).json()["resultado"] == "nao_aplicado"
    assert node.get("/contas/A").headers["X-Defasada"] == "sim"


def test_an_altered_balance_is_refused_at_start(node: NodeProcess) -> None:
    opened(node)
    node.stop()
    db = sqlite3.connect(node.folder / "diario.sqlite")
    db.execute("UPDATE balances SET balance_cents = balance_cents + 1")
    db.commit()
    db.close()
    assert node.start().wait() == 1
    assert "does not hold together" in node.output()
    assert "Traceback" not in node.output()


def test_a_trashed_journal_is_refused_and_an_empty_folder_takes_the_bank_from_the_log(node: NodeProcess) -> None:
    opened(node)
    node.stop()
    journal = node.folder / "diario.sqlite"
    content = bytearray(journal.read_bytes())
    content[4096:8192] = os.urandom(4096)
    journal.write_bytes(content)
    assert node.start().wait() == 1
    assert "Keep the folder aside" in node.output()
    node.folder.rename(node.folder.with_suffix(".old"))
    assert balance_of(node.start().wait_ready()) == 100


@pytest.mark.skipif(not IS_ROOT, reason="mounting a small file system needs root")
def test_a_full_disk_answers_unknown_at_worst_and_loses_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    node = NodeProcess(tmp_path / "dados")
    node.folder.mkdir(parents=True)
    node.folder.rmdir()
    node.folder.symlink_to(small, target_is_directory=True)
    try:
        opened(node, balance="0.00")
        applied = 0
        while node.is_running:
            try:
                answer = node.post("/contas/A/deposito", {"valor": "0.01"}, headers={"Connection": "close"})
            except requests.ConnectionError:
                break
            if answer.status_code != 200:
                assert answer.json()["resultado"] == "desconhecido" or answer.status_code == 503, answer.text
                break
            applied += 1
        assert node.wait() == 1, "a node whose journal cannot be written must end"
        assert "could not be read or written" in node.output()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        node.start().wait_ready()
        assert balance_of(node) * 100 in {applied, applied + 1}, "the one that was unknown may count"
    finally:
        if node.is_running:
            node.kill()
        subprocess.run(["umount", str(small)], check=True)


def test_a_read_only_folder_is_refused_with_a_sentence(node: NodeProcess, data_dir: Path) -> None:
    """Permissions do not stop root: it mounts a file system that is read-only."""
    if IS_ROOT:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(data_dir)], check=True)
    node.output_path = data_dir.parent / "output.log"
    data_dir.chmod(0o500) if not IS_ROOT else None
    try:
        assert node.start().wait() == 1
        assert "cannot be used" in node.output()
        assert "Traceback" not in node.output()
    finally:
        if IS_ROOT:
            subprocess.run(["umount", str(data_dir)], check=True)
        data_dir.chmod(0o700)


def test_a_data_dir_that_is_a_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    node = NodeProcess(tmp_path / "logs", environment={"DATA_DIR": str(tmp_path / "file")}).start()
    assert node.wait() == 1
    assert "cannot be used" in node.output()
    assert "Traceback" not in node.output()


FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
"""Loaded into the node itself: the command `faketime` would stand between it and the signals of the test."""


@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed")
def test_a_clock_that_jumps_never_turns_the_ledgers_time_back(node: NodeProcess, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    node._environment |= {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
    }  # fmt: skip
    node.start().wait_ready()
    node.post("/contas", {"id_conta": "A"})
    instants = []
    for offset in ("+0", "-3600", "+60"):
        clock.write_text(offset)
        answer = node.post("/contas/A/deposito", {"valor": 1})
        instants.append(datetime.fromisoformat(answer.json()["instante"]))
    assert instants == sorted(instants)
    assert (instants[2] - instants[0]).total_seconds() > 50, "the node's clock never jumped"


def test_a_paused_node_catches_up_and_lags_in_the_meantime(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 2) as cluster:
        first, second = cluster.nodes
        first.post("/contas", {"id_conta": "A"})
        second.send(signal.SIGSTOP)
        try:
            for _ in range(50):
                assert first.post("/contas/A/deposito", {"valor": 1}).status_code == 200
        finally:
            second.send(signal.SIGCONT)
        assert balance_of(second) == 50
        cluster.settled_books()
