"""Bad requests, one row each: every one is answered as a problem, moves no money, and hurts no process.

Requests are written byte by byte to a socket, since clients in libraries refuse to send most of them.
"""

import gzip
import http.client
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.cluster import Cluster, NodeProcess, eventually, free_port

FIELDS = {"type", "title", "status", "detail", "instance", "sucesso", "mensagem", "codigo", "resultado"}
LEDGER = {"CONTA_NAO_ENCONTRADA", "CONTA_JA_EXISTE", "SALDO_INSUFICIENTE", "MESMA_CONTA", "VALOR_ACIMA_DO_LIMITE"}
"""Refused by the ledger itself: the refusal is recorded, and takes a position."""
JSON = "application/json"
MANY = 1024 * 1024 + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A bad request and what comes back. `where`: the property that `violacoes` names."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes | None = None
    status: int = 400
    codigo: str = "REQUISICAO_INVALIDA"
    where: str | None = None

    @property
    def moves(self) -> bool:
        """True for a mutation; these carry the row's name as Idempotency-Key, unless a row is about the key."""
        return self.method == "POST" and self.codigo not in {"ROTA_NAO_ENCONTRADA", "METODO_NAO_PERMITIDO"}

    @property
    def key(self) -> str | None:
        """The key that the answer has to repeat."""
        return None if not self.moves or "Idempotency-Key" in dict(self.headers) else f"linha: {self.name}".strip()

    def sent(self, port: int) -> bytes:
        """Return the bytes of the request."""
        headers = [("Host", f"127.0.0.1:{port}".encode()), ("Connection", b"close"), *self.headers]
        if self.key:
            headers.append(("Idempotency-Key", self.key.encode()))
        if self.body is not None:
            headers.append(("Content-Length", str(len(self.body)).encode()))
        head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
        return f"{self.method} {self.path} HTTP/1.1\r\n".encode() + head + b"\r\n" + (self.body or b"")


def post(name: str, path: str, body: bytes | None, *, content_type: str | None = JSON, **rest: Any) -> Row:
    headers = tuple(rest.pop("headers", ()))
    headers += (("Content-Type", content_type.encode()),) if content_type is not None else ()
    return Row(name=name, method="POST", path=path, body=body, headers=headers, **rest)


def get(name: str, path: str, **rest: Any) -> Row:
    return Row(name=name, method="GET", path=path, **rest)


def deposit(name: str, body: bytes | None, **rest: Any) -> Row:
    return post(name, "/contas/alvo/deposito", body, **rest)


def opening(name: str, body: str, where: str | None) -> Row:
    return post(name, "/contas", body.encode(), where=where)


NUMBERS = [
    "1e2", "1E2", "100.10000000000000000001", "1e400", "1e999999999", "-1", "-0", "0", "0.00", "1.001",
    "10000000000000", "9999999999999.999", "1e-2", "9" * 5000, "true", "false", "null", "[]", "{}", "[1]",
]  # fmt: skip
NO_JSON = ["007", "NaN", "Infinity", "-Infinity", "+1", "1_0", "1.", ".5", "0x10", "1,00", "'1'", "", "True"]
TEXTS = [
    "1,00", "10.00\\n", "1_0", "\u0661\u0662", "\uff11", "", " 1", "1 ", "-1", "+1", "0", "1e2", "NaN", "007", "1.001",
    "10000000000000", "1.", ".5", "R$ 1", "\\u00a01", "9" * 5000,
]  # fmt: skip

MONEY = [
    *(deposit(f"number {text[:30]}", f'{{"valor": {text}}}'.encode(), where="valor") for text in NUMBERS),
    *(deposit(f"no number {text}", f'{{"valor": {text}}}'.encode()) for text in NO_JSON),
    *(deposit(f"text {ascii(text)[:30]}", f'{{"valor": "{text}"}}'.encode(), where="valor") for text in TEXTS),
    deposit("text with NUL", b'{"valor": "1\\u0000"}'),
    post("withdrawal of -1", "/contas/alvo/saque", b'{"valor": -1}', where="valor"),
    post("transfer of 0", "/transferencia/alvo", b'{"conta_destino": "outra", "valor": 0}', where="valor"),
    opening("opening balance below 0", '{"id_conta": "nova", "saldo": -1}', "saldo"),
    opening("opening balance 1e2", '{"id_conta": "nova", "saldo": 1e2}', "saldo"),
    opening("opening balance null", '{"id_conta": "nova", "saldo": null}', "saldo"),
    opening("limit below 0", '{"id_conta": "nova", "limite": -0.01}', "limite"),
    opening("limit too large", '{"id_conta": "nova", "limite": 10000000000000}', "limite"),
]

