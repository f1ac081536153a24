"""Nodes are restarted one by one under load, with the same program or a newer one, and customers go on."""

import sys
from pathlib import Path

import pytest

from tests.faults.test_lost_log import admin, answered, silent
from tests.support.cluster import Cluster, NodeProcess, eventually
from tests.support.customers import crowd, open_accounts, verdict

pytestmark = pytest.mark.long

PROGRAM = "import sys; from bank import records; records.VERSIONS = {}; import api; sys.exit(api.main())"
OLDER = PROGRAM.format((1,))
"""The program as it was when records held no batches."""
NEWER = PROGRAM.format((1, 2, 3))
"""The program as it will be when it can read a third version of records."""


def restart(node: NodeProcess, program: str = "") -> None:
    assert node.stop() == 0
    if program:
        node.command = [sys.executable, "-c", program]
    node.start().wait_ready()


def test_a_rolling_restart_under_load_loses_nothing(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        open_accounts(cluster)
        customers = crowd(cluster, 4)
        for node in cluster.nodes:
            before = answered(customers)
            restart(node)
            eventually(lambda before=before: answered(customers) > before + 20, seconds=30)
        for customer in customers:
            customer.enough.set()
        kinds = verdict(cluster, customers)
    assert kinds["repeated attempts"] > 0, "no customer noticed, so nothing was shown"


def test_a_new_record_version_is_activated_when_all_can_read_it_and_older_programs_stop(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        first, _, third = cluster.nodes
        open_accounts(cluster)
        customers = crowd(cluster, 2)
        for node in cluster.nodes:
            refused = admin("ativar", "3", "--servidor", first.url)
            assert refused.returncode == 1, "not everybody can read it yet"
            restart(node, NEWER)
        done = eventually(lambda: allowed(admin("ativar", "3", "--servidor", first.url)), seconds=20)
        assert "versão 3" in done
        enough = answered(customers) + 50
        eventually(lambda: answered(customers) >= enough, seconds=30)
        for customer in customers:
            customer.enough.set()
        verdict(cluster, customers)
        third.stop()
        third.command = [sys.executable, "api.py"]
        assert third.start().wait() == 1
        assert "use the newer program" in third.output()


def test_a_bank_that_was_begun_before_there_were_batches_takes_them_once_that_is_activated(tmp_path: Path) -> None:
    batch = {"atomico": True, "operacoes": [{"op": "abertura", "id_conta": "a"}]}
    with Cluster.running(tmp_path, 0) as cluster:
        cluster.nodes += [NodeProcess(tmp_path) for _ in range(2)]
        first, second = cluster.nodes
        for node in cluster.nodes:
            node.command = [sys.executable, "-c", OLDER]
            node.start()
        for node in cluster.nodes:
            node.wait_ready()
        for node in cluster.nodes:
            node.command = [sys.executable, "api.py"]
            restart(node)
            early = node.post("/lote", batch)
            assert (early.status_code, early.json()["codigo"]) == (503, "NO_NAO_PRONTO")
            assert node.post("/lote", {"operacoes": batch["operacoes"]}).status_code == 200, "one by one it always can"
        eventually(lambda: allowed(admin("ativar", "2", "--servidor", first.url)), seconds=20)
        opened = {"atomico": True, "operacoes": [{"op": "abertura", "id_conta": "b"}]}
        assert eventually(lambda: second.post("/lote", opened).status_code == 200)
        cluster.settled_books()


def allowed(done: object) -> str | None:
    return done.stdout if done.returncode == 0 else None  # type: ignore[attr-defined,no-any-return]


def test_a_member_that_is_gone_for_good_is_retired(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 2) as cluster:
        first, second = cluster.nodes
        early = admin("retirar", second.name, "--servidor", first.url)
        assert early.returncode == 1
        assert "responde" in early.stderr, "it lives"
        second.kill()
        eventually(lambda: silent(first, second), seconds=10)
        done = admin("retirar", second.name, "--servidor", first.url)
        assert done.returncode == 0, done.stderr
        again = admin("retirar", second.name, "--servidor", first.url)
        assert again.returncode == 1, "it is no member any more"
        second.start().wait_ready()
        cluster.settled_books()
