"""The panel's audit: all nodes at one position, and the first account that differs, named."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, eventually
from tests.support.journal import alter_balance


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster.running(tmp_path, 3) as cluster:
        for account in ("ana", "bia", "eva"):
            cluster.nodes[0].post("/contas", {"id_conta": account, "saldo": 10})
        cluster.settled_books()
        yield cluster


def page(cluster: Cluster, query: str = "") -> str:
    answer = cluster.nodes[0].get(f"/painel/auditoria{query}")
    assert answer.status_code == 200
    return answer.text


def test_all_nodes_that_hold_the_same_are_shown_as_such(bank: Cluster) -> None:
    shown = eventually(lambda: text if "Todos têm o mesmo." in (text := page(bank)) else None)
    assert all(node.name in shown for node in bank.nodes)
    assert "Os livros conferem" in shown
    compared = page(bank, "?contas=1")
    assert "Nenhuma diferença com" in compared
    assert "All hold the same." in page(bank, "?lang=en")


def test_the_account_that_was_altered_by_hand_is_named(bank: Cluster) -> None:
    other = bank.nodes[1]
    alter_balance(other.folder, "bia", 1)
    shown = page(bank, "?contas=1")
    assert f"A primeira diferença é a conta bia, em {other.name}." in shown
    assert "10,01" in shown
    assert "Os nós não têm o mesmo." in shown


def test_an_account_that_is_missing_at_one_node_is_named(bank: Cluster) -> None:
    other = bank.nodes[2]
    with closing(sqlite3.connect(other.folder / "diario.sqlite", isolation_level=None)) as db:
        db.execute("DELETE FROM openings WHERE account_id = 'bia'")
    shown = page(bank, "?contas=1")
    assert f"A primeira diferença é a conta bia, em {other.name}." in shown
    assert "nenhuma conta" in shown


def test_a_node_that_does_not_answer_is_said_not_to(bank: Cluster) -> None:
    bank.nodes[1].kill()
    shown = page(bank)
    assert "Não respondeu." in shown
    assert "Os que responderam têm o mesmo." in shown
