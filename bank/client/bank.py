"""The bank as one object: what may be asked, and what comes back.

Amounts go in as `Decimal` or text ("100.50"), never as float, and come out as `Decimal` with two decimals. Each
mutation takes a `key`; without one it makes its own, and a call that ended `Unknown` is settled by the same call with
`key=error.operation_id`. A read sees all that this object has been told, at whatever node.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import quote

import uuid_utils

from bank.client.delivery import Delivery
from bank.client.errors import Refused, Unknown
from bank.money import format_cents, parse_cents

__all__ = ["Account", "Bank", "Entry", "Receipt"]


CLUSTER_KEY_HEADER = "X-Chave-Da-Rede"


class Account(NamedTuple):
    """An account as a node shows it. Amounts have two decimals."""

    id: str
    balance: Decimal
    available: Decimal
    limit: Decimal
    owner: str | None
    version: int
    is_stale: bool
    """True: the log did not answer, and the node showed its own state."""


class Receipt(NamedTuple):
    """A change that is applied, now or by an earlier request with the same key."""

    operation_id: str
    account_id: str
    balance: Decimal
    position: int


class Entry(NamedTuple):
    """A line of a statement. `amount` is negative where money left."""

    op: str
    amount: Decimal
    balance: Decimal
    counterparty: str | None
    position: int
    instant: str
    operation_id: str


class Bank:
    """Several nodes of one bank. For one thread at a time; closes as a context manager.

    Every call ends within `deadline_s` seconds of silence over all its retries, and raises what `errors` draws.
    `credential` is what a bank with tokens asks for: `banco_…`. It is shown to every URL: name only nodes of the bank.
    """

    def __init__(self, urls: Sequence[str], *, deadline_s: float = 20.0, credential: str | None = None) -> None:
        if isinstance(urls, str) or not urls:
            raise ValueError("the bank needs a list of at least one URL")
        self._credential = credential
        self._delivery = Delivery(urls, deadline_s=deadline_s, credential=credential)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._delivery.close()

    @property
    def token(self) -> str | None:
        """The newest position seen, to hand to another `Bank` or to set to None if its history was given up."""
        return self._delivery.token

    @token.setter
    def token(self, token: str | None) -> None:
        self._delivery.token = token

    def open(
        self,
        account_id: str,
        *,
        balance: Decimal | str = "0",
        limit: Decimal | str = "0",
        owner: str | None = None,
        key: str | None = None,
    ) -> Receipt:
        """Open an account with a first balance and an overdraft limit."""
        body = {"id_conta": account_id, "saldo": _text(balance), "limite": _text(limit)}
        return self._change("/contas", body | ({"titular": owner} if owner else {}), key)

    def account(self, account_id: str, *, consistency: Literal["forte", "local"] | None = None) -> Account:
        """Read an account: linearizable while the log answers; `forte` always, `local` never waits for the log."""
        query = {"consistencia": consistency} if consistency else None
        return _account(self._delivery.get(f"/contas/{_quoted(account_id)}", query))

    def accounts(self) -> Iterator[Account]:
        """Yield all accounts by id, a page at a time."""
        after: str | None = ""
        while after is not None:
            page = self._delivery.get("/contas", {"depois": after} if after else None)
            yield from map(_account, page["contas"])
            after = page["proxima"]

    def statement(self, account_id: str) -> Iterator[Entry]:
        """Yield the entries of an account, newest first, a page at a time."""
        before: Any = ""
        while before is not None:
            page = self._delivery.get(
                f"/contas/{_quoted(account_id)}/extrato", {"antes": before} if before != "" else None
            )
            yield from map(_entry, page["lancamentos"])
            before = page["anterior"]

    def deposit(self, account_id: str, amount: Decimal | str, *, key: str | None = None) -> Receipt:
        """Bring money in."""
        return self._change(f"/contas/{_quoted(account_id)}/deposito", {"valor": _text(amount)}, key)

    def withdraw(self, account_id: str, amount: Decimal | str, *, key: str | None = None) -> Receipt:
        """Take money out; refused (SALDO_INSUFICIENTE) beyond balance and limit."""
        return self._change(f"/contas/{_quoted(account_id)}/saque", {"valor": _text(amount)}, key)

    def transfer(self, origin: str, *, to: str, amount: Decimal | str, key: str | None = None) -> Receipt:
        """Move money between two accounts; the receipt is the origin's."""
        body = {"conta_destino": to, "valor": _text(amount)}
        return self._change(f"/contas/{_quoted(origin)}/transferencia", body, key)

    def batch(
        self, operations: Sequence[Mapping[str, Any]], *, atomic: bool = False, key: str | None = None
    ) -> list[dict[str, Any]]:
        """Send many operations, as `POST /lote` spells them; return its results, one each, in order.

        If not atomic, the call succeeds though parts fail: a result that has a `codigo` was not applied, and says why.
        Raises Unknown if the bank does not know of one part yet; the same batch under that key settles all.
        """
        key = key or _new_key()
        body = {"operacoes": list(operations)} | ({"atomico": True} if atomic else {})
        results: list[dict[str, Any]] = self._delivery.post("/lote", body, key)["resultados"]
        if any(result.get("resultado") == "desconhecido" for result in results):
            raise Unknown(key, "a part of the batch is not settled")
        return results

    def operation(self, operation_id: str) -> dict[str, Any] | None:
        """Return the outcome of an operation; None while the node knows none, which proves nothing."""
        try:
            return self._delivery.get(f"/operacoes/{_quoted(operation_id)}")
        except Refused as refused:
            if refused.code == "OPERACAO_NAO_ENCONTRADA":
                return None
            raise

    def cluster(self) -> dict[str, Any]:
        """Return the log and the nodes, as `GET /cluster` spells them."""
        return self._delivery.get("/cluster")

    def books(self) -> dict[str, Any]:
        """Return the books of one node, as `GET /auditoria` spells them."""
        return self._delivery.get("/auditoria")

    def digests(self, position: int, *, cluster_key: str = "") -> dict[str, Any]:
        """Return what one node held at this position, as `GET /cluster/resumos/<posicao>` spells it."""
        return self._delivery.get(f"/cluster/resumos/{position}", headers={CLUSTER_KEY_HEADER: cluster_key})

    def only(self, url: str, *, deadline_s: float = 5.0) -> "Bank":
        """Return one node alone, to be asked about itself."""
        return Bank([url], deadline_s=deadline_s, credential=self._credential)

    def _change(self, path: str, body: Mapping[str, Any], key: str | None) -> Receipt:
        answer = self._delivery.post(path, body, key or _new_key())
        return Receipt(answer["id_operacao"], answer["id_conta"], answer["saldo"], answer["posicao"])


def _new_key() -> str:
    return str(uuid_utils.uuid7())


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _text(amount: Decimal | str) -> str:
    """Return an amount as the bank takes it. Raises ValueError, before anything is sent, if it is none."""
    if not isinstance(amount, Decimal | str):
        raise TypeError(f"an amount is a Decimal or text, not {type(amount).__name__}")
    return format_cents(parse_cents(format(amount, "f") if isinstance(amount, Decimal) else amount))


def _account(shown: Mapping[str, Any]) -> Account:
    return Account(
        shown["id_conta"],
        shown["saldo"],
        shown["saldo_disponivel"],
        shown["limite"],
        shown.get("titular"),
        shown["versao"],
        shown.get("defasada") is True,
    )


def _entry(shown: Mapping[str, Any]) -> Entry:
    return Entry(
        shown["op"],
        shown["valor"],
        shown["saldo"],
        shown.get("contraparte"),
        shown["posicao"],
        shown["instante"],
        shown["id_operacao"],
    )
