"""Accounts: open, show, list, deposit, withdraw, and the statement."""

from collections.abc import Callable
from typing import Any

from flask import Response, request
from flask_openapi.blueprint import APIBlueprint
from msgspec import UNSET

from bank.operations import Deposit, Open, Withdraw
from bank.routes.access import may_see_who
from bank.routes.answers import (
    account_fields,
    bank,
    entry_fields,
    json_answer,
    money,
    movement_fields,
    operation_id,
    settle,
)
from bank.routes.models import AccountPath, AccountsQuery, NewAccount, StatementQuery, Value
from bank.routes.problems import Problem
from bank.views import Consistency

__all__ = ["accounts"]

accounts = APIBlueprint("contas", __name__, abp_tags=[{"name": "contas"}])

_CONSISTENCIES = {None: Consistency.DEFAULT, "forte": Consistency.STRONG, "local": Consistency.LOCAL}


@accounts.post("/contas", summary="Abre uma conta / Opens an account")
def open_account(body: NewAccount) -> Response:
    """`Location` names the new account."""
    key = operation_id()
    operation = Open(key, body.id_conta, body.saldo, body.limite, UNSET if body.titular is None else body.titular)
    outcome, entry, headers = settle(operation)
    content = movement_fields(entry, f"Conta {body.id_conta} aberta.") | {
        "id_conta": body.id_conta,
        "saldo": money(outcome.balance_cents),
        "limite": money(body.limite),
        "titular": body.titular,
        "banco": entry.bank,
    }
    return json_answer(content, 201, headers | {"Location": f"/contas/{body.id_conta}"})


@accounts.get("/contas", summary="Lista as contas / Lists accounts")
def list_accounts(query: AccountsQuery) -> Response:
    """By ascending id; `proxima` is the `depois` of the next page, null at the end."""
    page = bank().history.accounts(query.depois, query.limite + 1)
    shown = page[: query.limite]
    proxima = shown[-1][0] if len(page) > len(shown) else None
    content = [account_fields(account_id, account) for account_id, account in shown]
    return json_answer({"sucesso": True, "mensagem": f"{len(shown)} conta(s).", "contas": content, "proxima": proxima})


@accounts.get("/contas/<id_conta>", summary="Mostra uma conta / Shows an account")
def show_account(path: AccountPath) -> Response:
    """Linearizable; `?consistencia=forte` never degrades, `local` never waits for the log."""
    view = bank().read_account(path.id_conta, _consistency())
    headers = {"X-Posicao": str(view.token)} | ({"X-Defasada": "sim"} if view.stale else {})
    if view.account is None:
        raise Problem("CONTA_NAO_ENCONTRADA", f"A conta {path.id_conta} não existe.", headers=headers)
    content: dict[str, Any] = {"sucesso": True, "mensagem": f"Conta {path.id_conta}."}
    content |= account_fields(path.id_conta, view.account)
    if view.stale:
        content["defasada"] = True
    return json_answer(content, 200, headers)


def _consistency() -> Consistency:
    unknown = set(request.args) - {"consistencia"}
    values: list[str | None] = [*request.args.getlist("consistencia")] or [None]
    if unknown or len(values) > 1 or values[0] not in _CONSISTENCIES:
        name = min(unknown, default="consistencia")
        violation = {"propriedade": name, "razao": "aceita-se consistencia=forte ou local", "valor": str(values[0])}
        raise Problem("REQUISICAO_INVALIDA", f"Parâmetro inválido: {name}.", [violation])
    return _CONSISTENCIES[values[0]]


@accounts.post("/contas/<id_conta>/deposito", summary="Deposita / Deposits")
def deposit(path: AccountPath, body: Value) -> Response:
    """Money in from outside."""
    return _move(Deposit, path.id_conta, body.valor, "Depósito realizado.")


@accounts.post("/contas/<id_conta>/saque", summary="Saca / Withdraws")
def withdraw(path: AccountPath, body: Value) -> Response:
    """Money out to outside; refused if balance and limit do not cover it."""
    return _move(Withdraw, path.id_conta, body.valor, "Saque realizado.")


def _move(
    make: Callable[[str, str, int], Deposit | Withdraw], account_id: str, amount_cents: int, mensagem: str
) -> Response:
    outcome, entry, headers = settle(make(operation_id(), account_id, amount_cents))
    fields = {"id_conta": account_id, "saldo": money(outcome.balance_cents)}
    return json_answer(movement_fields(entry, mensagem) | fields, 200, headers)


@accounts.get("/contas/<id_conta>/extrato", summary="Extrato, do mais novo ao mais antigo / Statement, newest first")
def statement(path: AccountPath, query: StatementQuery) -> Response:
    """`anterior` is the `antes` of the next older page, null at the end."""
    page = bank().history.statement(path.id_conta, query.antes, query.limite)
    known = page is not None or bank().read_account(path.id_conta, Consistency.LOCAL).account is not None
    if page is None and known and query.antes is not None:
        violation = {"propriedade": "antes", "razao": "não é um cursor desta conta", "valor": str(query.antes)}
        raise Problem("REQUISICAO_INVALIDA", "Cursor inválido.", [violation])
    if page is None:
        raise Problem("CONTA_NAO_ENCONTRADA", f"A conta {path.id_conta} não existe.")
    content = {
        "sucesso": True,
        "mensagem": f"{len(page.entries)} lançamento(s).",
        "id_conta": path.id_conta,
        "lancamentos": [entry_fields(entry, path.id_conta, with_who=may_see_who()) for entry in page.entries],
        "anterior": page.older,
    }
    return json_answer(content)
