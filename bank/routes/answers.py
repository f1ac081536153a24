"""Answers: how accounts, outcomes and positions are spelled out, and the steps that every request takes.

Money leaves as a JSON number with exactly two decimals, written digit by digit.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import uuid_utils
from flask import Flask, Response, current_app, g, request
from msgspec import UNSET, Raw

from bank.entries import Entry
from bank.money import format_cents
from bank.operations import Applied, Batch, Operation, Rejected, Transfer, accounts_of, scope_of
from bank.routes.access import signed
from bank.routes.door import dump_json
from bank.routes.problems import CODIGO_OF_REASON, Problem
from bank.runtime import Runtime
from bank.state import Account
from bank.views import Answer, Token

__all__ = [
    "account_fields",
    "bank",
    "entry_fields",
    "instant",
    "json_answer",
    "key_of",
    "money",
    "movement_fields",
    "operation_id",
    "outcome_fields",
    "register",
    "settle",
    "signed_amount",
]

_SAFETY = {
    "X-Content-Type-Options": "nosniff",  # JSON is no page, whatever stands in it
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",  # a balance is old as soon as it is told
}
"""What every answer says to browsers and caches, unless its route says otherwise."""
_KEY = re.compile(r"[ -~]{1,255}")


def bank() -> Runtime:
    """Return the node that this application serves."""
    return cast("Runtime", current_app.extensions["banco"])


def register(app: Flask) -> None:
    """Wait for the position that a customer has seen, and tell where this node is."""

    @app.before_request
    def refuse_twins() -> None:
        for name, values in request.args.lists() if request.query_string else ():
            if len(values) > 1:
                violation = {"propriedade": name, "razao": "é repetido", "valor": values[1][:60]}
                raise Problem("REQUISICAO_INVALIDA", f"Parâmetro repetido: {name}.", [violation])

    @app.before_request
    def keep_key() -> None:
        # Refusals before the route is reached repeat the key, too.
        sent = header("HTTP_IDEMPOTENCY_KEY")
        if sent is not None and request.method == "POST" and (key := key_of(sent)) is not None:
            g.operation_id = key

    @app.before_request
    def wait_for_position() -> None:
        text = header("HTTP_X_POSICAO_MINIMA")
        if text is not None:
            try:
                minimum = Token.parse(text)
            except ValueError:
                violation = {"propriedade": "X-Posicao-Minima", "razao": "não é uma posição", "valor": text[:60]}
                raise Problem("REQUISICAO_INVALIDA", "X-Posicao-Minima inválida.", [violation]) from None
            bank().wait_for(minimum)

    app.after_request(_tell_position)


def _tell_position(response: Response) -> Response:
    said = {name.lower() for name in response.headers.keys()}  # noqa: SIM118 - the list yields pairs
    if "x-posicao" not in said and response.status_code != 401:  # nor is how far the bank is their business
        response.headers.add("X-Posicao", str(bank().token()))
    for name, value in _SAFETY.items():
        if name.lower() not in said:
            response.headers.add(name, value)
    return response


def json_answer(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; money in `content` is Raw."""
    return Response(dump_json(content), status, dict(headers or {}), content_type="application/json")


def money(cents: int) -> Raw:
    """Return an amount as JSON shows it: `100.50`."""
    return Raw(format_cents(cents).encode())


@lru_cache(maxsize=64)  # all of a record happened at once
def instant(instant_ms: int) -> str:
    """Return RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(instant_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant_ms % 1000:03d}Z"


def header(variable: str) -> str | None:
    """Return a header of this request by its name in WSGI; None if it was not sent.

    `request.headers` makes an exception with a page of HTML for each header that is missing, at every request.
    """
    return cast("str | None", request.environ.get(variable))


def operation_id() -> str:
    """Return the id of the operation that this request asks for: the client's key, or a new time-ordered one."""
    sent = header("HTTP_IDEMPOTENCY_KEY")
    key = str(uuid_utils.uuid7()) if sent is None else key_of(sent)
    if key is None:
        violation = {"propriedade": "Idempotency-Key", "razao": "1 a 255 caracteres ASCII", "valor": str(sent)[:60]}
        raise Problem("REQUISICAO_INVALIDA", "Idempotency-Key inválida.", [violation])
    g.operation_id = key
    return key


def key_of(sent: str) -> str | None:
    """Return the key that a header holds, quoted or bare, or None if it is none."""
    if len(sent) >= 2 and sent[0] == sent[-1] == '"':
        sent = sent[1:-1]
    return sent if _KEY.fullmatch(sent) else None


