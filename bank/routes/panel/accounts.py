"""Accounts for people: the list, one account with its statement, and the forms that move money.

A form carries its key from the moment it is rendered, so that whatever sends it twice is one operation.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import Any, TypeVar

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from msgspec import UNSET
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from bank.operations import (
    Applied,
    CustomerOperation,
    Deposit,
    Open,
    Operation,
    Transfer,
    Withdraw,
    accounts_of,
    scope_of,
)
from bank.routes.access import known_as
from bank.routes.answers import account_fields, bank, entry_fields, key_of, outcome_fields, settle
from bank.routes.models import (
    NewAccount,
    StatementQuery,
    TransferRequest,
    Value,
    checked_account_id,
    refuse_invalid,
)
from bank.routes.panel.chart import HEIGHT, WIDTH, chart_of
from bank.routes.panel.refusals import REFUSALS, Attempt, as_problem
from bank.routes.panel.words import OPERATIONS, cents_of
from bank.routes.problems import Problem
from bank.state import Account
from bank.views import AccountView, Consistency

__all__ = ["accounts"]

accounts = Blueprint("contas", __name__, url_prefix="/painel/contas")

PAGE_ACCOUNTS = 50
PAGE_ENTRIES = 25
_NO_ACCOUNT = "Nenhum nó conhece uma conta com este id."
_AMOUNTS = {"saldo", "limite", "valor"}

Body = TypeVar("Body", bound=BaseModel)


@accounts.get("")
def list_accounts() -> str:
    """List the accounts by ascending id, all or those whose ids begin with `busca`."""
    return _list_page()


@accounts.post("")
def open_account() -> AnyResponse:
    """Open an account."""

    def make(key: str) -> Operation:
        body = _read(NewAccount)
        return Open(key, body.id_conta, body.saldo, body.limite, UNSET if body.titular is None else body.titular)

    return _answer("abertura", make, _list_page)


@accounts.get("/<id_conta>")
def show_account(id_conta: str) -> AnyResponse:
    """Show an account, linearizable or marked, and a page of its statement."""
    view = bank().read_account(_checked(id_conta), Consistency.DEFAULT)
    if view.account is None:
        raise Problem("CONTA_NAO_ENCONTRADA", _NO_ACCOUNT, headers={"X-Defasada": "sim"} if view.stale else {})
    return Response(_account_page(id_conta, view))


@accounts.post("/<id_conta>/deposito")
def deposit(id_conta: str) -> AnyResponse:
    """Deposit."""
    return _move(id_conta, "deposito", lambda key: Deposit(key, id_conta, _read(Value).valor))


@accounts.post("/<id_conta>/saque")
def withdraw(id_conta: str) -> AnyResponse:
    """Withdraw."""
    return _move(id_conta, "saque", lambda key: Withdraw(key, id_conta, _read(Value).valor))


@accounts.post("/<id_conta>/transferencia")
def transfer(id_conta: str) -> AnyResponse:
    """Transfer."""

    def make(key: str) -> Operation:
        body = _read(TransferRequest)
        return Transfer(key, id_conta, body.conta_destino, body.valor)

    return _move(id_conta, "transferencia", make)


def _move(id_conta: str, form: str, make: Callable[[str], Operation]) -> AnyResponse:
    _checked(id_conta)
    return _answer(form, make, lambda attempt: _refused_page(id_conta, attempt))


def _answer(form: str, make: Callable[[str], Operation], page: Callable[[Attempt], str]) -> AnyResponse:
    """Settle what the form asks for and lead to the account; or show its page again, with the reason."""
    try:
        _, entry, _ = settle(make(_key()))
    except REFUSALS as error:
        attempt = Attempt(form, as_problem(error), request.form.to_dict())
        return Response(page(attempt), attempt.problem.kind.status, attempt.problem.headers)
    id_conta = accounts_of(entry.operation)[0]
    there = url_for("painel.contas.show_account", id_conta=id_conta, operacao=scope_of(entry.operation.id)[1])
    return redirect(there, 303)


def _key() -> str:
    key = key_of(request.form.get("Idempotency-Key", ""))
    if key is None:
        raise Problem("REQUISICAO_INVALIDA", "O formulário veio sem a sua chave. Abra a página de novo.")
    g.operation_id = key
    return key


def _read(model: type[Body]) -> Body:
    """Return what the form holds, read as the JSON routes read it. Raises Problem.

    A field left empty was not sent. A comma is what people here write before centavos.
    """
    fields = {name: text for name in model.model_fields if (text := request.form.get(name, "").strip())}
    fields |= {name: fields[name].replace(",", ".") for name in _AMOUNTS & fields.keys()}
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        refuse_invalid(error)


def _checked(id_conta: str) -> str:
    try:
        return checked_account_id(id_conta)
    except ValueError:
        raise Problem("CONTA_NAO_ENCONTRADA", _NO_ACCOUNT) from None


def _list_page(attempt: Attempt | None = None) -> str:
    prefix, after = request.args.get("busca", "").strip(), request.args.get("depois", "")
    found = _accounts_from(prefix, after)
    shown = found[:PAGE_ACCOUNTS]
    return render_template(
        "painel/contas.html",
        accounts=[account_fields(account_id, account) for account_id, account in shown],
        prefix=prefix,
        after=after,
        following=shown[-1][0] if len(found) > len(shown) else None,
        attempt=attempt,
    )


def _accounts_from(prefix: str, after: str) -> list[tuple[str, Account]]:
    """Return a page of accounts and one more, if there is one: those whose ids begin with `prefix`, behind `after`."""
    history = bank().history
    exact = history.account(prefix) if prefix and not after else None
    page = history.accounts(max(prefix, after), PAGE_ACCOUNTS + 1)
    matching = list(takewhile(lambda row: row[0].startswith(prefix), page))
    return ([(prefix, exact)] if exact else []) + matching


def _refused_page(id_conta: str, attempt: Attempt) -> str:
    """Show the account as well as can be: that it cannot be read must not hide what became of the form."""
    view = None
    with suppress(*REFUSALS):
        view = bank().read_account(id_conta, Consistency.LOCAL)
    return _account_page(id_conta, view, attempt)


def _account_page(id_conta: str, view: AccountView | None, attempt: Attempt | None = None) -> str:
    account = view.account if view else None
    try:
        query = StatementQuery.model_validate({name: request.args[name] for name in request.args if name == "antes"})
    except ValidationError as error:
        refuse_invalid(error)
    statement = bank().history.statement(id_conta, query.antes, PAGE_ENTRIES) if account else None
    if account and statement is None:
        raise Problem("REQUISICAO_INVALIDA", "Cursor inválido.")
    rows = [entry_fields(entry, id_conta) for entry in statement.entries] if statement else []
    return render_template(
        "painel/conta.html",
        id_conta=id_conta,
        account=account_fields(id_conta, account) if account else None,
        stale=view.stale if view else False,
        rows=rows,
        chart=chart_of([cents_of(row["saldo"]) for row in reversed(rows)]),
        chart_size=(WIDTH, HEIGHT),
        older=statement.older if statement else None,
        newest=query.antes is None,
        receipt=_receipt(id_conta),
        operations=OPERATIONS,
        attempt=attempt,
    )


def _receipt(id_conta: str) -> dict[str, Any] | None:
    """Return the applied operation of this account that the page was led to by, if any."""
    entry = bank().history.entry(known_as(request.args.get("operacao", "")))
    if entry is None or not isinstance(entry.operation, CustomerOperation) or not isinstance(entry.outcome, Applied):
        return None
    return outcome_fields(entry) if id_conta in accounts_of(entry.operation) else None
