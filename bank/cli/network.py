"""The network: its nodes as they are, the books, and whether all nodes hold the same."""

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import zip_longest
from typing import Any, NamedTuple

import click
from rich.live import Live
from rich.table import Table

from bank.cli.asking import UNREACHABLE, Differ, Ended, Screen, asking, table_of
from bank.client import Bank, BankError

__all__ = ["auditoria", "conferir", "rede"]

DIGESTS = ("resumo_historico", "resumo_estado")
BOOKS = ("contas", "soma_saldos", "depositos", "saques", "confere")


@click.command(help="Os nós, ao vivo; Ctrl-C termina.")
@click.option("--uma-vez", is_flag=True, help="Mostra uma vez e termina.")
@click.option("--intervalo", type=click.FloatRange(min=0.1), default=1.0, show_default=True, metavar="SEGUNDOS")
@asking()
def rede(bank: Bank, screen: Screen, intervalo: float, *, uma_vez: bool) -> None:
    """Show the nodes, again and again."""
    view = bank.cluster()
    if uma_vez or screen.is_json:
        screen.show(view, _nodes(view))
        return
    try:
        with Live(_nodes(view), auto_refresh=False) as live:
            while True:
                time.sleep(intervalo)
                try:
                    live.update(_nodes(bank.cluster()), refresh=True)
                except BankError as error:
                    live.update(f"{error}", refresh=True)
    except KeyboardInterrupt:
        return


def _nodes(view: dict[str, Any]) -> Table:
    livro = view["livro"]
    rows = [
        {
            "nó": node["nome"],
            "estado": node["estado"],
            "posição": node["posicao"],
            "atraso ms": node["atraso"],
            "história": node["resumo_historico"][:8],
            "conteúdo": node["resumo_estado"][:8],
            "confere": _agreement(node, view["nos"]),
            "endereço": node["enderecos"][0] if node["enderecos"] else "",
        }
        for node in view["nos"]
    ]
    table = table_of(rows, right=frozenset({"posição", "atraso ms"}))
    table.title = f"livro {livro['tipo']}, {livro['estado']}, época {livro['epoca']}"
    return table


def _agreement(node: dict[str, Any], nodes: Sequence[dict[str, Any]]) -> str:
    """Say whether those who are at the same position hold the same."""
    there = [other for other in nodes if other["posicao"] == node["posicao"] and other is not node]
    if not there:
        return "?"
    return "sim" if all(other[name] == node[name] for other in there for name in DIGESTS) else "NÃO"


@click.command(help="Os livros de um nó.")
@asking()
def auditoria(bank: Bank, screen: Screen) -> None:
    """Show the books."""
    books = {name: value for name, value in bank.books().items() if name not in {"sucesso", "mensagem"}}
    screen.show(books, table_of([{"": name, "valor": value} for name, value in books.items()]))


class _Held(NamedTuple):
    """What a node holds at the position of the comparison; `trouble`: why it does not say."""

    books: dict[str, Any]
    digests: dict[str, Any]
    trouble: str = ""


@click.command(help="Compara todos os nós na mesma posição, e seus livros. Termina com 1 se não têm o mesmo.")
@click.option("--chave-da-rede", envvar="CLUSTER_KEY", default="", metavar="CHAVE", help="Se os nós a pedem.")
@asking()
def conferir(bank: Bank, screen: Screen, chave_da_rede: str) -> None:
    """Compare the nodes at one position, then their books; if they differ, account by account."""
    nodes = bank.cluster()["nos"]
    position = min(node["posicao"] for node in nodes)
    with ExitStack() as stack:
        counters = {node["nome"]: _counter(stack, bank, node["enderecos"]) for node in nodes}
        held = {name: _held(counter, position, chave_da_rede) for name, counter in counters.items()}
        differences = [
            f"{node['nome']} diz que contradiz os outros" for node in nodes if node["estado"] == "divergente"
        ]
        differences += _differences(held)
        if differences:
            differences += _first_account(counters)
    rows = [{"nó": name} | of.digests | of.books | {"falta": of.trouble or None} for name, of in held.items()]
    compared = {"posicao": position, "iguais": not differences, "diferencas": differences, "nos": rows}
    screen.show(compared, table_of([_in_short(name, of) for name, of in held.items()]))
    if differences:
        raise Differ("; ".join(differences))
    if silent := [f"{name} ({of.trouble})" for name, of in held.items() if of.trouble]:
        raise Ended(f"não comparados: {', '.join(silent)}", UNREACHABLE)


def _in_short(name: str, of: _Held) -> dict[str, Any]:
    """Return what of a node fits a line of a terminal."""
    balances = {None: None, True: "conferem", False: "NÃO CONFEREM"}
    return {
        "nó": name,
        "história": (of.digests["resumo_historico"] or "")[:8],
        "conteúdo": (of.digests["resumo_estado"] or "")[:8],
        "contas": of.books["contas"],
        "em custódia": of.books["soma_saldos"],
        "livros": balances[of.books["confere"]],
        "falta": of.trouble or None,
    }


def _counter(stack: ExitStack, bank: Bank, urls: Sequence[str]) -> Bank | None:
    """Return a node at the first of its addresses that answers from here."""
    for url in urls:
        counter = stack.enter_context(bank.only(url))
        with suppress(BankError):
            counter.books()
            return counter
    return None


def _held(counter: Bank | None, position: int, key: str) -> _Held:
    nothing = dict.fromkeys(BOOKS), dict.fromkeys(DIGESTS)
    if counter is None:
        return _Held(*nothing, "não responde")
    try:
        books, digests = counter.books(), counter.digests(position, cluster_key=key)
    except BankError as error:
        return _Held(*nothing, str(error))
    return _Held({name: books[name] for name in BOOKS}, {name: digests[name] for name in DIGESTS})


def _differences(held: dict[str, _Held]) -> list[str]:
    said = {name: of for name, of in held.items() if not of.trouble}
    found = [f"os livros de {name} não conferem" for name, of in said.items() if not of.books["confere"]]
    first = next(iter(said), "")
    return found + [
        f"{first} e {name} têm resumos diferentes" for name, of in said.items() if of.digests != said[first].digests
    ]


def _first_account(counters: dict[str, Bank | None]) -> list[str]:
    """Name the first account that two nodes show differently, if they still do when asked again."""
    (first, reference), *others = ((name, counter) for name, counter in counters.items() if counter is not None)
    for name, counter in others:
        for one, two in zip_longest(reference.accounts(), counter.accounts()):
            if one != two:
                account_id = one.id if one else two.id
                here, there = (_account_at(node, account_id) for node in (reference, counter))
                if here != there:
                    return [f"conta {account_id}: {here} em {first}, {there} em {name}"]
    return []


def _account_at(counter: Bank, account_id: str) -> str:
    """Return what a node's own books have, whatever state it is in."""
    account = next((account for account in counter.accounts() if account.id == account_id), None)
    return "nenhuma" if account is None else f"{account.balance} na versão {account.version}"
