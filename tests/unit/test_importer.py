"""The importer: what it asks for, in which order, and that faults make nothing happen twice or not at all."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from bank.client.servers import REST_S_MAX, Servers
from bank.import_client import NotABank
from bank.import_plan import BadFile, Order, Schedule, opening, plan
from bank.importer import main
from bank.money import parse_cents

FILE = b"data,conta,op,valor\n2024-01-01,ana,deposito,10.00\n2024-01-01,ana,deposito,10.00\n2024-01-02,rui,saque,3.5\n"


def lines_of(orders: list[Order]) -> list[Order]:
    return [order for order in orders if not order.opens]


# --- what a file asks for


def test_a_file_asks_for_each_account_once_and_for_each_line_in_order() -> None:
    orders = plan(FILE, series=None, limit_cents=20_000_00)
    assert [(order.line, order.path, order.body) for order in orders] == [
        (0, "/contas", {"id_conta": "ana", "limite": "20000.00"}),
        (2, "/contas/ana/deposito", {"valor": "10.00"}),
        (3, "/contas/ana/deposito", {"valor": "10.00"}),
        (0, "/contas", {"id_conta": "rui", "limite": "20000.00"}),
        (4, "/contas/rui/saque", {"valor": "3.50"}),
    ]


def test_a_transfer_touches_two_accounts_and_opens_both() -> None:
    content = b"id_conta,op,valor,conta_destino\nana,transferencia,1,rui\nana,deposito,2,\nana,transferencia,1,ana\n"
    orders = plan(content, series=None, limit_cents=0)
    assert [order.accounts for order in orders] == [("ana",), ("rui",), ("ana", "rui"), ("ana",), ("ana",)]
    assert orders[0].body == {"id_conta": "ana"}
    assert orders[2].path == "/transferencia/ana"
    assert orders[2].body == {"conta_destino": "rui", "valor": "1.00"}


def test_the_same_file_has_the_same_keys_and_equal_lines_have_different_ones() -> None:
    once, again = plan(FILE, series=None, limit_cents=0), plan(FILE, series=None, limit_cents=5)
    assert [order.key for order in once] == [order.key for order in again]
    assert len({order.key for order in once}) == len(once)


def test_another_file_has_other_keys_unless_both_are_of_one_series() -> None:
    longer = FILE + b"2024-01-03,rui,deposito,7\n"
    keys = {order.key for order in plan(FILE, series=None, limit_cents=0)}
    assert keys.isdisjoint(order.key for order in plan(longer, series=None, limit_cents=0))
    keys = [order.key for order in plan(FILE, series="caixa", limit_cents=0)]
    assert [order.key for order in plan(longer, series="caixa", limit_cents=0)][: len(keys)] == keys
    assert set(keys).isdisjoint(order.key for order in plan(longer, series="agência", limit_cents=0))


def test_a_key_covers_the_columns_that_the_bank_never_sees() -> None:
    other_day = FILE.replace(b"2024-01-02", b"2024-01-05")
    ours, theirs = (lines_of(plan(content, series="x", limit_cents=0)) for content in (FILE, other_day))
    assert [mine.key == their.key for mine, their in zip(ours, theirs, strict=True)] == [True, True, False]


def test_how_lines_end_does_not_matter_within_a_series() -> None:
    keys = [
        [order.key for order in plan(content, series="x", limit_cents=0)]
        for content in (FILE, FILE.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + FILE, FILE.rstrip(), FILE + b"\n\n")
    ]
    assert keys == [keys[0]] * len(keys)


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    content = b"\xef\xbb\xbfconta,op,valor\nana,deposito,1\n"
    assert lines_of(plan(content, series=None, limit_cents=0))[0].accounts == ("ana",)


def test_an_id_of_the_file_is_the_key() -> None:
    content = b"conta,op,valor,id\nana,deposito,1,pix-17\nana,deposito,1,\nana,deposito,1,pix-17\n"
    keys = [order.key for order in lines_of(plan(content, series=None, limit_cents=0))]
    assert keys[0] == keys[2] == "pix-17"
    assert re.fullmatch("[0-9a-f]{64}", keys[1])


def test_an_opening_has_a_key_of_series_and_account_alone() -> None:
    key = opening("ana", series="x", limit_cents=0).key
    assert key == opening("ana", series="x", limit_cents=100).key
    assert key not in {opening("rui", series="x", limit_cents=0).key, opening("ana", series="y", limit_cents=0).key}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("-ana,deposito,1,,", "conta"),
        ("ana,pix,1,,", "op 'pix'"),
        ("ana,deposito,1.234,,", "valor"),
        ("ana,deposito,0.00,,", "valor"),
        ("ana,deposito,-1,,", "valor"),
        ('ana,deposito,"1,00",,', "valor"),
        ("ana,deposito, 1,,", "valor"),
        ("ana,deposito,99999999999999,,", "valor"),
        ("ana,deposito,1", "tem 3 campos"),
        ("ana,transferencia,1,,", "conta_destino"),
        ("ana,saque,1,rui,", "conta_destino"),
        ("ana,deposito,1,,ação", "id"),
        ("ana,deposito,1,, k", "id"),
        ("ana,deposito,2,,k1", "já está na linha 2"),
        ('ana,deposito,1,,"never closed', "CSV"),
    ],
)
def test_a_bad_row_is_reported_with_its_line(row: str, said: str) -> None:
    content = f"conta,op,valor,conta_destino,id\nana,deposito,1,,k1\n{row}\n"
    with pytest.raises(BadFile) as refused:
        plan(content.encode(), series=None, limit_cents=0)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["linha 3"]
    assert said in refused.value.problems[0]


def test_all_bad_rows_are_reported_at_once_and_line_numbers_count_lines_inside_quotes() -> None:
    content = b'nota,conta,op,valor\n"two\nlines",ana,deposito,1\nx,ana,deposito,um\nx,ana,dep,1\nx,ana,saque,1\n,,,\n'
    with pytest.raises(BadFile) as refused:
        plan(content, series=None, limit_cents=0)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["linha 4", "linha 5", "linha 7"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "falta a coluna conta, op, valor"),
        (b"conta,op\nana,deposito\n", "falta a coluna valor"),
        (b"conta,op,valor,op\n", "mais de uma vez"),
        (b"conta,id_conta,op,valor\n", "só uma"),
        (b"conta,op,valor\nana,deposito,1\n\xff,saque,1\n", "linha 3: o arquivo não é UTF-8"),
    ],
)
def test_a_file_without_the_columns_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        plan(content, series=None, limit_cents=0)


# --- what may go out when


@pytest.mark.parametrize("seed", range(20))
def test_orders_that_share_an_account_go_out_one_after_the_other(seed: int) -> None:
    random = Random(seed)
    accounts = "abcdef"
    rows = [f"{a},transferencia,1,{b}" for a, b in (random.choices(accounts, k=2) for _ in range(60))]
    orders = plan(("conta,op,valor,conta_destino\n" + "\n".join(rows)).encode(), series=None, limit_cents=0)
    schedule, out, settled = Schedule(orders), [], []
    while schedule.unsettled:
        while (order := schedule.take()) is not None:
            out.append(order)
        busy = [account for order in out for account in order.accounts]
        assert len(busy) == len(set(busy)), "two orders of one account are out at once"
        settled.append(out.pop(random.randrange(len(out))))
        schedule.settle(settled[-1])
    for account in accounts:
        mine = [order for order in orders if account in order.accounts]
        assert [order for order in settled if account in order.accounts] == mine


def test_accounts_do_not_wait_for_each_other() -> None:
    orders = lines_of(plan(FILE, series=None, limit_cents=0))
    schedule = Schedule(orders)
    assert [schedule.take(), schedule.take(), schedule.take()] == [orders[0], orders[2], None]


# --- which server is asked


def test_servers_are_asked_in_turn() -> None:
    servers = Servers(["a", "b", "c"])
    assert sorted(servers.pick(0.0)[0] for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]


def test_a_server_that_failed_rests_longer_each_time_and_not_for_ever() -> None:
    servers, now, rests = Servers(["a"]), 0.0, []
    for _ in range(9):
        servers.failed("a", now, None)
        _, rest = servers.pick(now)
        rests.append(rest)
        now += rest
    assert rests[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert rests[-1] == pytest.approx(REST_S_MAX)
    servers.answered("a")
    assert servers.pick(now) == ("a", 0.0)


def test_one_failure_seen_by_many_connections_counts_once() -> None:
    servers = Servers(["a"])
    for _ in range(16):
        servers.failed("a", 0.0, None)
    assert servers.pick(0.0)[1] == pytest.approx(0.1)


def test_a_server_rests_as_long_as_it_asks_for_while_the_others_go_on() -> None:
    servers = Servers(["a", "b"])
    servers.failed("a", 0.0, 7.0)
    assert {servers.pick(6.9) for _ in range(4)} == {("b", 0.0)}
    assert {servers.pick(7.1)[0] for _ in range(4)} == {"a", "b"}
    servers.failed("b", 7.1, 3.0)
    servers.failed("a", 7.1, 2.0)
    assert servers.pick(7.1) == ("a", pytest.approx(2.0))


# --- against a real server


class FakeBank:
    """A bank of any number of servers with one memory: accounts, and the first outcome of each key."""

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self.cents: dict[str, int] = {}
        self.outcomes: dict[str, tuple[int, dict[str, object], str]] = {}
        self.asked: list[tuple[float, int, str, str]] = []
        """When, at which server, under which key, for what path."""
        self.done: list[str] = []
        """Keys in the order in which they were applied."""
        self.fault: Callable[[int, int, str], str] = lambda server, attempt, path: ""
        """What goes wrong with the n-th attempt (from 1) of a key at a server: drop, lose, 503, html, stall."""
        self.release = threading.Event()

    def ask(self, server: int, key: str, path: str, body: dict[str, str]) -> tuple[str, int, dict[str, object], bool]:
        with self.mutex:
            self.asked.append((time.monotonic(), server, key, path))
            fault = self.fault(server, sum(key == asked for _, _, asked, _ in self.asked), path)
            if fault in {"lose", "503", "html", "400"}:
                return fault, 503, {}, False
            content = json.dumps([path, body])
            if key in self.outcomes:
                status, answer, known = self.outcomes[key]
                if known != content:
                    return fault, 422, refusal("CHAVE_REUTILIZADA"), False
                return fault, status, answer, True
            status, answer = self.apply(path, body)
            self.outcomes[key] = (status, answer, content)
            self.done.append(key)
        if fault == "stall":
            assert self.release.wait(30), "nobody released the answer"
        return fault, status, answer, False

    def apply(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, object]]:
        if path == "/contas":
            if body["id_conta"] in self.cents:
                return 409, refusal("CONTA_JA_EXISTE")
            self.cents[body["id_conta"]] = 0
            return 201, {"sucesso": True}
        account = path.split("/")[2]
        change = {account: parse_cents(body["valor"]) * (1 if path.endswith("/deposito") else -1)}
        if "conta_destino" in body:
            change[body["conta_destino"]] = -change[account]
        if not change.keys() <= self.cents.keys():
            return 404, refusal("CONTA_NAO_ENCONTRADA")
        if self.cents[account] + change[account] < 0:
            return 422, refusal("SALDO_INSUFICIENTE")
        for touched, cents in change.items():
            self.cents[touched] += cents
        return 200, {"sucesso": True}

    def serve(self, number: int) -> ThreadingHTTPServer:
        bank = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Content-Type"] == "application/json"
                fault, status, answer, replayed = bank.ask(number, self.headers["Idempotency-Key"], self.path, body)
                if fault in {"drop", "lose"}:
                    self.close_connection = True
                    return
                if fault == "html":
                    self.reply(200, b"<html>hello</html>", {"Content-Type": "text/html"})
                elif fault == "400":
                    self.reply(400, json.dumps(refusal("REQUISICAO_INVALIDA")).encode(), {})
                elif fault == "503":
                    self.reply(503, b'{"codigo": "NO_NAO_PRONTO"}', {"Retry-After": "1"})
                else:
                    self.reply(
                        status, json.dumps(answer).encode(), {"Idempotency-Replayed": "true"} if replayed else {}
                    )

            def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server


def refusal(code: str) -> dict[str, object]:
    return {"sucesso": False, "codigo": code, "resultado": "nao_aplicado", "mensagem": f"não: {code}"}


@pytest.fixture
def bank() -> FakeBank:
    return FakeBank()


@pytest.fixture
def urls(bank: FakeBank) -> Iterator[list[str]]:
    servers = [bank.serve(number) for number in range(3)]
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    bank.release.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def command(path: Path, urls: list[str], *more: str) -> list[str]:
    return [str(path), *(word for url in urls for word in ("--servidor", url)), *more]


@pytest.fixture
def movements(tmp_path: Path) -> Path:
    """Write 300 rows over 10 accounts; deposits come first, so that nothing is refused."""
    random = Random(1)
    rows = [f"conta-{n},deposito,1000," for n in range(10)]
    for _ in range(290):
        one, other = random.sample(range(10), 2)
        kind = random.choice(["deposito", "saque", "transferencia"])
        rows.append(f"conta-{one},{kind},{random.randint(1, 500) / 100:.2f},{f'conta-{other}' * (kind[0] == 't')}")
    path = tmp_path / "movimentos.csv"
    path.write_text("conta,op,valor,conta_destino\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def expected(path: Path) -> dict[str, int]:
    truth = FakeBank()
    for order in plan(path.read_bytes(), series=None, limit_cents=0):
        assert truth.apply(order.path, order.body)[0] < 300
    return truth.cents


def table_rows(text: str) -> dict[str, list[int]]:
    cells = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")
    ]
    return {name: [int(number) for number in numbers] for name, *numbers in cells}


def test_everything_is_applied_once_and_a_second_run_repeats_everything(
    bank: FakeBank, urls: list[str], movements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(movements, urls)) == 0
    assert bank.cents == expected(movements)
    first = capsys.readouterr().out
    assert table_rows(first) == {"aplicadas": [300, 0, 300], "contas abertas (repetidas: já existiam)": [10, 0, 10]}
    assert "Tudo resolvido: 300 linhas." in first
    assert {server for _, server, _, _ in bank.asked} == {0, 1, 2}, "the requests are not spread over the servers"

    applied = len(bank.done)
    assert main(command(movements, urls)) == 0
    assert table_rows(capsys.readouterr().out)["aplicadas"] == [0, 300, 300]
    assert len(bank.done) == applied


def test_within_an_account_the_order_of_the_file_holds(bank: FakeBank, urls: list[str], movements: Path) -> None:
    assert main(command(movements, urls, "--conexoes", "32")) == 0
    orders = plan(movements.read_bytes(), series=None, limit_cents=0)
    place = {key: number for number, key in enumerate(bank.done)}
    for account in bank.cents:
        places = [place[order.key] for order in orders if account in order.accounts]
        assert places == sorted(places)


def test_answers_that_get_lost_after_applying_do_nothing_twice(
    bank: FakeBank, urls: list[str], movements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(2)
    bank.fault = lambda server, attempt, path: random.choices(["drop", "lose", ""], [1, 1, 8])[0]
    assert main(command(movements, urls)) == 0
    assert bank.cents == expected(movements)
    now, repeated, total = table_rows(capsys.readouterr().out)["aplicadas"]
    assert total == 300
    assert now > 0
    assert repeated > 0


def test_a_dead_server_is_replaced_by_the_others(bank: FakeBank, urls: list[str], movements: Path) -> None:
    assert main(command(movements, [f"http://127.0.0.1:{closed_port()}", urls[0]])) == 0
    assert bank.cents == expected(movements)


def test_a_server_that_asks_for_time_is_left_alone_as_long_as_it_asked(
    bank: FakeBank, urls: list[str], tmp_path: Path
) -> None:
    bank.fault = lambda server, attempt, path: "503" if attempt == 1 and path != "/contas" else ""
    path = tmp_path / "one.csv"
    path.write_text("conta,op,valor\nana,deposito,5\n", encoding="utf-8")
    assert main(command(path, urls[:1])) == 0
    (refused, *_), (accepted, *_) = [asked for asked in bank.asked if asked[3] != "/contas"]
    assert accepted - refused >= 1.0
    assert bank.cents == {"ana": 500}


def test_refusals_are_final_and_counted_by_their_reason(
    bank: FakeBank, urls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "refused.csv"
    path.write_text("conta,op,valor\nana,saque,5\nana,deposito,4\nana,saque,5\nana,saque,4\n", encoding="utf-8")
    assert main(command(path, urls)) == 0
    rows = table_rows(capsys.readouterr().out)
    assert rows["aplicadas"] == [2, 0, 2]
    assert rows["recusadas: SALDO_INSUFICIENTE"] == [2, 0, 2]
    assert main(command(path, urls)) == 0
    assert table_rows(capsys.readouterr().out)["recusadas: SALDO_INSUFICIENTE"] == [0, 2, 2]
    assert bank.cents == {"ana": 0}


def test_accounts_that_exist_are_used_as_they_are(
    bank: FakeBank, urls: list[str], movements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank.cents = {"conta-1": 700, "conta-2": 0}
    assert main(command(movements, urls)) == 0
    assert table_rows(capsys.readouterr().out)["contas abertas (repetidas: já existiam)"] == [8, 2, 10]
    assert bank.cents["conta-1"] == expected(movements)["conta-1"] + 700
    assert main(command(movements, urls, "--limite", "50")) == 0, "another limit is no reason to stop"
    assert table_rows(capsys.readouterr().out)["contas abertas (repetidas: já existiam)"] == [0, 10, 10]


def test_a_bad_file_is_reported_in_full_and_nothing_is_sent(
    bank: FakeBank, urls: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("conta,op,valor\nana,deposito,1\nana,depósito,1\nana,saque,1e2\n", encoding="utf-8")
    assert main(command(path, urls)) == 2
    said = capsys.readouterr().err
    assert "linha 3:" in said
    assert "linha 4:" in said
    assert bank.asked == []
    assert main(command(tmp_path / "none.csv", urls)) == 2


def test_without_any_server_it_gives_up_and_says_how_to_go_on(
    movements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(movements, [f"http://127.0.0.1:{closed_port()}"], "--prazo", "0.3")) == 1
    said = capsys.readouterr().out
    assert "não responde" in said
    assert "Faltam 300 de 300 linhas. Para continuar, repita o mesmo comando" in said


@pytest.mark.parametrize("fault", ["html", "400"])
def test_an_answer_that_repeating_does_not_change_stops_the_import(
    fault: str, bank: FakeBank, urls: list[str], movements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank.fault = lambda server, attempt, path: fault if path != "/contas" else ""
    assert main(command(movements, urls, "--conexoes", "1")) == 1
    said = capsys.readouterr().out
    assert "Parado: linha " in said
    assert NotABank.__name__ not in said


def test_ctrl_c_ends_it_cleanly_and_the_same_command_goes_on(bank: FakeBank, urls: list[str], movements: Path) -> None:
    stalled = threading.Event()

    def stall_late(server: int, attempt: int, path: str) -> str:
        if len(bank.done) < 100:
            return ""
        stalled.set()
        return "stall"

    bank.fault = stall_late
    arguments = [sys.executable, "-m", "bank.importer", *command(movements, urls)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert stalled.wait(30)
        process.send_signal(signal.SIGINT)
        bank.fault = lambda server, attempt, path: ""
        bank.release.set()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err == ""
    assert "Interrompido. Faltam " in out
    assert 100 <= len(bank.done) < 310
    assert main(command(movements, urls)) == 0
    assert bank.cents == expected(movements)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_fake_bank_keeps_the_first_outcome_of_a_key(bank: FakeBank, urls: list[str]) -> None:
    address = urls[0].removeprefix("http://")
    statuses = []
    for body in ('{"id_conta": "ana"}', '{"id_conta": "ana"}', '{"id_conta": "rui"}'):
        connection = http.client.HTTPConnection(address)
        connection.request("POST", "/contas", body, {"Content-Type": "application/json", "Idempotency-Key": "k"})
        answer = connection.getresponse()
        statuses.append((answer.status, answer.headers["Idempotency-Replayed"]))
        connection.close()
    assert statuses == [(201, None), (201, "true"), (422, None)]
