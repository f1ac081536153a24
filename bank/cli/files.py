"""Files: bring movements in, take accounts and statements out, as CSV."""

import csv
import sys
from typing import Any, TextIO

import click

from bank import importer
from bank.cli.accounts import account_fields, entry_fields
from bank.cli.asking import Screen, asking, server_options, urls_of
from bank.client import Bank

__all__ = ["exportar", "importar"]


@click.command(
    help="Importa um CSV de movimentos; `python -m bank.importer --help` explica as opções.",
    context_settings={"ignore_unknown_options": True},
)
@server_options
@click.argument("argumentos", nargs=-1, type=click.UNPROCESSED, required=True)
def importar(servidor: tuple[str, ...], token: str | None, argumentos: tuple[str, ...]) -> None:
    """Run the importer against the same servers, with the same token."""
    servers = [word for url in urls_of(servidor) for word in ("--servidor", url)]
    sys.exit(importer.main([*argumentos, *servers], credential=token))


@click.command(help="Escreve CSV: todas as contas, ou os movimentos de uma, do mais antigo ao mais novo.")
@click.argument("id_conta", required=False)
@click.option("--arquivo", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="Ou a saída padrão.")
@asking()
def exportar(bank: Bank, screen: Screen, id_conta: str | None, arquivo: TextIO) -> None:
    """Export accounts, or the statement of one."""
    rows = [account_fields(account) for account in bank.accounts()] if id_conta is None else _entries(bank, id_conta)
    if screen.is_json:
        screen.show(rows, "")
        return
    writer = csv.DictWriter(arquivo, list(rows[0]) if rows else [], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)


def _entries(bank: Bank, account_id: str) -> list[dict[str, Any]]:
    return [entry_fields(entry) for entry in bank.statement(account_id)][::-1]