BODIES = [
    deposit("no body", None),
    deposit("empty body", b""),
    deposit("blank body", b"  \r\n"),
    deposit("not JSON", b"valor=1"),
    deposit("array", b'[{"valor": 1}]'),
    deposit("string", b'"valor"'),
    deposit("number body", b"1"),
    deposit("null body", b"null"),
    deposit("string that holds JSON", json.dumps('{"valor": 1}').encode()),
    deposit("trailing garbage", b'{"valor": 1} x'),
    deposit("two objects", b'{"valor": 1}{"valor": 1}'),
    deposit("trailing comma", b'{"valor": 1,}'),
    deposit("comment", b'{"valor": 1 /* um */}'),
    deposit("cut off", b'{"valor": 1'),
    deposit("duplicate key", b'{"valor": 1, "valor": 1}'),
    deposit("duplicate key, escaped", b'{"valor": 1, "\\u0076alor": 1}'),
    opening("duplicate alias id", '{"id_conta": "nova", "id": "nova"}', "id"),
    opening("duplicate alias saldo", '{"id_conta": "nova", "saldo": 1, "saldo_inicial": 1}', "saldo_inicial"),
    post(
        "duplicate alias destino",
        "/transferencia/alvo",
        b'{"conta_destino": "outra", "destino": "outra", "valor": 1}',
        where="destino",
    ),
    deposit("unknown field", b'{"valor": 1, "moeda": "BRL"}', where="moeda"),
    deposit("unknown field __proto__", b'{"valor": 1, "__proto__": {}}', where="__proto__"),
    deposit("missing field", b"{}", where="valor"),
    opening("missing id", '{"saldo": 1}', "id_conta"),
    deposit("field in capitals", b'{"VALOR": 1}', where="valor"),
    deposit("depth 33", b'{"valor": 1, "x": ' + b"[" * 32 + b"]" * 32 + b"}"),
    deposit("depth 100000", b'{"valor": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    deposit("depth 100000, objects, cut off", b'{"valor":' * 100_000),
    deposit("invalid UTF-8", b'{"valor": "\xff"}'),
    deposit("overlong UTF-8", b'{"valor": "\xc0\xb1"}'),
    deposit("surrogate in UTF-8", b'{"valor": "\xed\xa0\x80"}'),
    deposit("UTF-16", '{"valor": 1}'.encode("utf-16")),
    deposit("UTF-16 without BOM", '{"valor": 1}'.encode("utf-16-le")),
    deposit("UTF-8 with BOM", b'\xef\xbb\xbf{"valor": 1}'),
    deposit("NUL after the body", b'{"valor": 1}\x00'),
    opening("NUL in text", '{"id_conta": "nova", "titular": "a\\u0000b"}', None),
    opening("raw NUL in text", '{"id_conta": "nova", "titular": "a\x00b"}', None),
    opening("lone surrogate", '{"id_conta": "nova", "titular": "\\ud800"}', None),
    opening("lone surrogate in a key", '{"id_conta": "nova", "\\udfff": 1}', None),
    deposit("1 MiB + 1", b'{"valor": 1}'.ljust(MANY), status=413, codigo="CORPO_GRANDE_DEMAIS"),
    deposit("4 MiB", b'{"valor": 1}'.ljust(4 * MANY), status=413, codigo="CORPO_GRANDE_DEMAIS"),
]

TYPES = [
    deposit(f"type {content_type}", b'{"valor": 1}', content_type=content_type, status=415, codigo="TIPO_NAO_SUPORTADO")
    for content_type in (
        None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
        "application/json; charset=latin-1", "application/json; charset=utf-16", "application/xml", "json", "*/*",
        "application/jsonp", "application/json, text/plain",
    )
]  # fmt: skip

LONG = "a" * 65
NO_IDS = [
    "1.5", "1.0", "1e3", "-5", "-0", "true", "null", "[]", '""', '" a"', '"a/b"', '".."', '"a\\n"', "1" * 65,
    f'"{LONG}"', '"jos\\u00e9"', '"\\u0661"', '"\\ud83d\\udcb0"', '"a b"', '"_x"', '{"id": 1}',
]  # fmt: skip
ACCOUNTS = [
    get("id of 65", f"/contas/{LONG}", where="id_conta"),
    get("id ..", "/contas/..", where="id_conta"),
    get("id %2e%2e", "/contas/%2e%2e", where="id_conta"),
    get("id .hidden", "/contas/.oculta", where="id_conta"),
    get("id -x", "/contas/-x", where="id_conta"),
    get("id with %00", "/contas/alvo%00", where="id_conta"),
    get("id with %0a", "/contas/alvo%0a", where="id_conta"),
    get("id with %0d%0a", "/contas/alvo%0d%0aX-A:%20b", where="id_conta"),
    get("id with blank", "/contas/al%20vo", where="id_conta"),
    get("id with +", "/contas/al+vo", where="id_conta"),
    get("id with emoji", "/contas/%F0%9F%92%B0", where="id_conta"),
    get("id with accent", "/contas/jos%C3%A9", where="id_conta"),
    get("id in Cyrillic", "/contas/%D0%B0lvo", where="id_conta"),
    get("id with broken UTF-8", "/contas/%FF", where="id_conta"),
    get("id with a broken escape", "/contas/%zz", where="id_conta"),
    get("id with ;", "/contas/alvo;x=1", where="id_conta"),
    get("id twice encoded", "/contas/%2561lvo", where="id_conta"),
    get("id with a slash", "/contas/alvo%2Foutra", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("id empty", "/contas/", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("statement of a bad id", "/contas/al%20vo/extrato", where="id_conta"),
    get("id with .. at another server", "/saldo-outro-servidor/../127.0.0.1", where="id_conta"),
    post("deposit to a bad id", "/contas/al%20vo/deposito", b'{"valor": 1}', where="id_conta"),
    post("deposit to id %0a", "/contas/alvo%0a/deposito", b'{"valor": 1}', where="id_conta"),
    post("transfer from a bad id", "/transferencia/.x", b'{"conta_destino": "outra", "valor": 1}', where="id_conta"),
    *(opening(f"new id {text[:30]}", f'{{"id_conta": {text}}}', "id_conta") for text in NO_IDS),
    post("destination -1", "/transferencia/alvo", b'{"conta_destino": -1, "valor": 1}', where="conta_destino"),
    post("destination with a slash", "/transferencia/alvo", b'{"destino": "a/b", "valor": 1}', where="destino"),
]

HOLDERS = [
    opening(f"holder {text[:30]}", f'{{"id_conta": "nova", "titular": {text}}}', "titular")
    for text in ['""', '"\\u0007"', '"a\\nb"', '"a\\u007f"', f'"{"x" * 201}"', "1", "true", "[]", '{"nome": "a"}']
]

NO_TOKENS = [
    "", "x", "1", "1-1", "0-1-00000000", "1--1-00000000", "1-1-0000000G", "1-1-00000000-", "9" * 999, "1-01-00000000",
    "1-1-000000000", "1-1-00000000 1-1-00000000", "\u0661-1-00000000",
]  # fmt: skip
HEADERS = [
    *(
        deposit(f"key {name}", b'{"valor": 1}', headers=[("Idempotency-Key", value)], where="Idempotency-Key")
        for name, value in [
            ("empty", b""),
            ("empty in quotes", b'""'),
            ("of 256", b"k" * 256),
            ("not ASCII", "chavé".encode()),
            ("with a tab", b"a\tb"),
        ]
    ),
    deposit("key with DEL", b'{"valor": 1}', headers=[("Idempotency-Key", b"a\x7fb")]),
    post("bad key of an opening", "/contas", b'{"id_conta": "nova"}', headers=[("Idempotency-Key", b"k" * 256)]),
    *(
        get(f"token {text}", "/contas/alvo", headers=(("X-Posicao-Minima", text.encode()),), where="X-Posicao-Minima")
        for text in NO_TOKENS
    ),
    deposit("token at a mutation", b'{"valor": 1}', headers=[("X-Posicao-Minima", b"x")], where="X-Posicao-Minima"),
]

QUERIES = [
    get("consistency unknown", "/contas/alvo?consistencia=fraca", where="consistencia"),
    get("consistency empty", "/contas/alvo?consistencia=", where="consistencia"),
    get("consistency repeated", "/contas/alvo?consistencia=forte&consistencia=forte", where="consistencia"),
    get("consistency in capitals", "/contas/alvo?consistencia=FORTE", where="consistencia"),
    get("unknown parameter", "/contas/alvo?consistencia=local&x=1", where="x"),
    get("unknown parameter of a list", "/contas?x=1", where="x"),
    get("unknown parameter of a statement", "/contas/alvo/extrato?x=1", where="x"),
    *(
        get(f"{path} limit {value}", f"{path}?limite={quote(value)}", where="limite")
        for path in ("/contas", "/contas/alvo/extrato")
        for value in ["0", "1001", "-1", "abc", "", "1.0", "+1", "1_0", " 1", "\u0661", "9" * 5000, "1e1"]
    ),
    *(
        get(f"cursor {value[:20]}", f"/contas/alvo/extrato?antes={quote(value)}", where="antes")
        for value in ["0", "-1", "abc", "", "1.5", "\u0661", "9" * 18, "9" * 5000]
    ),
    get("limit repeated", "/contas?limite=1&limite=2", where="limite"),
]

ROUTES = [
    get("unknown route", "/nada", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("route above the root", "/../../etc/passwd", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("route with a slash at its end", "/contas/alvo/", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("route in capitals", "/CONTAS", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("unknown problem", "/problemas/nada", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    post("post to an unknown route", "/conta", b"{}", status=404, codigo="ROTA_NAO_ENCONTRADA"),
    get("unknown account", "/contas/ninguem", status=404, codigo="CONTA_NAO_ENCONTRADA"),
    get("statement of nobody", "/contas/ninguem/extrato", status=404, codigo="CONTA_NAO_ENCONTRADA"),
    get("cursor of nobody", "/contas/ninguem/extrato?antes=1", status=404, codigo="CONTA_NAO_ENCONTRADA"),
    get("unknown operation", "/operacoes/nenhuma", status=404, codigo="OPERACAO_NAO_ENCONTRADA"),
    get("operation with %00", "/operacoes/a%00b", status=404, codigo="OPERACAO_NAO_ENCONTRADA"),
    *(
        Row(name=f"{method} {path}", method=method, path=path, status=405, codigo="METODO_NAO_PERMITIDO")
        for method, path in [
            ("DELETE", "/contas/alvo"), ("PUT", "/contas/alvo"), ("PATCH", "/contas/alvo"), ("TRACE", "/contas"),
            ("GET", "/contas/alvo/deposito"), ("GET", "/transacao-outro-servidor"), ("POST", "/saude"),
            ("CONNECT", "/contas"), ("PROPFIND", "/contas"), ("POST", "/auditoria"),
        ]
    ),
]  # fmt: skip

REFUSALS = [
    deposit("beyond the bound", b'{"valor": 9999999999999.99}', status=422, codigo="VALOR_ACIMA_DO_LIMITE"),
    post("too little", "/contas/alvo/saque", b'{"valor": 100.01}', status=422, codigo="SALDO_INSUFICIENTE"),
    post(
        "transfer of too little",
        "/transferenciaalvo",
        b'{"conta_destino": "outra", "valor": 100.01}',
        status=422,
        codigo="SALDO_INSUFICIENTE",
    ),
    post(
        "same account",
        "/transferencia/alvo",
        b'{"conta_destino": "alvo", "valor": 1}',
        status=422,
        codigo="MESMA_CONTA",
    ),
    post(
        "unknown destination",
        "/contas/alvo/transferencia",
        b'{"destino": "ninguem", "valor": 1}',
        status=404,
        codigo="CONTA_NAO_ENCONTRADA",
    ),
    post(
        "unknown origin",
        "/transferencia/ninguem",
        b'{"destino": "alvo", "valor": 1}',
        status=404,
        codigo="CONTA_NAO_ENCONTRADA",
    ),
    post("deposit to nobody", "/contas/ninguem/deposito", b'{"valor": 1}', status=404, codigo="CONTA_NAO_ENCONTRADA"),
    post("account exists", "/contas", b'{"id": "alvo"}', status=409, codigo="CONTA_JA_EXISTE"),
    post(
        "transfer at an unknown server",
        "/transferencia/alvo",
        b'{"conta_destino": "outra", "valor": 1, "servidor": "banco-1"}',
        status=403,
        codigo="SERVIDOR_DESCONHECIDO",
    ),
    post(
        "transfer at a server that is no text",
        "/transferencia/alvo",
        b'{"conta_destino": "outra", "valor": 1, "servidor": 5000}',
        where="servidor",
    ),
]

ELSEWHERE = "/transacao-outro-servidor"
OTHERS = [
    post(f"kind {kind}", ELSEWHERE, elsewhere_body.encode(), where="tipo")
    for kind in ['"transferencia"', '"DEPOSITO"', '"deposito\\n"', '""', "null", "1", '["saque"]', '"../contas"']
    for elsewhere_body in [f'{{"id_conta": "alvo", "valor": 1, "endereco_servidor": "banco-1", "tipo": {kind}}}']
] + [
    post("no server", ELSEWHERE, b'{"id_conta": "alvo", "valor": 1}', where="endereco_servidor"),
    post("server null", ELSEWHERE, b'{"id": "alvo", "valor": 1, "servidor": null}', where="servidor"),
    post("server twice", ELSEWHERE, b'{"id": "alvo", "valor": 1, "servidor": "a", "endereco_servidor": "a"}'),
    post("no amount elsewhere", ELSEWHERE, b'{"id": "alvo", "servidor": "a"}', where="valor"),
    post(
        "forwarded operation",
        ELSEWHERE,
        b'{"id": "alvo", "valor": 1, "servidor": "banco-1"}',
        headers=[("X-Banco-Salto", b"1")],
        status=403,
        codigo="NAO_AUTORIZADO",
    ),
    get(
        "forwarded read",
        "/saldo-outro-servidor/alvo/banco-1",
        headers=(("X-Banco-Salto", b"1"),),
        status=403,
        codigo="NAO_AUTORIZADO",
    ),
    get("no address", "/saldo-outro-servidor/alvo/", status=404, codigo="ROTA_NAO_ENCONTRADA"),
]  # fmt: skip

ROWS = MONEY + BODIES + TYPES + ACCOUNTS + HOLDERS + HEADERS + QUERIES + ROUTES + REFUSALS + OTHERS

NO_NODES = [
    "2130706433", "2130706433:{port}", "http://2130706433:{port}", "0x7f000001:{port}", "0x7f.0.0.1:{port}",
    "0177.0.0.1:{port}", "017700000001:{port}", "127.1:{port}", "127.0.1:{port}", "0:{port}", "0.0.0.0:{port}",
    "127.0.0.1.:{port}", "localhost.:{port}", "127.0.0.2:{port}", "127.000.000.001:{port}", "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}", "[::ffff:7f00:1]:{port}", "[0:0:0:0:0:0:0:1]:{port}", "[::1%25lo]:{port}",
    "::1:{port}", "user@127.0.0.1:{port}", "http://user:pass@127.0.0.1:{port}", "http://x@127.0.0.1:{port}/",
    "127.0.0.1:{port}/contas", "http://127.0.0.1:{port}/contas/../auditoria?", "http://127.0.0.1:{port}?x=1",
    "http://127.0.0.1:{port}#x", "http://127.0.0.1:{port}//", "//127.0.0.1:{port}", "http:127.0.0.1:{port}",
    "http:///127.0.0.1:{port}", "http:\\\\127.0.0.1:{port}", "file://127.0.0.1:{port}", "ftp://127.0.0.1:{port}",
    "gopher://127.0.0.1:{port}", "https://127.0.0.1:{port}", "file:///etc/passwd", "unix:///tmp/x",
    "http://banco@127.0.0.1:{port}#@127.0.0.1", "http://example.org#@127.0.0.1:{port}",
    "http://127.0.0.1:{port}\\@example.org", "127.0.0.1:{port}@example.org", "127.0.0.1:0", "127.0.0.1:99999",
    "127.0.0.1:-1", "127.0.0.1:{port}0", "127.0.0.1", "localhost", "example.org", "http://example.org:{port}",
    "169.254.169.254", "127\u30020\u30020\u30021:{port}", "\uff11\uff12\uff17.0.0.1:{port}", "\u24db\u24de\u24d2al:1",
    "localhost\u3002:{port}", "127.0.0.1:\u0661", "127.0.0.1:{port}\r\nX-A: b", "127.0.0.1:{port}\n", "\x00127.0.0.1",
    "127.0.0.1:{port}\x00", " 127.0.0.1:{port}", "127.0.0.1:{port} ", "127.0.0.1\t:{port}", "127.0.0.1,{port}",
    "localtest.me:{port}", "127.0.0.1.nip.io:{port}", "{port}", ":{port}", "banco", "*", ".", "..", "a" * 5000,
]  # fmt: skip


@dataclass(slots=True)
class World:
    """The cluster under attack, what it was like before, and what may have changed since."""

    cluster: Cluster
    pids: list[int]
    before: dict[str, Any]
    recorded: int = 0
    deposited: Decimal = field(default_factory=Decimal)

    def node(self, number: int = 0) -> NodeProcess:
        return self.cluster.nodes[number % len(self.cluster.nodes)]


@pytest.fixture(scope="module")
def world(three_nodes: Cluster) -> World:
    """Three nodes with 100.00 each in the accounts `alvo` and `outra`."""
    for account in ("alvo", "outra"):
        opened = three_nodes.nodes[0].post("/contas", {"id_conta": account, "saldo": 100})
        assert opened.status_code == 201, opened.text
    pids = [node.process.pid for node in three_nodes.nodes if node.process]
    return World(three_nodes, pids, three_nodes.settled_books())


@pytest.fixture(scope="module")
def trap() -> Iterator[socket.socket]:
    """A port of the loopback that listens, in the hope that nobody ever comes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


@contextmanager
def untouched(world: World) -> Iterator[None]:
    """Check that nothing at all is recorded within."""
    before = world.cluster.settled_books()
    yield
    assert world.cluster.settled_books() == before


def nobody_came(trap: socket.socket) -> bool:
    try:
        trap.accept()[0].close()
    except BlockingIOError:
        return True
    return False


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, as it stood on the wire."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def exchange(port: int, request: bytes) -> list[Answer]:
    """Send bytes, read until the node closes, and return all answers. No end within 15 s is a failure."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        received = bytearray()
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end; the answer is there
            connection.sendall(request)
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
    return list(answers_in(bytes(received)))


def answers_in(received: bytes) -> Iterator[Answer]:
    while received:
        assert received.startswith(b"HTTP/1."), received[:200]
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, _, fields = head.partition(b"\r\n")
        headers = http.client.parse_headers(BytesIO(fields + b"\r\n\r\n"))
        status = int(status_line.split()[1])
        length = int(headers.get("Content-Length", 0 if status < 200 else len(rest)))
        assert len(rest) >= length, "an answer that is cut off"
        yield Answer(status, headers, rest[:length])
        received = rest[length:]


def assert_problem(answer: Answer, status: int, codigo: str, *, resultado: str = "nao_aplicado") -> dict[str, Any]:
    """Check everything that all problems have in common."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer
    found = answer.json()
    assert (answer.status, found["codigo"], found["status"]) == (status, codigo, status), found
    assert found.keys() >= FIELDS
    assert found["type"] == f"/problemas/{codigo.lower().replace('_', '-')}"
    assert found["sucesso"] is False
    assert found["mensagem"] == found["detail"] != ""
    assert found["resultado"] == resultado
    assert b"Traceback" not in answer.body
    return found


def test_there_are_many_and_no_two_have_the_same_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 80


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_bad_request_is_answered_as_the_problem_that_it_is(world: World, row: Row) -> None:
    node = world.node(ROWS.index(row))
    (answer,) = exchange(node.port, row.sent(node.port))
    world.recorded += row.moves and row.codigo in LEDGER
    problem = assert_problem(answer, row.status, row.codigo)
    if row.where:
        assert row.where in [violation["propriedade"] for violation in problem["violacoes"]]
        for violation in problem["violacoes"]:
            assert violation.keys() == {"propriedade", "razao", "valor"}
            assert len(violation["razao"]) > 0
            assert len(violation["valor"]) <= 200
    if row.status == 405:
        assert answer.headers["Allow"]
    if row.status == 415:
        assert "-H 'Content-Type: application/json'" in problem["detail"]
    if row.key:
        assert problem.get("id_operacao") == row.key


@pytest.mark.parametrize("path", ["/contas/al%20vo", "/contas/jos%C3%A9", "/contas/alvo%0A", "/contas/%00"])
def test_the_instance_of_a_problem_is_a_uri_reference(world: World, path: str) -> None:
    row = get("instance", path)
    (answer,) = exchange(world.node().port, row.sent(world.node().port))
    assert assert_problem(answer, 400, "REQUISICAO_INVALIDA")["instance"] == path


@pytest.mark.parametrize("typed", NO_NODES, ids=lambda typed: ascii(typed)[1:40])
@pytest.mark.parametrize("way", ["read", "operation", "transfer"])
def test_an_address_in_disguise_is_no_node_and_gets_not_a_packet(
    world: World, trap: socket.socket, typed: str, way: str
) -> None:
    for port in (trap.getsockname()[1], world.node(1).port):
        address = typed.format(port=port)
        if way == "read":
            row = get("read", f"/saldo-outro-servidor/alvo/{quote(address, safe='')}")
        else:
            fields = {"servidor": address, "valor": 1}
            fields |= {"id": "alvo"} if way == "operation" else {"destino": "outra"}
            path = ELSEWHERE if way == "operation" else "/transferencia/alvo"
            row = post(f"{way} {ascii(address)[:40]}", path, json.dumps(fields).encode(), status=403)
        (answer,) = exchange(world.node().port, row.sent(world.node().port))
        if "\x00" in address and way != "read":
            assert_problem(answer, 400, "REQUISICAO_INVALIDA")  # no text of ours holds NUL
        else:
            assert_problem(answer, 403, "SERVIDOR_DESCONHECIDO")
        assert nobody_came(trap)


def test_an_address_as_it_was_typed_may_hold_plain_slashes(world: World, trap: socket.socket) -> None:
    port = trap.getsockname()[1]
    for typed in (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/a//b", f"//127.0.0.1:{port}", "http://x/../y"):
        row = get("plain", f"/saldo-outro-servidor/alvo/{typed}")
        (answer,) = exchange(world.node().port, row.sent(world.node().port))
        assert_problem(answer, 403, "SERVIDOR_DESCONHECIDO")
    assert nobody_came(trap)


BODY = b'{"valor": 1}'
HOST = b"Host: 127.0.0.1\r\n"
CLOSE = b"Connection: close\r\n"
TYPE = b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: 12\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"c\r\n" + BODY + b"\r\n0\r\n\r\n"


def raw(*headers: bytes, start: bytes = b"POST /contas/alvo/deposito HTTP/1.1\r\n", body: bytes = BODY) -> bytes:
    """Return a deposit of 1.00: whoever serves it in spite of what is wrong with it changes the books."""
    return start + b"".join(headers) + b"\r\n" + body


SMUGGLED = raw(HOST, CLOSE, TYPE, LENGTH)
PLAIN = (HOST, CLOSE, TYPE)
BROKEN = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
    "no request line": b"\r\n\r\n\r\n" + b"x\r\n\r\n",
    "only a method": raw(*PLAIN, LENGTH, start=b"POST\r\n"),
    "no version": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo/deposito\r\n"),
    "HTTP/9.9": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo/deposito HTTP/9.9\r\n"),
    "HTTP/2.0": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo/deposito HTTP/2.0\r\n"),
    "method in small letters": raw(*PLAIN, LENGTH, start=b"post /contas/alvo/deposito HTTP/1.1\r\n"),
    "version http/1.1": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo/deposito http/1.1\r\n"),
    "version HTTP/1.10": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo/deposito HTTP/1.10\r\n"),
    "two blanks": raw(*PLAIN, LENGTH, start=b"POST  /contas/alvo/deposito HTTP/1.1\r\n"),
    "blank in the path": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo /deposito HTTP/1.1\r\n"),
    "tab for blank": raw(*PLAIN, LENGTH, start=b"POST\t/contas/alvo/deposito\tHTTP/1.1\r\n"),
    "NUL in the path": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo\x00/deposito HTTP/1.1\r\n"),
    "bytes in the path": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo\xff\xfe/deposito HTTP/1.1\r\n"),
    "CR in the path": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo\r/deposito HTTP/1.1\r\n"),
    "LF in the path": raw(*PLAIN, LENGTH, start=b"POST /contas/alvo\n/deposito HTTP/1.1\r\n"),
    "broken IPv6 URL": raw(*PLAIN, LENGTH, start=b"POST http://[::1/contas/alvo/deposito HTTP/1.1\r\n"),
    "URL without path": raw(*PLAIN, LENGTH, start=b"POST http:// HTTP/1.1\r\n"),
    "asterisk": raw(*PLAIN, LENGTH, start=b"POST * HTTP/1.1\r\n"),
    "path without slash": raw(*PLAIN, LENGTH, start=b"POST contas/alvo/deposito HTTP/1.1\r\n"),
    "path of 60 KiB": raw(*PLAIN, LENGTH, start=b"POST /contas/" + b"a" * 60_000 + b"/deposito HTTP/1.1\r\n"),
    "only LF": raw(*PLAIN, LENGTH).replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "bare CR in a header": raw(*PLAIN, LENGTH, b"X-A: a\rb\r\n"),
    "bare LF in a header": raw(*PLAIN, LENGTH, b"X-A: a\nX-B: b\r\n"),
    "NUL in a header": raw(*PLAIN, LENGTH, b"X-A: a\x00b\r\n"),
    "blank before the colon": raw(*PLAIN, LENGTH, b"X-A : a\r\n"),
    "blank before the colon of the length": raw(*PLAIN, b"Content-Length : 12\r\n"),
    "header without a colon": raw(*PLAIN, LENGTH, b"X-A\r\n"),
    "header without a name": raw(*PLAIN, LENGTH, b": a\r\n"),
    "first header folded": raw(b" X-A: a\r\n", *PLAIN, LENGTH),
    "folded type": raw(HOST, CLOSE, b"Content-Type: application/json\r\n text/plain\r\n", LENGTH),
    "no Host": raw(CLOSE, TYPE, LENGTH),
    "two Hosts": raw(HOST, *PLAIN, LENGTH),
    "two equal lengths": raw(*PLAIN, LENGTH, LENGTH),
    "two lengths": raw(*PLAIN, LENGTH, b"Content-Length: 0\r\n"),
    "list of lengths": raw(*PLAIN, b"Content-Length: 12, 12\r\n"),
    "negative length": raw(*PLAIN, b"Content-Length: -1\r\n"),
    "length with a sign": raw(*PLAIN, b"Content-Length: +12\r\n"),
    "length in hex": raw(*PLAIN, b"Content-Length: 0xc\r\n"),
    "length with an underscore": raw(*PLAIN, b"Content-Length: 1_2\r\n"),
    "length in other digits": raw(*PLAIN, b"Content-Length: \xb2\r\n"),
    "empty length": raw(*PLAIN, b"Content-Length:\r\n"),
    "huge length": raw(*PLAIN, b"Content-Length: 99999999999999999999\r\n"),
    "length of 5000 digits": raw(*PLAIN, b"Content-Length: " + b"9" * 5000 + b"\r\n"),
    "length and chunks": raw(*PLAIN, LENGTH, CHUNKED, body=CHUNKS),
    "chunks and length": raw(*PLAIN, CHUNKED, LENGTH, body=CHUNKS),
    "chunks at HTTP/1.0": raw(*PLAIN, CHUNKED, LENGTH, start=b"POST /contas/alvo/deposito HTTP/1.0\r\n"),
    "unknown encoding": raw(*PLAIN, b"Transfer-Encoding: gzip\r\n", LENGTH),
    "chunks, then gzip": raw(*PLAIN, b"Transfer-Encoding: chunked, gzip\r\n", body=CHUNKS),
    "chunks twice": raw(*PLAIN, CHUNKED, CHUNKED, body=CHUNKS),
    "chunks with a vertical tab": raw(*PLAIN, b"Transfer-Encoding: \x0bchunked\r\n", LENGTH),
    "chunk size in no hex": raw(*PLAIN, CHUNKED, body=b"g\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "negative chunk": raw(*PLAIN, CHUNKED, body=b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk with 0x": raw(*PLAIN, CHUNKED, body=b"0xc\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk longer than it says": raw(*PLAIN, CHUNKED, body=b"3\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk extension with LF": raw(*PLAIN, CHUNKED, body=b"c;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk of many digits": raw(*PLAIN, CHUNKED, body=b"f" * 6000 + b"\r\n" + b" " * MANY),
    "header of 64 KiB": raw(*PLAIN, LENGTH, b"X-A: " + b"a" * 65_536 + b"\r\n"),
    "10000 headers": raw(*PLAIN, LENGTH, *(b"X-%d: a\r\n" % number for number in range(10_000))),
}
"""Framing that must not be served. RFC 9112 demands 400 for most; a close without an answer is as good."""


@pytest.mark.parametrize("name", BROKEN)
def test_broken_framing_is_refused_or_closed_and_never_served(world: World, name: str) -> None:
    with untouched(world):
        answers = exchange(world.node().port, BROKEN[name])
    assert len(answers) <= 1
    for answer in answers:
        assert answer.status in {*range(400, 500), 501, 505}, answer
        assert_problem(answer, answer.status, answer.json()["codigo"])


SMUGGLING = {
    "in the body, by length and chunks": raw(
        HOST, TYPE, b"Content-Length: %d\r\n" % (5 + len(SMUGGLED)), CHUNKED, body=b"0\r\n\r\n" + SMUGGLED
    ),
    "in the body, by two lengths": raw(
        HOST, TYPE, b"Content-Length: 0\r\n", b"Content-Length: %d\r\n" % len(SMUGGLED), body=SMUGGLED
    ),
    "after a bad chunk": raw(HOST, TYPE, CHUNKED, body=b"z\r\n\r\n" + SMUGGLED),
    "after a chunk that is longer": raw(HOST, TYPE, CHUNKED, body=b"1\r\nxx\r\n0\r\n\r\n" + SMUGGLED),
    "after a negative length": raw(HOST, TYPE, b"Content-Length: -1\r\n", body=SMUGGLED),
    "after an unknown encoding": raw(HOST, TYPE, b"Transfer-Encoding: xchunked\r\n", body=SMUGGLED),
    "after chunks at HTTP/1.0": raw(
        HOST, TYPE, b"Connection: keep-alive\r\n", CHUNKED, b"Content-Length: 3\r\n",
        start=b"POST /contas/alvo/deposito HTTP/1.0\r\n", body=b"0\r\n" + b"\r\n" + SMUGGLED,
    ),
    "after a header of 64 KiB": raw(HOST, b"X-A: " + b"a" * 65_536 + b"\r\n", body=SMUGGLED),
    "after a length that is too large": raw(HOST, TYPE, b"Content-Length: 9999999\r\n", body=SMUGGLED),
    "in a header, by LF": raw(HOST, TYPE, b"X-A: a\n\n" + SMUGGLED, b"Content-Length: 0\r\n", body=b""),
    "in the path": raw(
        HOST, CLOSE, start=b"GET /contas/alvo%20HTTP/1.1%0d%0a%0d%0a" + quote(SMUGGLED).encode() + b" HTTP/1.1\r\n",
        body=b"",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_request_inside_a_request_is_never_served(world: World, name: str) -> None:
    with untouched(world):
        answers = exchange(world.node().port, SMUGGLING[name])
    assert len(answers) <= 1, answers
    for answer in answers:
        assert_problem(answer, answer.status, answer.json()["codigo"])


def test_a_request_that_ends_in_the_middle_is_not_served(world: World) -> None:
    whole = raw(*PLAIN, LENGTH)
    with untouched(world):
        for end in (1, 10, 40, len(whole) - 13, len(whole) - 1):
            with socket.create_connection(("127.0.0.1", world.node().port), timeout=15) as connection:
                connection.sendall(whole[:end])
                connection.shutdown(socket.SHUT_WR)
                received = connection.recv(65_536)
                assert received == b"" or 400 <= int(received.split()[1]) < 500


def test_a_whole_url_in_the_request_line_is_answered_here_and_fetched_nowhere(
    world: World, trap: socket.socket
) -> None:
    port = trap.getsockname()[1]
    for host in (f"127.0.0.1:{port}", f"x@127.0.0.1:{port}", "example.org"):
        request = raw(HOST, CLOSE, start=f"GET http://{host}/contas/ninguem HTTP/1.1\r\n".encode(), body=b"")
        (answer,) = exchange(world.node().port, request)
        assert answer.status in {400, 404}
        assert_problem(answer, answer.status, answer.json()["codigo"])
    assert nobody_came(trap)


def test_a_client_that_expects_100_continue_gets_it_and_then_its_answer(world: World) -> None:
    node = world.node()
    with socket.create_connection(("127.0.0.1", node.port), timeout=15) as connection:
        connection.sendall(raw(*PLAIN, LENGTH, b"Expect: 100-continue\r\n", body=b""))
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        reader = connection.makefile("rb")
        (answer,) = answers_in(reader.read())
    assert answer.status == 200, answer
    world.deposited += 1
    world.recorded += 1


def test_a_client_that_expects_100_continue_for_too_much_is_refused_at_once(world: World) -> None:
    headers = (*PLAIN, b"Expect: 100-continue\r\n", b"Content-Length: %d\r\n" % MANY)
    (answer,) = exchange(world.node().port, raw(*headers, body=b""))
    assert_problem(answer, 413, "CORPO_GRANDE_DEMAIS")


@pytest.mark.parametrize("headers", [b"", LENGTH], ids=["without a body", "with a body at once"])
def test_a_client_that_expects_100_continue_for_nothing_does_not_wait(world: World, headers: bytes) -> None:
    request = raw(HOST, CLOSE, b"Expect: 100-continue\r\n", headers, start=b"GET /saude HTTP/1.1\r\n", body=b"")
    *_, answer = exchange(world.node().port, request + (BODY if headers else b""))
    assert answer.status == 200


def test_after_all_of_this_the_books_are_untouched_and_the_same_processes_serve(world: World) -> None:
    now = world.cluster.settled_books()
    assert (now["contas"], now["saques"]) == (world.before["contas"], world.before["saques"])
    for total in ("soma_saldos", "depositos"):
        assert Decimal(now[total]) == Decimal(world.before[total]) + world.deposited
    assert now["posicao"] - world.before["posicao"] == world.recorded
    for node, pid in zip(world.cluster.nodes, world.pids, strict=True):
        assert node.process is not None
        assert node.process.pid == pid
        assert node.process.poll() is None
        eventually(lambda node=node: node.get("/saude").status_code == 200)
        for account, deposited in (("alvo", world.deposited), ("outra", 0)):
            shown = node.get(f"/contas/{account}").json(parse_float=Decimal)
            assert shown["saldo"] == 100 + deposited
        assert "Traceback" not in node.output()


ANOTHER_BANK_S_MAX = 15.0
"""REQUEST_DEADLINE and a second for the node that asks, and some for a slow machine."""


def answer_of(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GOOD = b'{"sucesso":true,"mensagem":"Conta boa.","id_conta":"boa","saldo":100.50,"x":[1e2,0.10]}'
LOST = {
    "302": answer_of("302 Found", GOOD, "Location: {trap}"),
    "307": answer_of("307 Temporary Redirect", GOOD, "Location: {trap}"),
    "308": answer_of("308 Permanent Redirect", b"", "Location: {trap}"),
    "gigantic": answer_of("200 OK", GOOD.ljust(3 * MANY)),
    "gzip-bomb": answer_of("200 OK", gzip.compress(GOOD.ljust(64 * MANY)), "Content-Encoding: gzip"),
    "bad-gzip": answer_of("200 OK", gzip.compress(GOOD)[:30], "Content-Encoding: gzip"),
    "html": answer_of("200 OK", b"<html>ok</html>", "Content-Type: text/html"),
    "html-500": answer_of("500 Internal Server Error", b"<html>Traceback</html>", "Content-Type: text/html"),
    "array": answer_of("200 OK", b"[]"),
    "null": answer_of("200 OK", b"null"),
    "nan": answer_of("200 OK", b'{"saldo": NaN}'),
    "twins": answer_of("200 OK", b'{"saldo": 1, "saldo": 2}'),
    "deep": answer_of("200 OK", b'{"x": ' + b"[" * 100_000),
    "latin-1": answer_of("200 OK", b'{"x": "\xe9"}'),
    "empty": answer_of("200 OK", b""),
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "cut-off": answer_of("200 OK", GOOD)[:-10],
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + GOOD,
    "closed": b"",
    "garbage": b"hello\r\n\r\n",
    "no-http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "head-cut-off": b"HTTP/1.1 200 OK\r\nContent-Le",
    "long-header": answer_of("200 OK", GOOD, "X-A: " + "a" * 70_000),
    "many-headers": answer_of("200 OK", GOOD, *(f"X-{number}: a" for number in range(200))),
}
"""What another bank may do after it got the request: whether it did anything is unknown."""
PROBLEM = (
    b'{"type":"/problemas/x","title":"X","status":404,"detail":"Nada.","instance":"/","sucesso":false,'
    b'"mensagem":"Nada.","codigo":"CONTA_NAO_ENCONTRADA","resultado":"nao_aplicado","valor":0.10}'
)
PASSED = {
    "boa": (200, answer_of("200 OK", GOOD, "X-Posicao: 1-2-00000000", "Set-Cookie: a=b", "Server: x")),
    "open-end": (200, b"HTTP/1.0 200 OK\r\n\r\n" + GOOD),
    "nobody": (404, answer_of("404 Not Found", PROBLEM)),
    "conflict": (409, answer_of("409 Conflict", PROBLEM)),
    "poor": (422, answer_of("422 Unprocessable Content", PROBLEM)),
    "busy": (429, answer_of("429 Too Many Requests", PROBLEM, "Retry-After: 7")),
    "broken": (500, answer_of("500 Internal Server Error", PROBLEM)),
    "away": (503, answer_of("503 Service Unavailable", PROBLEM, "Retry-After: 7")),
}


class OtherBank(socketserver.ThreadingTCPServer):
    """A bank outside this log, which answers each account as that account is called."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, trap_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _OtherBankHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.trap_url = trap_url
        self.closing = threading.Event()
        self.seen: list[tuple[str, http.client.HTTPMessage, bytes]] = []

    def answer(self, account: str, send: Callable[[bytes], object]) -> None:
        """Answer at once, or never come to an end."""
        if account in PASSED:
            send(PASSED[account][1])
        elif account in LOST:
            send(LOST[account].replace(b"{trap}", self.trap_url.encode()))
        else:
            begin, more = {
                "silent": (b"", b""),
                "slow-head": (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
                "slow-body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
                "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            }[account]
            send(begin)
            while not self.closing.wait(0.2):
                send(more)


class _OtherBankHandler(socketserver.StreamRequestHandler):
    server: OtherBank

    def handle(self) -> None:
        line = self.rfile.readline().decode()
        headers = http.client.parse_headers(self.rfile)
        body = self.rfile.read(int(headers.get("Content-Length", 0)))
        self.server.seen.append((line.strip(), headers, body))
        with suppress(OSError):  # the node had enough
            self.server.answer(line.split("/")[2].split()[0], self.wfile.write)


@pytest.fixture(scope="module")
def other_bank(trap: socket.socket) -> Iterator[OtherBank]:
    """A bank outside this log, in a thread."""
    with OtherBank(f"http://127.0.0.1:{trap.getsockname()[1]}/contas/boa") as bank:
        threading.Thread(target=bank.serve_forever, daemon=True).start()
        yield bank
        bank.closing.set()
        bank.shutdown()


@pytest.fixture(scope="module")
def closed_port() -> int:
    """A port where nobody is."""
    return free_port()


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, other_bank: OtherBank, closed_port: int, trap: socket.socket
) -> Iterator[NodeProcess]:
    """A node that may ask two other banks, one of which is away. Its environment has a proxy, which is a trap."""
    proxy = f"http://127.0.0.1:{trap.getsockname()[1]}"
    environment = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy)
    environment |= {"SERVERS_ALLOWED": f"{other_bank.url}, http://127.0.0.1:{closed_port}/"}
    node = NodeProcess(tmp_path_factory.mktemp("dados"), environment=environment).start()
    try:
        yield node.wait_ready()
    finally:
        node.kill()


def ask(node: NodeProcess, way: str, account: str, address: str, *, key: str = "k") -> Answer:
    """Have a node ask another server, for a balance or for a deposit."""
    if way == "read":
        row = get("read", f"/saldo-outro-servidor/{account}/{quote(address, safe='')}")
    else:
        body = json.dumps({"id_conta": account, "valor": 1, "endereco_servidor": address, "tipo": way}).encode()
        row = post("operation", ELSEWHERE, body, headers=[("Idempotency-Key", key.encode())])
    (answer,) = exchange(node.port, row.sent(node.port))
    return answer


WAYS = pytest.mark.parametrize("way", ["read", "deposito"])


@WAYS
@pytest.mark.parametrize("account", PASSED)
def test_what_another_bank_answers_is_passed_on_digit_by_digit(
    asking: NodeProcess, other_bank: OtherBank, trap: socket.socket, way: str, account: str
) -> None:
    status, told = PASSED[account]
    answer = ask(asking, way, account, other_bank.url.replace("127.0.0.1", "localhost"))
    assert answer.status == status
    good = status < 400
    assert answer.headers["Content-Type"] == ("application/json" if good else "application/problem+json")
    assert answer.json() == json.loads(GOOD if good else PROBLEM) | {"servidor": other_bank.url}
    assert (b"100.50" in answer.body) if good else (b"0.10" in answer.body)
    assert answer.headers["Retry-After"] == ("7" if b"Retry-After" in told else None)
    assert answer.headers["Set-Cookie"] is None
    assert nobody_came(trap)


@WAYS
@pytest.mark.parametrize("account", LOST)
def test_what_no_bank_would_answer_leaves_the_outcome_unknown(
    asking: NodeProcess, other_bank: OtherBank, trap: socket.socket, way: str, account: str
) -> None:
    asked = len(other_bank.seen)
    answer = ask(asking, way, account, other_bank.url)
    problem = assert_problem(answer, 504, "RESULTADO_DESCONHECIDO", resultado="desconhecido")
    assert problem.get("id_operacao") == (None if way == "read" else "k")
    assert len(other_bank.seen) == asked + 1, "asked once, and not again"
    assert nobody_came(trap), "neither a redirect nor a proxy of the environment is followed"


@WAYS
def test_a_bank_that_is_away_gets_nothing(asking: NodeProcess, closed_port: int, way: str) -> None:
    answer = ask(asking, way, "boa", f"127.0.0.1:{closed_port}")
    problem = assert_problem(answer, 502, "SERVIDOR_INACESSIVEL")
    assert problem.get("id_operacao") == (None if way == "read" else "k")


@pytest.mark.parametrize("key", ["k", "two words", ' " blanks at both ends " ', '"quoted twice"', "x" * 255])
def test_the_key_is_passed_on_with_the_mark_of_one_hop(asking: NodeProcess, other_bank: OtherBank, key: str) -> None:
    answer = ask(asking, "saque", "boa", other_bank.url, key=f'"{key}"')
    assert answer.status == 200
    line, headers, body = other_bank.seen[-1]
    assert line == "POST /contas/boa/saque HTTP/1.1"
    assert headers["X-Banco-Salto"] == "1"
    assert headers["X-Request-ID"] == answer.headers["X-Request-ID"]
    sent = headers["Idempotency-Key"]
    understood = sent[1:-1] if len(sent) > 1 and sent[0] == sent[-1] == '"' else sent
    assert understood == key
    assert json.loads(body) == {"valor": "1.00"}


def test_without_a_key_one_is_made_and_told(asking: NodeProcess, other_bank: OtherBank) -> None:
    fields = {"id": "cut-off", "valor": 1, "servidor": other_bank.url}
    answer = asking.post(ELSEWHERE, fields)
    assert answer.status_code == 504
    assert answer.json()["id_operacao"] == other_bank.seen[-1][1]["Idempotency-Key"].strip('"')


def test_slow_banks_are_given_up_in_time_and_hold_a_quarter_of_the_threads(
    asking: NodeProcess, other_bank: OtherBank
) -> None:
    kinds = ["silent", "slow-head", "slow-body", "continue"] * 2
    asked = len(other_bank.seen)

    def timed(kind: str) -> tuple[str, int, bool]:
        begun = time.monotonic()
        answer = ask(asking, "deposito", kind, other_bank.url)
        assert_problem(answer, 504, "RESULTADO_DESCONHECIDO", resultado="desconhecido")
        return kind, answer.status, time.monotonic() - begun < ANOTHER_BANK_S_MAX

    with ThreadPoolExecutor(len(kinds)) as customers:
        waiting = [customers.submit(timed, kind) for kind in kinds]
        eventually(lambda: len(other_bank.seen) == asked + len(kinds))
        refused = ask(asking, "read", "boa", other_bank.url)
        assert_problem(refused, 429, "SOBRECARGA")
        assert refused.headers["Retry-After"]
        assert asking.get("/saude").status_code == 200
        problems = [
            (kind, repr(done.exception())) for kind, done in zip(kinds, waiting, strict=True) if done.exception()
        ]
    assert problems == []
    assert [done.result() for done in waiting] == [(kind, 504, True) for kind in kinds]
    assert ask(asking, "read", "boa", other_bank.url).status == 200
