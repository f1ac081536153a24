"""What all commands share: whom they ask, how they show what comes back, and what an error is to a shell."""

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from bank.client import Bank, NotApplied, Refused, Unknown, Unreachable
from bank.money import parse_cents

__all__ = ["AMOUNT", "UNREACHABLE", "Differ", "Ended", "Screen", "asking", "server_options", "table_of", "urls_of"]

DEFAULT_SERVER = "http://127.0.0.1:5000"
DIFFERS, REFUSED, NOT_APPLIED, UNKNOWN, UNREACHABLE = 1, 3, 4, 5, 6

Command = TypeVar("Command", bound=Callable[..., Any])


class Differ(click.ClickException):
    """The nodes do not hold the same."""

    exit_code = DIFFERS


class Ended(click.ClickException):
    """An error, with the status that the shell sees."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.exit_code = status  # type: ignore[misc]  # click's default is the class's


class _Amount(click.ParamType):  # type: ignore[type-arg]  # older clicks have none
    """An amount, as the bank reads it: `100`, `100.5`, `100.50`; with a comma too, as people here write it."""

    name = "valor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).replace(",", ".")
        try:
            parse_cents(text)
        except ValueError as error:
            self.fail(f"{value!r} não é um valor como 1234.56: {error}", param, ctx)
        return text


AMOUNT = _Amount()


class Screen:
    """Where answers go: a table for people, or JSON for programs."""

    def __init__(self, *, as_json: bool) -> None:
        self.is_json = as_json

    def show(self, content: Any, shown: Any) -> None:
        """Print `content` as JSON, or else `shown`."""
        if self.is_json:
            click.echo(json.dumps(content, default=str, ensure_ascii=False, indent=2))
        else:
            Console(soft_wrap=not sys.stdout.isatty()).print(shown, highlight=False)


def asking(*, key: bool = False) -> Callable[[Command], Command]:
    """Give a command the options that all have, and hand it a `bank` and a `screen`; `key`: and `--chave`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def ask(*, servidor: Sequence[str], token: str | None, prazo: float, as_json: bool, **options: Any) -> Any:
            with _told_in_words(), Bank(urls_of(servidor), deadline_s=prazo, credential=token) as bank:
                return command(bank=bank, screen=Screen(as_json=as_json), **options)

        options = [
            server_options,
            click.option(
                "--prazo", type=click.FloatRange(min=0, min_open=True), default=20.0, show_default=True,
                metavar="SEGUNDOS", help="Quanto insistir.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Um valor JSON em vez de uma tabela."),
        ]  # fmt: skip
        if key:
            options.append(
                click.option("--chave", metavar="CHAVE", help="A Idempotency-Key; a mesma, a mesma operação.")
            )
        decorated = ask
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[return-value]

    return decorate


def server_options(command: Command) -> Command:
    """Give a command the options that say whom it asks, and as whom."""
    server = click.option(
        "--servidor", multiple=True, metavar="URL", envvar="BANCO_URL",
        help=f"Um nó do banco; repetível, ou vários com vírgulas.  [padrão: {DEFAULT_SERVER}]",
    )  # fmt: skip
    token = click.option("--token", envvar="BANCO_TOKEN", metavar="TOKEN", help="Se o banco pede um.")
    return server(token(command))


def urls_of(given: Sequence[str]) -> list[str]:
    """Return the servers that were named, or the one that everybody has. Raises UsageError."""
    urls = [url.strip() for text in given for url in text.split(",") if url.strip()] or [DEFAULT_SERVER]
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise click.UsageError(f"{url!r} não é um endereço como {DEFAULT_SERVER}")
    return urls


@contextmanager
def _told_in_words() -> Iterator[None]:
    """Let every error of the bank be a sentence and an exit status."""
    try:
        yield
    except Refused as refused:
        raise Ended(str(refused), REFUSED) from refused
    except Unknown as unknown:
        sentence = f"não se sabe se foi aplicado; repita com --chave {unknown.operation_id!r}"
        raise Ended(sentence, UNKNOWN) from unknown
    except Unreachable as error:
        raise Ended(f"nenhum nó responde: {error}", UNREACHABLE) from error
    except NotApplied as error:
        raise Ended(f"nada foi aplicado: {error}", NOT_APPLIED) from error


def table_of(rows: Sequence[Mapping[str, Any]], *, right: frozenset[str] = frozenset()) -> Table:
    """Return a table of these rows, which have the same keys; empty cells where there is nothing."""
    table = Table()
    for name in rows[0] if rows else ():
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table
