"""A node that comes late takes a peer's journal and follows; a backup is restored the same way.

LATE_OPERATIONS=200000 makes it a long run.
"""

import os
import shutil
import signal
import time
from pathlib import Path

import msgspec
import pytest
import requests

from bank.operations import Deposit
from bank.records import VERSIONS, Base, Record
from replication.embedded import EmbeddedLog
from tests.faults.test_lost_log import admin, answered, state_of
from tests.support.cluster import Cluster, NodeProcess, eventually
from tests.support.customers import crowd, open_accounts, verdict
from tests.support.naive import bodies_of

LATE_OPERATIONS = int(os.environ.get("LATE_OPERATIONS", "30000"))
RECORDS = 2_500
"""More than a newcomer replays."""


def write_history(cluster: Cluster) -> None:
    """Put a long history into the log, as a teller that is no node of this cluster would have."""
    log_id = msgspec.json.decode(bodies_of(cluster.data_dir / "livro.sqlite")[-1])["livro"]
    log = EmbeddedLog(cluster.data_dir)
    each = LATE_OPERATIONS // RECORDS
    for number in range(RECORDS):
        deposits = tuple(Deposit(f"old-{number}-{place}", f"conta-{place % 10}", 1) for place in range(each))
        record = Record(
            version=VERSIONS[-1], log_id=log_id, epoch=1, node="antigo", session="antigo", seq=number + 1,
            instant_ms=time.time_ns() // 1_000_000, base=Base(0, ""), operations=deposits,
        )  # fmt: skip
        log.append(msgspec.json.encode(record))
    log.close()
    eventually(lambda: all(books["posicao"] > RECORDS for books in cluster.books()), seconds=120)


def newcomer(cluster: Cluster) -> NodeProcess:
    node = NodeProcess(cluster.data_dir)
    cluster.nodes.append(node)
    return node


@pytest.mark.timeout(300)
def test_a_node_that_comes_late_under_load_takes_a_copy_and_holds_the_same(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        open_accounts(cluster)
        write_history(cluster)
        customers = crowd(cluster, 4)
        late = newcomer(cluster).start()
        states = set()
        eventually(lambda: states.add(state_of(late)) or late._is_ready(), seconds=120)
        assert "entrando" in states, "it replayed the log"
        assert "pronto" in states or late._is_ready()
        enough = answered(customers) + 50
        eventually(lambda: answered(customers) >= enough, seconds=40)
        for customer in customers:
            customer.enough.set()
        verdict(cluster, customers)
        assert not list(late.folder.glob("entrada*"))


def test_who_is_to_join_waits_for_somebody_who_begins_the_bank(tmp_path: Path) -> None:
    joins, begins = NodeProcess(tmp_path, environment={"JOIN_ONLY": "1"}), NodeProcess(tmp_path)
    try:
        joins.start()
        eventually(lambda: state_of(joins) and "begins none (JOIN_ONLY)" in joins.get("/saude").text, seconds=30)
        begins.start().wait_ready()
        joins.wait_ready()
        assert joins.post("/contas", {"id_conta": "ana", "saldo": 1}).status_code == 201
        assert begins.get("/contas/ana").json()["saldo"] == 1
    finally:
        joins.kill()
        begins.kill()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_giver_killed_in_the_middle_is_replaced_by_another(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        open_accounts(cluster)
        write_history(cluster)
        late = eventually(lambda: join_with_a_giver_killed(cluster), seconds=200)
        assert late.name in {node.name for node in cluster.nodes}
        cluster.settled_books()


def join_with_a_giver_killed(cluster: Cluster) -> NodeProcess | None:
    """Let a newcomer join while its giver dies; None if the copy was quicker than the signal."""
    late = newcomer(cluster).start()
    giver = eventually(lambda: giver_of(cluster, late), seconds=60, every=0.002)
    giver.send(signal.SIGSTOP)
    giver.kill()
    late.wait_ready(120)
    giver.start().wait_ready()
    return late if "no copy" in late.output() else take_away(cluster, late)


def take_away(cluster: Cluster, late: NodeProcess) -> None:
    """Let another newcomer try: to this one the copy came sooner than the fault."""
    late.kill()
    cluster.nodes.remove(late)
    shutil.rmtree(late.folder)


def giver_of(cluster: Cluster, late: NodeProcess) -> NodeProcess | None:
    """Return the node that is giving its journal to a newcomer."""
    said = late.output()
    return next((node for node in cluster.nodes if f"{node.name} gives a copy" in said), None)


def test_a_backup_of_a_running_node_is_restored_into_a_new_folder_and_joins_again(tmp_path: Path) -> None:
    data_dir, backup = tmp_path / "dados", tmp_path / "copia.sqlite"
    with Cluster.running(data_dir, 2) as cluster:
        first, second = cluster.nodes
        open_accounts(cluster)
        done = admin("copiar", "--servidor", first.url, str(backup))
        assert done.returncode == 0, done.stderr
        assert admin("copiar", "--servidor", first.url, str(backup)).returncode == 1, "nothing is overwritten"
        first.post("/contas/conta-1/deposito", {"valor": 5})
        second.stop()
        shutil.rmtree(second.folder)
        restored = admin("restaurar", str(backup), second.name, data_dir=data_dir)
        assert restored.returncode == 0, restored.stderr
        second.start().wait_ready()
        cluster.settled_books()
        assert "joining" not in second.output(), "it went on from the backup"


def test_a_backup_that_was_altered_is_refused(tmp_path: Path) -> None:
    backup = tmp_path / "copia.sqlite"
    with Cluster.running(tmp_path / "dados", 1) as cluster:
        open_accounts(cluster)
        assert admin("copiar", "--servidor", cluster.nodes[0].url, str(backup)).returncode == 0
    damaged = bytearray(backup.read_bytes())
    place = damaged.index(b"conta-3")
    damaged[place : place + 7] = b"conta-X"
    backup.write_bytes(damaged)
    refused = admin("restaurar", str(backup), "banco-1", data_dir=tmp_path / "new")
    assert refused.returncode == 1
    assert "does not hold together" in refused.stderr or "damaged" in refused.stderr


def test_a_node_shows_its_journal_to_nobody_without_the_key(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, environment={"CLUSTER_KEY": "k" * 20}).start()
    try:
        node.wait_ready()
        for path in ("/cluster/copia", "/cluster/resumos/1"):
            refused = node.get(path)
            assert (refused.status_code, refused.json()["codigo"]) == (401, "NAO_AUTENTICADO")
            assert requests.get(node.url + path, headers={"X-Chave-Da-Rede": "k" * 20}, timeout=15).ok
        for path in ("/cluster/reabertura", "/cluster/retorno", "/cluster/retirada", "/cluster/versao"):
            assert node.post(path, {}).status_code == 401
    finally:
        node.kill()
