"""What attackers try first, at a bank with tokens: what each got, and that books and processes are untouched.

Broken framing, smuggled requests and addresses in disguise are in tests/integration/test_bad_requests.py, thousands of
slow and idle connections in test_slow_clients.py, garbage on a broker in test_broker_garbage.py.
"""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from replication.embedded import EmbeddedLog
from replication.snapshot import KEY_HEADER
from tests.support.cluster import Cluster, eventually
from tests.support.doors import Tokens, bearer
from tests.support.naive import bodies_of

GUESSES = 400


class Target(NamedTuple):
    """A bank of two nodes with accounts `ana`, the customer's, and `bia`; its books before anybody attacked it."""

    cluster: Cluster
    tokens: Tokens
    books: dict[str, object]
    processes: list[int]

    @property
    def url(self) -> str:
        return self.cluster.nodes[0].url

    def look(self) -> dict[str, object]:
        """Return the books once all nodes show the same."""
        keys = ("contas", "soma_saldos", "depositos", "saques", "resumo_estado", "confere")
        headers = bearer(self.tokens.of["admin"])

        def same() -> dict[str, object] | None:
            first, second = (node.get("/auditoria", headers=headers).json() for node in self.cluster.nodes)
            books = {key: first[key] for key in keys}
            return books if books == {key: second[key] for key in keys} else None

        books: dict[str, object] = eventually(same)
        return books

    def as_customer(self, path: str, *lines: str, method: str = "GET", body: str = "") -> tuple[int, bytes]:
        """Send this path as it is written, with these header lines; return the status and the body."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.url.removeprefix('http://')}", "Connection: close"]
        head += [f"Authorization: Bearer {self.tokens.of['cliente']}", *lines, "", body]
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall("\r\n".join(head).encode("latin-1"))
            answer = b""
            while chunk := client.recv(65_536):
                answer += chunk
        return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("alvo")
    tokens = Tokens(folder)
    with Cluster.running(folder / "dados", 2, environments=[tokens.environment] * 2) as cluster:
        for account, balance in (("ana", 100), ("bia", "777.77")):
            body = {"id_conta": account, "saldo": balance}
            assert cluster.nodes[0].post("/contas", body, headers=bearer(tokens.of["operador"])).status_code == 201
        processes = [node.process.pid for node in cluster.nodes if node.process]
        target = Target(cluster, tokens, {}, processes)
        target.books.update(target.look())
        yield target


@pytest.fixture(autouse=True)
def _is_untouched(target: Target) -> Iterator[None]:
    yield
    assert target.look() == target.books
    assert [node.process.pid for node in target.cluster.nodes if node.is_running and node.process] == target.processes


def test_tokens_guessed_at_speed_are_held_up_and_the_right_one_is_served_meanwhile(target: Target) -> None:
    right = target.tokens.of["cliente"]

    def guess(number: int) -> tuple[int, str | None]:
        wrong = f"{right[:18]}{number:043d}"
        answer = requests.get(f"{target.url}/contas/ana", headers=bearer(wrong), timeout=20)
        return answer.status_code, answer.headers.get("Retry-After")

    with ThreadPoolExecutor(8) as attackers:
        told = [attackers.submit(guess, number) for number in range(GUESSES)]
        served = [requests.get(f"{target.url}/contas/ana", headers=bearer(right), timeout=20) for _ in range(20)]
        answers = [one.result() for one in told]
    assert {status for status, _ in answers} == {401, 429}
    assert sum(status == 401 for status, _ in answers) < GUESSES / 2
    assert all(wait is not None and int(wait) >= 1 for status, wait in answers if status == 429)
    assert {answer.status_code for answer in served} == {200}


@pytest.mark.parametrize(
    "path",
    [
        "/contas/bia", "/contas/%62ia", "/contas/%62%69%61", "/contas/./bia", "/contas/ana/../bia",
        "/contas/ana%2f..%2fbia", "/contas/ana/%2e%2e/bia", "//contas/bia", "/contas//bia", "/contas/bia/",
        "/contas/bia%00", "/contas/bia%20", "/CONTAS/bia", "/contas/bia;ana", "/contas/bia?id_conta=ana",
        "/contas/ana?id_conta=bia", "/contas/bia/extrato", "/painel/contas/bia", "/painel/../contas/bia",
        "/saude/../contas/bia", "/saude/..%2fcontas/bia", "/painel/static/../contas/bia",
        "/painel/static/..%2f..%2f..%2fdoor.py", "/static/%2e%2e/api.py", "/docs/swagger/..%2f..%2f..%2fetc/passwd",
        "/cluster/copia", "/cluster/%63opia", "/cluster/copia/", "/operacoes/operador%1Fx", "http://x.example/contas/bia",
        "/saldo-outro-servidor/bia/{url}", "/saldo-outro-servidor/ana%2f..%2fbia/{url}",
        "/saldo-outro-servidor/ana/{url}/../../bia",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_shows_what_is_not_ones_own(target: Target, path: str) -> None:
    status, body = target.as_customer(path.replace("{url}", target.url.removeprefix("http://")))
    assert status in {400, 401, 403, 404} or path == "/contas/ana?id_conta=bia"
    assert b"777.77" not in body
    assert b"import" not in body


@pytest.mark.parametrize(
    "line",
    [
        "X-Original-URL: /contas/bia", "X-Rewrite-URL: /contas/bia", "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: elsewhere.example", "Forwarded: for=127.0.0.1;host=x", "X-HTTP-Method-Override: POST",
        "X-Remote-User: admin", "REMOTE_USER: admin", "X-Banco-Salto: 1", f"{KEY_HEADER}: guess",
        "Cookie: idioma=en; principal=admin",
    ],
)  # fmt: skip
def test_no_header_makes_a_customer_somebody_else(target: Target, line: str) -> None:
    status, body = target.as_customer("/contas/ana", line)
    assert (status, b'"id_conta":"ana"' in body) == (200, True)
    assert target.as_customer("/contas/bia", line)[0] == 403
    assert target.as_customer("/auditoria", line)[0] == 403


@pytest.mark.parametrize("key", ["operador\x1fk", "\x1f", "k\x00", "é"])
def test_no_key_reaches_into_those_of_another(target: Target, key: str) -> None:
    lines = [f"Idempotency-Key: {key}", "Content-Type: application/json", "Content-Length: 11"]
    assert target.as_customer("/contas/ana/deposito", *lines, method="POST", body='{"valor":1}')[0] == 400


def test_no_id_inside_a_batch_reaches_into_those_of_another(target: Target) -> None:
    item = {"op": "deposito", "id": "admin\x1fk", "id_conta": "ana", "valor": 1}
    answer = requests.post(
        f"{target.url}/lote", json={"operacoes": [item]}, headers=bearer(target.tokens.of["operador"]), timeout=20
    )
    assert (answer.status_code, answer.json()["codigo"]) == (400, "REQUISICAO_INVALIDA")


@pytest.mark.parametrize(
    ("path", "size"), [("/contas/ana/deposito", 900_000), ("/lote", 7_900_000), ("/lote", 10_000_000)]
)
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"operacoes":['])
def test_brackets_without_end_are_refused(target: Target, path: str, size: int, opening: bytes) -> None:
    body = opening * (size // len(opening))
    headers = bearer(target.tokens.of["operador"]) | {"Content-Type": "application/json"}
    answer = requests.post(target.url + path, data=body, headers=headers, timeout=60)
    assert answer.status_code in {400, 413}


def test_records_of_another_bank_are_skipped(target: Target, tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 1) as other:
        other.nodes[0].post("/contas", {"id_conta": "eva", "saldo": 1_000_000})
    with closing(EmbeddedLog(target.cluster.data_dir)) as log:
        for body in bodies_of(tmp_path / "livro.sqlite"):
            log.append(body)
    answer = requests.get(f"{target.url}/contas/eva", headers=bearer(target.tokens.of["admin"]), timeout=20)
    assert answer.status_code == 404, "what came behind them is applied, and they are not"
