"""Other servers: one node asks another on behalf of a customer. It calls no address but those of its own table."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from flask import Response, current_app, g, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import Field
from werkzeug.routing import PathConverter

from bank.money import format_cents
from bank.routes.access import check_disposal
from bank.routes.addresses import find_node, find_server
from bank.routes.answers import bank, json_answer, operation_id
from bank.routes.door import parse_json
from bank.routes.models import AccountPath, OtherServerOperation
from bank.routes.problems import Problem
from bank.routes.tracing import REQUEST_ID_HEADER

__all__ = ["AddressConverter", "other_servers", "place"]

other_servers = APIBlueprint("outros_servidores", __name__, abp_tags=[{"name": "outros servidores"}])

HOP_HEADER = "X-Banco-Salto"
CONNECT_S = 2.0
BODY_BYTES_MAX = 1024 * 1024


class AddressConverter(PathConverter):
    """Any text at all, so that what is no address is refused as an unknown server and not as an unknown route."""

    part_isolating = False
    regex = r"[\s\S]+?"


class _OtherServerPath(AccountPath):
    endereco_servidor: str = Field(description="Nome de um nó, host:porta ou URL.", examples=["banco-5001"])


@other_servers.get(
    "/saldo-outro-servidor/<id_conta>/<endereco:endereco_servidor>",
    summary="Saldo visto por outro servidor / A balance as another server sees it",
)
def balance_elsewhere(path: _OtherServerPath) -> Response:
    """That server's own answer, plus `servidor`."""
    return _ask("GET", path.endereco_servidor, f"/contas/{path.id_conta}")


@other_servers.post("/transacao-outro-servidor", summary="Depósito ou saque em outro servidor / At another server")
def operation_elsewhere(body: OtherServerOperation) -> Response:
    """That server's own answer, plus `servidor`. The Idempotency-Key is passed on; without one, one is made."""
    check_disposal(body.id_conta)
    key = operation_id()
    content = {"valor": format_cents(body.valor)}
    return _ask("POST", body.endereco_servidor, f"/contas/{body.id_conta}/{body.tipo}", content, key)


def _ask(method: str, typed: str, path: str, content: dict[str, str] | None = None, key: str | None = None) -> Response:
    if HOP_HEADER in request.headers:
        raise Problem("NAO_AUTORIZADO", "Este pedido já foi encaminhado uma vez; não se encaminha de novo.")
    node = find_node(typed, bank().nodes())
    address = node or find_server(typed, bank().config.servers_allowed)
    if address is None:
        raise Problem("SERVIDOR_DESCONHECIDO", f"{typed[:80]} não é um nó deste banco nem um servidor permitido.")
    headers = {HOP_HEADER: "1", REQUEST_ID_HEADER: g.request_id}
    if key is not None:
        headers |= {"Idempotency-Key": f'"{key}"', "Content-Type": "application/json"}
    if node is not None and (shown := request.headers.get("Authorization")) is not None:
        headers["Authorization"] = shown  # a node of this bank asks for itself; another bank never sees a token of ours
    with place(), closing(_connection(address)) as connection:
        try:
            connection.connect()
        except OSError as error:
            raise Problem("SERVIDOR_INACESSIVEL", f"Não houve conexão com {address}.") from error
        sock = connection.sock
        deadline = threading.Timer(bank().config.request_deadline_ms / 1000 + 1, sock.shutdown, [socket.SHUT_RDWR])
        deadline.start()  # of the whole exchange: a timeout of the socket begins anew with every byte
        try:
            sock.settimeout(None)
            connection.request(method, path, json.dumps(content) if content else None, headers)
            answer = connection.getresponse()
            body = answer.read(BODY_BYTES_MAX + 1)
        except (http.client.HTTPException, OSError) as error:
            detail = f"{address} não respondeu a tempo; repita com a mesma Idempotency-Key."
            raise Problem("RESULTADO_DESCONHECIDO", detail) from error
        finally:
            deadline.cancel()
    return _passed_on(address, answer.status, dict(answer.headers), body)


def _connection(address: str) -> http.client.HTTPConnection:
    """Return a connection, not yet made: without redirects, and without proxies or passwords of the environment."""
    url = urlsplit(address)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname or "", url.port, timeout=CONNECT_S)


def _passed_on(address: str, status: int, headers: dict[str, str], body: bytes) -> Response:
    """Return the other server's answer as it is, plus `servidor`."""
    content = _bank_answer(status, body)
    if content is None:
        raise Problem("RESULTADO_DESCONHECIDO", f"{address} deu uma resposta que não é a de um banco.")
    kept = {"Retry-After", "Idempotency-Replayed", "X-Defasada", "X-Posicao", "Location"}
    answer = json_answer(content | {"servidor": address}, status, {k: v for k, v in headers.items() if k in kept})
    if status >= 400:
        answer.content_type = "application/problem+json"
    return answer


def _bank_answer(status: int, body: bytes) -> dict[str, Any] | None:
    """Return what the body says, or None if it is not what a bank answers: a redirect, no JSON, too much."""
    if len(body) > BODY_BYTES_MAX or 300 <= status < 400:
        return None
    try:
        return parse_json(body)
    except Problem:
        return None


@contextmanager
def place() -> Iterator[None]:
    """Take one of the places for asking others: a quarter of the request threads, so that the rest stay free."""
    places: threading.BoundedSemaphore = current_app.extensions["banco_lugares"]
    if not places.acquire(blocking=False):
        raise Problem("SOBRECARGA", "Já há pedidos demais a outros servidores.")
    try:
        yield
    finally:
        places.release()
