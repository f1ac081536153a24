"""The group of all commands."""

import click

from bank.cli.accounts import conta, deposito, saque, transferencia
from bank.cli.files import exportar, importar
from bank.cli.network import auditoria, conferir, rede

__all__ = ["main"]


@click.group(help="Um balcão do Banco Distribuído. BANCO_URL diz onde ele está, BANCO_TOKEN quem pede.")
def main() -> None:
    """Group all commands."""


for command in (conta, deposito, saque, transferencia, importar, exportar, rede, auditoria, conferir):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="banco")
