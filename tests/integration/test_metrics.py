"""Every metric moves when what it counts happens, on real nodes, and nothing that clients type becomes a label."""

import ast
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from bank import records
from bank.config import Config
from bank.operations import Deposit
from bank.records import VERSIONS, Base, Record
from bank.runtime import Runtime, open_runtime
from tests.faults.test_lost_log import lose
from tests.integration.test_reads import stuck
from tests.support.cluster import Cluster, NodeProcess, eventually
from tests.support.metrics import Numbers, explained, scrape


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of this module's own, with the account A: their log is locked, and strangers write into it."""
    with Cluster.running(tmp_path_factory.mktemp("dados"), 3) as cluster:
        assert cluster.nodes[0].post("/contas", {"id_conta": "A"}).status_code == 201
        cluster.settled_books()
        yield cluster


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Runtime]:
    """A node in this process, not started yet."""
    node = open_runtime(Config(node_name="banco-1", data_dir=tmp_path, genesis_wait_ms=100), on_end=lambda _: None)
    yield node
    node.stop()


@contextmanager
def moving(look: Callable[[], Numbers], *names: str) -> Iterator[None]:
    """Fail unless these metrics have changed, at least for a while, by the end of the block or soon after."""
    missing, before = set(names), look()
    yield

    def has_moved() -> bool:
        missing.difference_update(look().changed_since(before))
        return not missing

    with suppress(AssertionError):
        eventually(has_moved)
    assert missing == set(), "have not moved"


def numbers_of(node: NodeProcess) -> Callable[[], Numbers]:
    return lambda: scrape(node)


def operations(node: NodeProcess) -> Counter[tuple[str, ...]]:
    return scrape(node).tally("banco_operacoes_total", "op", "resultado")


def answers(node: NodeProcess) -> Counter[tuple[str, ...]]:
    return scrape(node).tally("banco_requisicao_duracao_seconds_count", "metodo", "rota", "status")


def append(data_dir: Path, body: bytes) -> None:
    """Write into the log beside all nodes."""
    with closing(sqlite3.connect(data_dir / "livro.sqlite")) as db, db:
        db.execute("INSERT INTO records (body) VALUES (?)", (body,))


def stranger(bank: Cluster, base: Base) -> bytes:
    """Return a record of another node's, which had `base` applied."""
    log = bank.nodes[0].get("/cluster").json()["livro"]
    deposit = Deposit(f"stranger {base.chain}", "nobody", 1)
    return records.encode(
        Record(
            version=VERSIONS[-1], log_id=log["id"], epoch=log["epoca"], node="estranho", session="e" * 16, seq=1,
            instant_ms=1, base=base, operations=(deposit,),
        )
    )  # fmt: skip


def test_no_metric_is_left_out_here() -> None:
    calls = [
        node for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    ]
    named = [call.args[1:] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "moving"]
    assert {name.value for names in named for name in names if isinstance(name, ast.Constant)} == explained().keys()


# --- what customers do ------------------------------------------------------------------------------------------


def test_operations(bank: Cluster) -> None:
    first = bank.nodes[0]
    with moving(
        numbers_of(first),
        "banco_posicao",
        "banco_contas",
        "banco_diario_bytes",
        "banco_requisicao_duracao_seconds",
        "banco_operacoes_total",
        "banco_registro_operacoes",
        "banco_publicacao_duracao_seconds",
        "banco_trava_espera_seconds",
        "banco_livro_ouvido_ha_seconds",
    ):
        assert first.post("/contas", {"id_conta": "B"}).status_code == 201


def test_operations_are_counted_by_kind_and_by_what_came_of_them_at_every_node(bank: Cluster) -> None:
    first, *_ = bank.nodes
    before = [operations(node) for node in bank.nodes]
    for _ in range(3):
        first.post("/contas/A/deposito", {"valor": 1}, headers={"Idempotency-Key": "again and again"})
    first.post("/contas/A/saque", {"valor": 1000})
    first.post("/contas/A/deposito", {"valor": 2}, headers={"Idempotency-Key": "again and again"})
    first.post("/lote", {"operacoes": [{"op": "deposito", "id_conta": "A", "valor": 1}] * 5, "atomico": True})
    expected = {
        ("deposito", "aplicada"): 1,
        ("deposito", "repetida"): 2,
        ("deposito", "recusada"): 1,
        ("saque", "recusada"): 1,
        ("lote", "aplicada"): 1,
    }
    for node, then in zip(bank.nodes, before, strict=True):
        eventually(lambda node=node, then=then: expected.items() <= (operations(node) - then).items())


