"""Accounts and money: open, show, list, statement; deposit, withdraw, transfer."""

from itertools import islice
from typing import Any

import click

from bank.cli.asking import AMOUNT, Screen, asking, table_of
from bank.client import Bank
from bank.client.bank import Account, Entry, Receipt

__all__ = ["account_fields", "conta", "deposito", "entry_fields", "saque", "transferencia"]

MONEY = frozenset({"saldo", "saldo_disponivel", "limite", "valor"})


@click.group(help="Abre, mostra e lista contas.")
def conta() -> None:
    """Group the commands on accounts."""


@conta.command("criar", help="Abre uma conta.")
@click.argument("id_conta")
@click.option("--saldo", type=AMOUNT, default="0", show_default=True, help="O saldo inicial.")
@click.option("--limite", type=AMOUNT, default="0", show_default=True, help="Quanto o saldo pode ficar abaixo de zero.")
@click.option("--titular", help="De quem é.")
@asking(key=True)
def create(
    bank: Bank, screen: Screen, id_conta: str, saldo: str, limite: str, titular: str | None, chave: str | None
) -> None:
    """Open an account."""
    _receipt(screen, bank.open(id_conta, balance=saldo, limit=limite, owner=titular, key=chave), "aberta")


@conta.command("ver", help="Mostra uma conta.")
@click.argument("id_conta")
@click.option("--consistencia", type=click.Choice(["forte", "local"]), help="Sem ela: o mais novo, ou marcado.")
@asking()
def show(bank: Bank, screen: Screen, id_conta: str, consistencia: Any) -> None:
    """Show an account."""
    fields = account_fields(bank.account(id_conta, consistency=consistencia))
    screen.show(fields, table_of([fields], right=MONEY))


@conta.command("listar", help="Lista as contas por id.")
@click.option("--limite", "most", type=click.IntRange(min=1), help="No máximo tantas.")
@asking()
def list_all(bank: Bank, screen: Screen, most: int | None) -> None:
    """List accounts."""
    rows = [account_fields(account) for account in islice(bank.accounts(), most)]
    screen.show(rows, table_of(rows, right=MONEY))


@conta.command("extrato", help="Os movimentos de uma conta, do mais novo ao mais antigo.")
@click.argument("id_conta")
@click.option("--limite", "most", type=click.IntRange(min=1), help="No máximo tantos.")
@asking()
def statement(bank: Bank, screen: Screen, id_conta: str, most: int | None) -> None:
    """Show a statement."""
    rows = [entry_fields(entry) for entry in islice(bank.statement(id_conta), most)]
    screen.show(rows, table_of(rows, right=MONEY))


@click.command(help="Deposita numa conta.")
@click.argument("id_conta")
@click.argument("valor", type=AMOUNT)
@asking(key=True)
def deposito(bank: Bank, screen: Screen, id_conta: str, valor: str, chave: str | None) -> None:
    """Deposit."""
    _receipt(screen, bank.deposit(id_conta, valor, key=chave), f"+{valor}")


@click.command(help="Saca de uma conta.")
@click.argument("id_conta")
@click.argument("valor", type=AMOUNT)
@asking(key=True)
def saque(bank: Bank, screen: Screen, id_conta: str, valor: str, chave: str | None) -> None:
    """Withdraw."""
    _receipt(screen, bank.withdraw(id_conta, valor, key=chave), f"-{valor}")


@click.command(help="Transfere de uma conta a outra.")
@click.argument("origem")
@click.argument("destino")
@click.argument("valor", type=AMOUNT)
@asking(key=True)
def transferencia(bank: Bank, screen: Screen, origem: str, destino: str, valor: str, chave: str | None) -> None:
    """Transfer."""
    _receipt(screen, bank.transfer(origem, to=destino, amount=valor, key=chave), f"{valor} → {destino}")


def _receipt(screen: Screen, receipt: Receipt, what: str) -> None:
    fields = {
        "id_conta": receipt.account_id,
        "saldo": receipt.balance,
        "id_operacao": receipt.operation_id,
        "posicao": receipt.position,
    }
    sentence = f"{receipt.account_id}: {what}, saldo {receipt.balance}, posição {receipt.position}"
    screen.show(fields, f"{sentence}, operação {receipt.operation_id}")


def account_fields(account: Account) -> dict[str, Any]:
    """Return an account as commands show it."""
    fields = {
        "id_conta": account.id,
        "saldo": account.balance,
        "saldo_disponivel": account.available,
        "limite": account.limit,
        "titular": account.owner,
        "versao": account.version,
    }
    return fields | ({"defasada": "sim"} if account.is_stale else {})


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return a line of a statement as commands show it."""
    return {
        "instante": entry.instant,
        "op": entry.op,
        "valor": entry.amount,
        "saldo": entry.balance,
        "contraparte": entry.counterparty,
        "posicao": entry.position,
        "id_operacao": entry.operation_id,
    }
