"""`python -m bank.tokens criar|listar|revogar`: who may use the bank. Running nodes notice by themselves.

Works on the file that `--arquivo` or TOKENS_FILE names. Exit status: 0 done, 1 failed (a sentence says why), 2 wrong
usage.
"""

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bank.config import Config
from bank.operations import ACCOUNT_ID, PRINCIPAL
from bank.tokens import store
from bank.tokens.principals import Role

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    path: Path | None = options.arquivo or Config.from_environment().tokens_file
    if path is None:
        parser.error("diga em que arquivo: --arquivo ou TOKENS_FILE")
    try:
        done: bool = options.command(path, options)
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    return 0 if done else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bank.tokens", description="Quem pode usar o banco, e para quê.")
    parser.add_argument("--arquivo", type=Path, metavar="ARQUIVO", help="o arquivo dos tokens (TOKENS_FILE)")
    commands = parser.add_subparsers(required=True, metavar="COMANDO")
    sub = commands.add_parser("criar", help="cria um token e o mostra, uma única vez")
    sub.add_argument("nome", type=_name, metavar="NOME", help="de quem é: a-z 0-9 . _ -, até 40")
    sub.add_argument("--papel", required=True, choices=[role.value for role in Role])
    sub.add_argument(
        "--conta", action="append", default=[], type=_account, metavar="ID", help="de um cliente: sua conta; repetível"
    )
    sub.set_defaults(command=_create)
    sub = commands.add_parser("listar", help="mostra os tokens, sem os segredos")
    sub.set_defaults(command=_list)
    sub = commands.add_parser("revogar", help="revoga um token pelo id, ou todos de um nome")
    sub.add_argument("quem", metavar="ID|NOME")
    sub.set_defaults(command=_revoke)
    return parser


def _name(text: str) -> str:
    if not re.search(PRINCIPAL, text):
        raise argparse.ArgumentTypeError(
            f"{text!r} não é um nome: a-z 0-9 . _ -, até 40, começando por letra ou dígito"
        )
    return text


def _account(text: str) -> str:
    if not re.search(ACCOUNT_ID, text):
        raise argparse.ArgumentTypeError(f"{text!r} não é o id de uma conta")
    return text


def _create(path: Path, options: argparse.Namespace) -> bool:
    role = Role(options.papel)
    if (role is Role.CUSTOMER) != bool(options.conta):
        raise ValueError("--conta diz as contas de um cliente, e só de um cliente")
    text = store.add(path, name=options.nome, role=role, accounts=tuple(options.conta), now=_now())
    print("Guarde-o: não se mostra outra vez.", file=sys.stderr)
    print(text)
    return True


def _list(path: Path, _options: argparse.Namespace) -> bool:
    table = Table("id", "nome", "papel", "contas", "criado", "revogado")
    for token in store.read(path):
        table.add_row(
            token.id, token.name, token.role.value, " ".join(token.accounts), token.created, token.revoked or ""
        )
    Console().print(table)
    return True


def _revoke(path: Path, options: argparse.Namespace) -> bool:
    count = store.revoke(path, token_id=options.quem, name=options.quem, now=_now())
    print(f"{count} token(s) revogado(s).")
    return count > 0


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


if __name__ == "__main__":
    sys.exit(main())
