"""What an import will ask of the bank: the lines of a file as orders, their ids, and which may go out when.

Ids depend on the series, the whole line and how often that very line came before, so the same file asks for the
same things however often it is imported, and a file that grew asks only for what is new.
Order: an order is ready when it heads the queue of each account that it touches. So within an account everything
happens in the order of the file, and accounts do not wait for each other unless a transfer binds them.
Pure: no network, no clock, no thread. Sentences for the reader of the screen are Portuguese.
Invariant: orders that share an account are handed out one after the other (tests/unit/test_importer.py).
"""

import csv
import hashlib
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bank.money import MAX_CENTS, format_cents, parse_cents

__all__ = ["BadFile", "Order", "Schedule", "opening", "plan"]

KINDS = ("deposito", "saque", "transferencia")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[!#-~](?:[ -~]{0,253}[!-~])?")  # as a header carries it: no space at the ends, no quote ahead


class BadFile(Exception):  # noqa: N818 (it is called what happened)
    """The file cannot be imported as it stands; `problems` says why, one sentence each. Nothing was sent."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to ask of the bank, with the key under which it is asked every time."""

    key: str
    line: int
    """Where it stands in the file, counted from 1; 0 for the opening of an account."""
    accounts: tuple[str, ...]
    """The accounts that it touches, each once."""
    path: str
    body: dict[str, str]

    @property
    def opens(self) -> bool:
        """Whether it opens an account."""
        return self.line == 0

    @property
    def item(self) -> dict[str, str]:
        """The same as an operation of a batch."""
        kind = self.path.rpartition("/")[2] if self.path.startswith("/contas/") else self.path.split("/")[1]
        account = {"id_conta": self.accounts[0]}
        return {"op": "abertura" if self.opens else kind, "id": self.key} | account | self.body


class _Columns(NamedTuple):
    """Where the columns stand; -1 for one that is not there."""

    width: int
    account: int
    kind: int
    amount: int
    counterpart: int
    key: int


def plan(content: bytes, *, series: str | None, limit_cents: int) -> list[Order]:
    """Return the orders of a file: the opening of each account before its first use, and the lines in their order.

    `series` names the source of a file that grows; without it the whole content is the name. Raises BadFile, with
    every problem there is.
    """
    name = series if series is not None else hashlib.sha256(content).hexdigest()
    try:
        rows = _rows(content.decode("utf-8-sig"))
        columns = _columns(next(rows)[0])
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise BadFile([f"linha {number}: o arquivo não é UTF-8"]) from error
    orders: list[Order] = []
    problems: list[str] = []
    seen: Counter[str] = Counter()
    keyed: dict[str, Order] = {}
    opened: set[str] = set()
    for cells, raw, number in rows:
        if not cells:
            continue
        if isinstance(cells, csv.Error):
            problems.append(f"linha {number}: não é CSV ({cells})")
            break
        seen[raw] += 1
        try:
            order = _order(cells, columns, number=number, own_key=_digest("linha", name, raw, str(seen[raw])))
            _refuse_other_content(keyed.setdefault(order.key, order), order)
        except ValueError as error:
            problems.append(f"linha {number}: {error}")
            continue
        fresh = [account for account in order.accounts if account not in opened]
        opened.update(fresh)
        orders += [opening(account, series=name, limit_cents=limit_cents) for account in fresh]
        orders.append(order)
    if problems:
        raise BadFile(problems)
    return orders


def opening(account: str, *, series: str, limit_cents: int) -> Order:
    """Return the order that opens an account. The key is the same for any limit: an account is opened once."""
    body = {"id_conta": account} | ({"limite": format_cents(limit_cents)} if limit_cents else {})
    return Order(_digest("abertura", series, account), 0, (account,), "/contas", body)


def _digest(*parts: str) -> str:
    """Return a key that no other parts share: each part stands behind its length."""
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def _rows(text: str) -> Iterator[tuple[list[str] | csv.Error, str, int]]:
    """Yield each row's cells, its text without the line's end, and the number of its first line.

    What cannot be read as CSV is yielded as the error, last.
    """
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in text.split("\n"):
            taken.append(line)
            yield line + "\n"

    reader = csv.reader(lines(), strict=True)
    number = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield error, "", number
            return
        yield cells, "\n".join(taken).rstrip("\r"), number
        number += len(taken)
        taken.clear()


def _columns(header: list[str] | csv.Error) -> _Columns:
    """Find the columns by their names; others are ignored. Raises BadFile."""
    if isinstance(header, csv.Error):
        raise BadFile([f"linha 1: não é CSV ({header})"])
    places = {name: index for index, name in enumerate(header)}
    problems = [f"linha 1: a coluna {name} aparece mais de uma vez" for name, n in Counter(header).items() if n > 1]
    if "conta" in places and "id_conta" in places:
        problems.append("linha 1: há uma coluna conta e uma coluna id_conta; só uma delas pode estar")
    account = places.get("conta", places.get("id_conta", -1))
    missing = [name for name in ("op", "valor") if name not in places]
    missing = missing if account >= 0 else ["conta", *missing]
    if missing:
        problems.append(f"linha 1: falta a coluna {', '.join(missing)} (há: {','.join(header) or 'nenhuma'})")
    if problems:
        raise BadFile(problems)
    return _Columns(
        width=len(header),
        account=account,
        kind=places["op"],
        amount=places["valor"],
        counterpart=places.get("conta_destino", -1),
        key=places.get("id", -1),
    )


def _order(cells: list[str], columns: _Columns, *, number: int, own_key: str) -> Order:
    """Return what a row asks for. Raises ValueError, with all that is wrong with the row."""
    if len(cells) != columns.width:
        raise ValueError(f"tem {len(cells)} campos, e o cabeçalho tem {columns.width}")
    account, kind, amount = cells[columns.account], cells[columns.kind], cells[columns.amount]
    counterpart = cells[columns.counterpart] if columns.counterpart >= 0 else ""
    key = (cells[columns.key] if columns.key >= 0 else "") or own_key
    wrong = []
    if not _ACCOUNT.fullmatch(account):
        wrong.append(f"conta {account!r} não é um número de conta válido")
    if kind not in KINDS:
        wrong.append(f"op {kind!r} não é {', '.join(KINDS[:-1])} nem {KINDS[-1]}")
    elif kind == "transferencia" and not _ACCOUNT.fullmatch(counterpart):
        wrong.append(f"conta_destino {counterpart!r} não é um número de conta válido")
    elif kind != "transferencia" and counterpart:
        wrong.append(f"conta_destino {counterpart!r} só pode estar numa transferencia")
    if not _is_amount(amount):
        wrong.append(f"valor {amount!r} não é um valor maior que zero com até dois decimais, como 1234.56")
    if not _KEY.fullmatch(key):
        wrong.append(f"id {key!r} não tem de 1 a 255 caracteres ASCII visíveis")
    if wrong:
        raise ValueError("; ".join(wrong))
    body = {"valor": format_cents(parse_cents(amount))}
    if kind != "transferencia":
        return Order(key, number, (account,), f"/contas/{account}/{kind}", body)
    touched = tuple(dict.fromkeys((account, counterpart)))
    return Order(key, number, touched, f"/transferencia/{account}", {"conta_destino": counterpart} | body)


def _is_amount(text: str) -> bool:
    try:
        return 0 < parse_cents(text) <= MAX_CENTS
    except ValueError:
        return False


def _refuse_other_content(first: Order, order: Order) -> None:
    if (first.path, first.body) != (order.path, order.body):
        raise ValueError(f"id {order.key!r} já está na linha {first.line} com outro conteúdo")


class Schedule:
    """Which orders may go out now. Not for several threads at once: whoever shares it holds a lock around it."""

    def __init__(self, orders: list[Order]) -> None:
        self.unsettled = len(orders)
        self._ready: deque[Order] = deque()
        self._queues: dict[str, deque[_Waiting]] = {}
        for order in orders:
            waiting = _Waiting(order)
            for account in order.accounts:
                queue = self._queues.setdefault(account, deque())
                waiting.behind += bool(queue)
                queue.append(waiting)
            if not waiting.behind:
                self._ready.append(order)

    def take(self) -> Order | None:
        """Return an order that may go out now, or None if all that is left waits for others."""
        return self._ready.popleft() if self._ready else None

    def settle(self, order: Order) -> None:
        """Note that `order`, which was taken, has its final outcome: what waited only for it becomes ready."""
        self.unsettled -= 1
        for account in order.accounts:
            queue = self._queues[account]
            head = queue.popleft()
            assert head.order is order, "an order went out before the one ahead of it"
            if not queue:
                continue
            queue[0].behind -= 1
            if not queue[0].behind:
                self._ready.append(queue[0].order)


@dataclass(slots=True)
class _Waiting:
    """An order in the queues of its accounts."""

    order: Order
    behind: int = 0
    """In how many of those queues others stand ahead of it."""
