"""A journal altered by hand, as a bug or a sick disk might: noticed, named, out of service, and mended."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bank.journal_check import load_state
from bank.state import state_digest
from tests.faults.test_lost_log import state_of
from tests.support.cluster import Cluster, NodeProcess, eventually
from tests.support.journal import ADD_CENTS


def alter(node: NodeProcess, *, with_digest: bool) -> None:
    """Give A 1.00 more in a journal that nobody uses; `with_digest`: so that it passes every check of its own."""
    with closing(sqlite3.connect(node.folder / "diario.sqlite")) as db, db:
        db.execute(ADD_CENTS, (100, "A"))
        if with_digest:
            db.execute("UPDATE state SET deposited_cents = deposited_cents + 100, "
                       "in_accounts_cents = in_accounts_cents + 100")  # fmt: skip
            digest = state_digest(load_state(db))
            db.execute("UPDATE records SET digest = ? WHERE position = (SELECT position FROM state)", (digest,))


def test_an_altered_journal_is_refused_at_start(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 2) as cluster:
        odd = cluster.nodes[1]
        odd.post("/contas", {"id_conta": "A", "saldo": 100})
        odd.stop()
        alter(odd, with_digest=False)
        assert odd.start().wait() == 1
        assert "does not hold together" in odd.output()


def test_one_that_passes_its_own_checks_is_found_by_its_peers_and_comes_back_by_the_repair(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 3) as cluster:
        first, second, odd = cluster.nodes
        first.post("/contas", {"id_conta": "A", "saldo": 100})
        cluster.settled_books()
        odd.stop()
        alter(odd, with_digest=True)
        odd.start()
        eventually(lambda: state_of(odd) == "divergente", seconds=30)
        assert "contradicted by" in " ".join(odd.get("/saude").json()["motivos"])
        refused = odd.get("/contas/A")
        assert (refused.status_code, refused.json()["codigo"]) == (503, "NO_DIVERGENTE")
        assert odd.post("/contas/A/deposito", {"valor": 1}).status_code == 503
        for node in (first, second):
            eventually(
                lambda node=node: f"{odd.name} contradicts this node" in str(node.get("/saude").json()["motivos"])
            )
            states = {view["nome"]: view["estado"] for view in node.get("/cluster").json()["nos"]}
            assert states[odd.name] == "divergente"
            assert node.post("/contas/A/deposito", {"valor": 1}).status_code == 200, "the bank goes on"
        assert "diverged" in odd.output()
        odd.stop()
        odd.folder.rename(tmp_path / "kept-aside")
        odd.start().wait_ready()
        cluster.settled_books()
        eventually(lambda: all(node.get("/saude").json()["motivos"] == [] for node in cluster.nodes))
