"""Witnesses: customers over real HTTP who write down each attempt as the judge reads it.

Who is told nothing certain (time-out, broken connection, 504) asks again under the same key, at any node, until it is
settled. Who is told that nothing was done leaves it at that now and then: so it must be true. Keys are used twice now
and then, by the same request or by another. Knows no fault and no verdict.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, get_args

import requests
from urllib3.exceptions import NewConnectionError

from tests.judge.history import Event, Refusal
from tests.support.cluster import NodeProcess, eventually

__all__ = [
    "Request",
    "Witness",
    "answers",
    "final_reads",
    "groups_of_accounts",
    "opening",
    "wait_for_answers",
    "watched",
]

OPENING_CENTS = 10_000
AMOUNT_CENTS_MAX = 6_000
LIMITS_CENTS = (0, 5_000)
TIMEOUTS_S = (1.0, 3.0, 12.0)
"""How long a witness waits for an answer, one of these: the last one is longer than a node may take."""
PATIENCE_S = 180.0
LEISURE_S = 0.02
"""How long a witness rests between two requests, at most."""
STAY = 60
"""Requests that a witness makes in one group of accounts before it goes on to the next."""
_PATHS = {"deposit": "/contas/{}/deposito", "withdraw": "/contas/{}/saque", "transfer": "/transferencia/{}"}

Group = Sequence[str]


class Request(NamedTuple):
    """What is asked for, in the words of the judge."""

    op: str
    account: str
    id: str | None = None
    counterpart: str | None = None
    amount_cents: int | None = None
    limit_cents: int | None = None

    def send(self, session: requests.Session, node: NodeProcess, *, timeout: float, strong: bool) -> requests.Response:
        """Send it once. Raises requests.RequestException."""
        if self.op == "read":
            params = {"consistencia": "forte"} if strong else None
            return session.get(f"{node.url}/contas/{self.account}", params=params, timeout=timeout)
        path = "/contas" if self.op == "open" else _PATHS[self.op].format(self.account)
        headers = {"Idempotency-Key": str(self.id)}
        return session.post(node.url + path, json=self._body(), headers=headers, timeout=timeout)

    def _body(self) -> dict[str, str]:
        amount = _money(self.amount_cents)
        if self.op == "open":
            return {"id_conta": self.account, "saldo": amount, "limite": _money(self.limit_cents)}
        return {"valor": amount} | ({"conta_destino": self.counterpart} if self.counterpart else {})


def groups_of_accounts(count: int, chance: random.Random) -> list[Group]:
    """Return that many groups of 2 to 5 accounts: no witness moves money from one to another."""
    return [[f"g{number}-{letter}" for letter in "abcde"[: chance.randint(2, 5)]] for number in range(count)]


def opening(account: str) -> Request:
    """Return the request that opens this account: the same, under the same key, whoever sends it."""
    limit_cents = LIMITS_CENTS[sum(account.encode()) % len(LIMITS_CENTS)]
    return Request("open", account, f"open-{account}", amount_cents=OPENING_CENTS, limit_cents=limit_cents)


class Witness(threading.Thread):
    """Sends requests until it is told that it is enough, and settles the last of them before it ends."""

    def __init__(
        self,
        number: int,
        nodes: Sequence[NodeProcess],
        groups: Sequence[Group],
        *,
        timeouts_s: Sequence[float] = TIMEOUTS_S,
    ) -> None:
        """Seeded by its number. Three witnesses begin in each group, and go through all groups in their order."""
        super().__init__(daemon=True, name=f"witness-{number}")
        self._random = random.Random(number)
        self._nodes = nodes
        self._groups = groups
        self._first_group = number // 3
        self._timeouts_s = timeouts_s
        self._session = requests.Session()
        self._asked = 0
        self._past: list[Request] = []
        self.seen: list[Event] = []
        self.enough = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        """Send, and write down everything."""
        try:
            while not self.enough.is_set():
                for request in self._next():
                    self.settle(request, insists=request.op == "open" or self._random.random() < 0.7)
                self.enough.wait(self._random.uniform(0, LEISURE_S))
        except BaseException as error:  # noqa: BLE001 - whoever started it shows it
            self.error = error

    def settle(self, request: Request, *, at: Sequence[NodeProcess] = (), insists: bool = True) -> Event:
        """Ask until there is an answer; unless it insists, also until nothing was certainly done."""
        deadline = time.monotonic() + PATIENCE_S
        in_doubt = False
        while True:
            event = self.ask(self._random.choice(at or self._nodes), request)
            in_doubt |= event.outcome == "unknown" and request.op != "read"
            if event.outcome in {"ok", "refused"} or not (in_doubt or insists):
                return event
            assert time.monotonic() < deadline, f"no final answer: {event}"
            time.sleep(0.05)

    def ask(self, node: NodeProcess, request: Request, *, final: bool = False) -> Event:
        """Ask once and write down what was seen; a final read never degrades."""
        timeout = self._random.choice(self._timeouts_s)
        begin = time.monotonic_ns()
        try:
            told = _told(request.send(self._session, node, timeout=timeout, strong=final))
        except requests.RequestException as error:
            told = {"outcome": "not_applied" if _was_never_sent(error) else "unknown"}
        asked: dict[str, Any] = request._asdict()
        end = time.monotonic_ns()
        event = Event(client=self.name, node=node.name, begin=begin, end=end, final=final, **asked, **told)
        self.seen.append(event)
        return event

    def new_id(self) -> str:
        """Return a key that nobody has used."""
        self._asked += 1
        return f"{self.name}-{self._asked}"

    def _next(self) -> list[Request]:
        stay, step = divmod(self._asked, STAY)
        group = self._groups[(self._first_group + stay) % len(self._groups)]
        request = self._any(group)
        return [*map(opening, group), request] if step == 0 else [request]

    def _any(self, group: Group) -> Request:
        chance, key = self._random, self.new_id()
        if self._past and chance.random() < 0.05:
            past = chance.choice(self._past)
            return past if chance.random() < 2 / 3 else past._replace(amount_cents=(past.amount_cents or 0) + 1)
        op = chance.choices(["read", "deposit", "withdraw", "transfer"], [3, 2, 2, 3])[0]
        account, other = chance.sample(group, 2)
        if op == "read":
            return Request(op, account)
        counterpart = other if op == "transfer" else None
        self._past.append(Request(op, account, key, counterpart, chance.randint(1, AMOUNT_CENTS_MAX)))
        return self._past[-1]


def final_reads(reader: Witness, nodes: Sequence[NodeProcess], accounts: Sequence[str]) -> None:
    """Let a witness read every account at every node, after healing; again where a read is not answered in its time."""

    def is_read(node: NodeProcess, account: str) -> bool:
        return reader.ask(node, Request("read", account), final=True).outcome in {"ok", "refused"}

    for node in nodes:
        for account in accounts:
            eventually(partial(is_read, node, account), seconds=30)


@contextmanager
def watched(nodes: Sequence[NodeProcess], size: int) -> Iterator[list[Witness]]:
    """Let that many witnesses ask at these nodes for as long as the block lasts, and wait until they are settled."""
    groups = groups_of_accounts(2 * size, random.Random(size))
    crowd = [Witness(number, nodes, groups) for number in range(size)]
    for witness in crowd:
        witness.start()
    try:
        yield crowd
    finally:
        for witness in crowd:
            witness.enough.set()
    for witness in crowd:
        witness.join()
        assert witness.error is None, witness.error


def answers(crowd: Sequence[Witness], *nodes: NodeProcess) -> int:
    """Return how many writes these nodes, or else all, have answered as applied."""
    names = {node.name for node in nodes}
    seen = [event for witness in crowd for event in list(witness.seen)]
    return sum(event.outcome == "ok" and event.op != "read" and (not names or event.node in names) for event in seen)


def wait_for_answers(crowd: Sequence[Witness], node: NodeProcess, count: int) -> None:
    """Wait until this node has answered that many more."""
    enough = answers(crowd, node) + count
    eventually(lambda: answers(crowd, node) >= enough, seconds=60)


def _told(answer: requests.Response) -> dict[str, Any]:
    """Return an answer in the words of the judge. Fails if it is none that the API promises."""
    content = answer.json(parse_float=Decimal)
    marks: dict[str, Any] = {
        "replayed": answer.headers.get("Idempotency-Replayed") == "true",
        "consistency": "stale" if answer.headers.get("X-Defasada") == "sim" else "linearizable",
    }
    if answer.ok:
        balance_cents = int(content["saldo"] * 100)
        return marks | {"outcome": "ok", "balance_cents": balance_cents, "version": content.get("versao")}
    if content["codigo"] in get_args(Refusal):
        return marks | {"outcome": "refused", "code": content["codigo"]}
    assert answer.status_code in {429, 503, 504}, f"{answer.status_code}: {answer.text}"
    return {"outcome": {"nao_aplicado": "not_applied", "desconhecido": "unknown"}[content["resultado"]]}


def _was_never_sent(error: requests.RequestException) -> bool:
    """True if there was no connection to send it on."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)


def _money(cents: int | None) -> str:
    units, rest = divmod(cents or 0, 100)
    return f"{units}.{rest:02}"