def test_requests_are_counted_by_the_template_of_their_route(bank: Cluster) -> None:
    first = bank.nodes[0]
    before = answers(first)
    first.post("/contas/A/deposito", {"valor": 1})
    first.post("/contas/A/deposito", {"valor": -1})
    first.get("/nowhere/at-all")
    requests.request("BREW", f"{first.url}/contas", timeout=5)
    assert answers(first) - before == {
        ("POST", "/contas/<id_conta>/deposito", "200"): 1,
        ("POST", "/contas/<id_conta>/deposito", "400"): 1,
        ("-", "-", "404"): 1,
        ("-", "-", "405"): 1,
        ("GET", "/metrics", "200"): 1,
    }


def test_every_label_is_in_the_table(bank: Cluster) -> None:
    bank.nodes[0].post("/contas/A/deposito", {"valor": 1})
    bank.nodes[0].get("/contas/A?consistencia=local")
    found = {
        name: set().union(*(sample.labels.keys() - {"le"} for sample in family.samples))
        for name, family in scrape(bank.nodes[0]).families.items()
    }
    assert found == {name: row.labels for name, row in explained().items()}


# --- what happens to a node -------------------------------------------------------------------------------------


def test_a_start(node: Runtime) -> None:
    with moving(
        lambda: Numbers(node.metrics.text().decode()),
        "banco_vivo",
        "banco_pronto",
        "banco_estado",
        "banco_linha_viva",
        "banco_livro_responde",
        "banco_livro_replicas",
        "banco_livro_corretores",
    ):
        node.start()


def test_the_death_of_a_thread(node: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    node.start()
    eventually(lambda: node.health().ready)
    with moving(lambda: Numbers(node.metrics.text().decode()), "banco_vivo", "banco_linha_viva", "banco_estado"):
        monkeypatch.setattr("bank.watch.Watchdog._join", lambda self, now_ms: 1 / 0)
    numbers = Numbers(node.metrics.text().decode())
    assert numbers.get("banco_linha_viva", linha="watchdog") == 0
    assert numbers.get("banco_linha_viva", linha="applier") == 1
    assert (numbers.get("banco_estado", estado="falha"), numbers.get("banco_estado", estado="pronto")) == (1, 0)


def test_a_node_that_stops(bank: Cluster) -> None:
    first, _, third = bank.nodes
    with moving(numbers_of(first), "banco_nos_vistos"):
        third.stop()
    assert scrape(first).get("banco_nos_vistos") == 1
    third.start().wait_ready()
    eventually(lambda: scrape(first).get("banco_nos_vistos") == 2)


def test_a_log_that_does_not_answer(bank: Cluster) -> None:
    first = bank.nodes[0]
    customers = [threading.Thread(target=first.post, args=("/contas/A/deposito", {"valor": 1})) for _ in range(3)]
    with stuck(bank.data_dir / "livro.sqlite"):
        with moving(numbers_of(first), "banco_operacoes_na_fila"):
            for customer in customers:
                customer.start()
        with moving(numbers_of(first), "banco_livro_responde", "banco_pronto", "banco_estado"):
            pass
    for customer in customers:
        customer.join()
    first.wait_ready()
    assert scrape(first).get("banco_livro_responde") == 1


def test_a_disk_that_holds_a_node_up(bank: Cluster) -> None:
    first, second, _ = bank.nodes
    with stuck(first.folder / "diario.sqlite"), moving(numbers_of(first), "banco_atraso_seconds"):
        assert second.post("/contas/A/deposito", {"valor": 1}).status_code == 200
    eventually(lambda: scrape(first).get("banco_atraso_seconds") == 0)


def test_strangers_in_the_log(bank: Cluster) -> None:
    first = bank.nodes[0]
    true_chain = first.get("/cluster/resumos/1").json()["resumo_historico"]
    with moving(numbers_of(first), "banco_registros_ignorados_total"):
        append(bank.data_dir, b"no record")
    with moving(numbers_of(first), "banco_contradicoes_total", "banco_nos_discordantes"):
        append(bank.data_dir, stranger(bank, Base(1, "0" * 32)))
    append(bank.data_dir, stranger(bank, Base(1, true_chain)))
    eventually(lambda: scrape(first).get("banco_nos_discordantes") == 0)


def test_a_log_that_is_lost_and_goes_on(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 1) as alone:
        [node] = alone.nodes
        with moving(numbers_of(node), "banco_epoca"):
            lose(tmp_path)
            eventually(lambda: "reopening the log" in node.output(), seconds=40)
