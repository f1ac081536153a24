"""The client against real nodes: what it does when one dies, when an answer is lost, and when none comes."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from bank.client import Bank, NotApplied, Refused, Unknown, Unreachable
from tests.support.cluster import Cluster, NodeProcess, free_port
from tests.support.link import Link


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("dados"), 2) as cluster:
        yield cluster


@contextmanager
def server_that_answers(
    status: int, headers: dict[str, str], body: dict[str, str] | None = None
) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """A server that gives one answer to everything; yields its URL, and when it was asked under which key."""
    asked: list[tuple[float, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((time.monotonic(), self.headers["Idempotency-Key"]))
            content = json.dumps(body or {}).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_day_at_the_bank(cluster: Cluster) -> None:
    with Bank(cluster.urls) as bank:
        assert bank.open("dia-ana", balance="10", owner="Ana").balance == Decimal("10.00")
        bank.open("dia-rui")
        assert bank.deposit("dia-ana", Decimal("100.50")).balance == Decimal("110.50")
        assert bank.withdraw("dia-ana", "0.50").balance == Decimal("110.00")
        moved = bank.transfer("dia-ana", to="dia-rui", amount="20")
        assert (moved.account_id, str(moved.balance)) == ("dia-ana", "90.00")
        assert bank.account("dia-rui", consistency="forte").balance == Decimal("20.00")
        assert {"dia-ana", "dia-rui"} <= {account.id for account in bank.accounts()}
        assert [str(entry.amount) for entry in bank.statement("dia-ana")] == ["-20.00", "-0.50", "100.50", "10.00"]
        assert bank.operation(moved.operation_id) is not None
        assert bank.operation("nobody-knows-it") is None
        assert len(bank.cluster()["nos"]) == 2
        assert bank.books()["confere"] is True


def test_a_batch_goes_whole_or_not_at_all_if_atomic(cluster: Cluster) -> None:
    with Bank(cluster.urls) as bank:
        bank.open("lote-ana")
        good = {"op": "deposito", "id_conta": "lote-ana", "valor": "1.00"}
        bad = {"op": "saque", "id_conta": "lote-ana", "valor": "9.00"}
        assert [result.get("codigo") for result in bank.batch([good, bad])] == [None, "SALDO_INSUFICIENTE"]
        with pytest.raises(Refused) as refused:
            bank.batch([good, bad], atomic=True)
        assert refused.value.code == "SALDO_INSUFICIENTE"
        assert bank.account("lote-ana").balance == Decimal("1.00")


def test_a_refusal_says_why_and_a_key_does_one_thing_only(cluster: Cluster) -> None:
    with Bank(cluster.urls) as bank:
        bank.open("chave-ana")
        with pytest.raises(Refused) as refused:
            bank.withdraw("chave-ana", "1")
        assert (refused.value.code, refused.value.status) == ("SALDO_INSUFICIENTE", 422)
        assert bank.deposit("chave-ana", "1", key="chave-1") == bank.deposit("chave-ana", "1.00", key="chave-1")
        with pytest.raises(Refused) as refused:
            bank.deposit("chave-ana", "2", key="chave-1")
        assert refused.value.code == "CHAVE_REUTILIZADA"


def test_what_was_written_at_one_node_is_read_at_another(cluster: Cluster) -> None:
    with Bank(cluster.urls[:1]) as here, Bank(cluster.urls[1:]) as there:
        here.open("perto")
        for n in range(1, 21):
            here.deposit("perto", "1")
            there.token = here.token
            assert there.account("perto", consistency="local").balance == n


@pytest.mark.parametrize("amount", ["1,00", "1e2", "0.001", Decimal("NaN"), Decimal(-1)])
def test_what_is_no_amount_is_never_sent(amount: Decimal | str) -> None:
    with Bank([f"http://127.0.0.1:{free_port()}"]) as bank, pytest.raises(ValueError, match="not an amount"):
        bank.deposit("ana", amount)


def test_a_float_is_no_amount() -> None:
    with Bank([f"http://127.0.0.1:{free_port()}"]) as bank, pytest.raises(TypeError, match="float"):
        bank.deposit("ana", 0.1)  # type: ignore[arg-type]


def test_nobody_there_means_not_applied() -> None:
    with Bank([f"http://127.0.0.1:{free_port()}"], deadline_s=0.5) as bank, pytest.raises(Unreachable):
        bank.deposit("ana", "1")


def test_an_answer_that_is_lost_is_settled_at_another_node(cluster: Cluster) -> None:
    """The node hears the deposit, its answer never arrives: the same key elsewhere brings the first outcome."""
    link = Link(cluster.nodes[0].port)
    deaf = link.url.replace("amqp://guest:guest@", "http://").rstrip("/")
    try:
        with Bank(cluster.urls) as bank:
            bank.open("corte")
        link.deafen()
        with Bank([deaf], deadline_s=1.0) as bank, pytest.raises(Unknown) as unknown:
            bank.deposit("corte", "5")
        with Bank(cluster.urls) as bank:
            assert bank.deposit("corte", "5", key=unknown.value.operation_id).balance == Decimal("5.00")
            assert bank.account("corte").balance == Decimal("5.00")
    finally:
        link.close()


def test_a_node_that_rests_is_left_alone_as_long_as_it_asked(cluster: Cluster) -> None:
    with server_that_answers(429, {"Retry-After": "1"}, {"codigo": "SOBRECARGA"}) as (url, asked):
        with Bank([url, cluster.urls[0]]) as bank:
            bank.open("descanso")
            for _ in range(4):
                bank.deposit("descanso", "1")
            assert bank.account("descanso").balance == Decimal("4.00")
        asked.clear()
        with Bank([url], deadline_s=2.5) as bank, pytest.raises(NotApplied, match="SOBRECARGA"):
            bank.deposit("descanso", "1")
        assert len(asked) > 1
        assert len({key for _, key in asked}) == 1
        times = [at for at, _ in asked]
        assert all(later - sooner >= 0.99 for sooner, later in pairwise(times))


@pytest.mark.parametrize(
    ("said", "ends"),
    [({"resultado": "nao_aplicado"}, NotApplied), ({"resultado": "desconhecido"}, Unknown), ({}, Unknown)],
)
def test_an_exhausted_deadline_says_what_is_known(said: dict[str, str], ends: type[Exception]) -> None:
    headers = {"Retry-After": "60"}
    with server_that_answers(503, headers, said) as (url, _), Bank([url]) as bank, pytest.raises(ends):
        bank.deposit("ana", "1")


@pytest.mark.parametrize(
    "token", ["x", "1-2", "1-2-3-4", "a-b-cccccccc", "1-5-XYZ", "-1-5-00000000", f"1-{'9' * 5000}-00000000"]
)
def test_what_is_no_position_is_not_remembered_and_harms_nothing(token: str) -> None:
    refusal = {"codigo": "SALDO_INSUFICIENTE"}
    with server_that_answers(422, {"X-Posicao": token}, refusal) as (url, _), Bank([url]) as bank:
        bank.token = "1-5-00000000"
        with pytest.raises(Refused):
            bank.withdraw("ana", "1.00")
        assert bank.token == "1-5-00000000"


def test_deposits_go_on_exactly_once_while_a_node_is_killed(tmp_path: Path) -> None:
    with Cluster.running(tmp_path / "dados", 2) as cluster, Bank(cluster.urls, deadline_s=30) as bank:
        bank.open("queda")
        victim: NodeProcess = cluster.nodes[1]
        for n in range(40):
            if n == 20:
                threading.Thread(target=victim.kill).start()
            bank.deposit("queda", "1")
        assert victim.wait() != 0
        assert bank.account("queda").balance == Decimal("40.00")