def settle(operation: Operation) -> tuple[Applied, Entry, dict[str, str]]:
    """Have the operation applied; return its outcome, its entry, and the headers of the answer.

    A refusal is raised as the Problem it is, with the same headers.
    """
    answer: Answer = bank().submit(*signed([operation]))
    entry = answer.entry
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    if isinstance(entry.outcome, Rejected):
        raise Problem(CODIGO_OF_REASON[entry.outcome.reason], headers=headers, indice=entry.outcome.index)
    return entry.outcome, entry, headers


def movement_fields(entry: Entry, mensagem: str) -> dict[str, Any]:
    """Return what every applied mutation answers."""
    return {
        "sucesso": True,
        "mensagem": mensagem,
        "id_operacao": scope_of(entry.operation.id)[1],
        "posicao": entry.position,
        "instante": instant(entry.instant_ms),
    }


def account_fields(account_id: str, account: Account) -> dict[str, Any]:
    """Return an account as customers see it."""
    return {
        "id_conta": account_id,
        "saldo": money(account.balance_cents),
        "saldo_disponivel": money(account.balance_cents + account.limit_cents),
        "limite": money(account.limit_cents),
        "banco": account.bank,
        "titular": account.holder,
        "situacao": "ativa",
        "versao": account.version,
    }


def entry_fields(entry: Entry, account_id: str, *, with_who: bool = False) -> dict[str, Any]:
    """Return an applied entry as a line of this account's statement, with whoever asked for it or without."""
    outcome, operation = entry.outcome, entry.operation
    assert isinstance(outcome, Applied), "refusals stand in no statement"
    arrives = isinstance(operation, Transfer) and operation.counterpart_id == account_id
    op, amount_cents = signed_amount(operation, arrives=arrives)
    accounts = accounts_of(operation)
    return {
        "versao": outcome.counterpart_version if arrives else outcome.version,
        "op": op,
        "valor": money(amount_cents),
        "saldo": money((outcome.counterpart_balance_cents or 0) if arrives else outcome.balance_cents),
        "contraparte": (accounts[0] if arrives else accounts[1]) if len(accounts) == 2 else None,
        "posicao": entry.position,
        "instante": instant(entry.instant_ms),
        "id_operacao": scope_of(operation.id)[1],
        "banco": entry.bank,
    } | (who_fields(operation) if with_who else {})


def outcome_fields(entry: Entry, *, with_who: bool = False) -> dict[str, Any]:
    """Return an operation and what became of it, applied or refused, with whoever asked for it or without."""
    op, cents = signed_amount(entry.operation)
    content: dict[str, Any] = {"id_operacao": scope_of(entry.operation.id)[1], "op": op}
    if accounts := () if isinstance(entry.operation, Batch) else accounts_of(entry.operation):
        content |= {"id_conta": accounts[0], "valor": money(abs(cents))}
        content |= {"conta_destino": accounts[1]} if len(accounts) > 1 else {}
    if isinstance(entry.outcome, Applied):
        content["situacao"] = "aplicada"
        content |= {"saldo": money(entry.outcome.balance_cents)} if accounts else {}
    else:
        content |= {"situacao": "recusada", "codigo": CODIGO_OF_REASON[entry.outcome.reason]}
        content |= {} if entry.outcome.index is None else {"indice": entry.outcome.index}
    content |= {"posicao": entry.position, "instante": instant(entry.instant_ms), "banco": entry.bank}
    return content | (who_fields(entry.operation) if with_who else {})


def who_fields(operation: Operation) -> dict[str, str | None]:
    """Return who asked for an operation, with which request and from where; null where the bank did not ask."""
    origin = getattr(operation, "origin", UNSET)
    known = {} if origin is UNSET else {"pedido": origin.request_id, "endereco": origin.address}
    return {"autor": scope_of(operation.id)[0] or None, "pedido": None, "endereco": None} | known


def signed_amount(operation: Operation, *, arrives: bool = False) -> tuple[str, int]:
    """Return an operation's name and what it adds to its account; `arrives`: to the destination of a transfer."""
    op = str(operation.__struct_config__.tag)
    cents: int = getattr(operation, "amount_cents", 0) or getattr(operation, "balance_cents", 0)
    return op, -cents if op == "saque" or (op == "transferencia" and not arrives) else cents
