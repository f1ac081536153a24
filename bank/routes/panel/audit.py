"""The audit: this node's books, and whether all nodes hold the same at one position; account by account if asked.

Asks the other nodes what only nodes ask for, one after the other, each with a deadline, and compares no more than
COMPARED_MAX accounts at a time.
"""

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import NamedTuple

from flask import Blueprint, render_template, request

from bank.errors import LogUnreachable
from bank.routes.answers import bank
from bank.routes.other_servers import place
from bank.routes.panel.words import translate
from bank.views import NodeView

__all__ = ["audit"]

audit = Blueprint("auditoria", __name__)

COMPARED_MAX = 5_000
PAGE_ACCOUNTS = 500
_NOT_THERE = "Ainda não chegou a esta posição."

Row = tuple[str, int, int, int]
"""Of an account: id, balance and limit in centavos, version."""


class _Said(NamedTuple):
    """What a node says of the position that is compared; `trouble`: why it says nothing."""

    node: NodeView
    chain: str
    digest: str
    trouble: str = ""


class _Difference(NamedTuple):
    """An account that another node has otherwise than this one; None where there is none."""

    node: str
    account_id: str
    here: Row | None
    there: Row | None


@audit.get("/painel/auditoria")
def show_audit() -> str:
    """Show the books and the comparison; `contas` asks for that of all accounts."""
    own, nodes = bank().config.node_name, bank().nodes()
    position = max(1, min(node.position for node in nodes))
    compared: list[str] = []
    differences: list[_Difference] = []
    with place():
        said = [_of_this_node(node, position) if node.name == own else _ask(node, position) for node in nodes]
        for each in said if "contas" in request.args else []:
            if each.node.name != own and not each.trouble:
                try:
                    differences += _differences(each.node)
                    compared.append(each.node.name)
                except LogUnreachable as error:
                    said[said.index(each)] = each._replace(trouble=str(error))
    holdings = {(each.chain, each.digest) for each in said if not each.trouble}
    contradicts = any(node.state == "divergente" for node in nodes)
    return render_template(
        "painel/auditoria.html",
        books=bank().history.books(),
        said=said,
        position=position,
        agree=len(holdings) == 1 and not contradicts and not differences,
        is_whole=not any(each.trouble for each in said),
        asked="contas" in request.args,
        compared=compared,
        compared_max=COMPARED_MAX,
        differences=differences,
        own=own,
    )


def _of_this_node(node: NodeView, position: int) -> _Said:
    row = bank().history.record(position)
    return _Said(node, row.chain.hex(), row.digest.hex()) if row else _Said(node, "", "", translate(_NOT_THERE))


def _ask(node: NodeView, position: int) -> _Said:
    try:
        digests = bank().peers.digests(node.addresses[0], position)
    except LogUnreachable:
        return _Said(node, "", "", translate("Não respondeu."))
    return _Said(node, *digests) if digests else _Said(node, "", "", translate(_NOT_THERE))


def _differences(node: NodeView) -> Iterator[_Difference]:
    """Yield the accounts that this node and another have differently, by id."""
    for here, there in islice(zip_longest(_own_rows(), _rows_of(node)), COMPARED_MAX):
        if here == there:
            continue
        if here is None or there is None or here[0] != there[0]:
            first = min(row[0] for row in (here, there) if row is not None)
            yield _Difference(node.name, first, here if here and here[0] == first else None,
                              there if there and there[0] == first else None)  # fmt: skip
            return  # from here on the two lists are shifted against each other
        yield _Difference(node.name, here[0], here, there)


def _own_rows() -> Iterator[Row]:
    after = ""
    while page := bank().history.accounts(after, PAGE_ACCOUNTS):
        yield from ((name, one.balance_cents, one.limit_cents, one.version) for name, one in page)
        after = page[-1][0]


def _rows_of(node: NodeView) -> Iterator[Row]:
    after = ""
    while page := bank().peers.accounts(node.addresses[0], after):
        yield from ((row[0], row[1], row[2], row[3]) for row in page)
        after = page[-1][0]
