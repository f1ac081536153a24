"""What a node shows of itself and of its accounts: plain values, made by the runtime, spelled out by the routes.

Knows no HTTP. Everything here was committed to the node's journal before it was made.
"""

import enum
import re
from dataclasses import dataclass, field

from bank.entries import Entry
from bank.state import Account

__all__ = ["AccountView", "Answer", "Books", "Consistency", "Health", "LogView", "NodeView", "Statement", "Token"]


class Consistency(enum.Enum):
    """How a read is to be answered."""

    DEFAULT = "padrao"
    """Linearizable; the node's own state, marked stale, if the log does not answer in time."""
    STRONG = "forte"
    """Linearizable or an error."""
    LOCAL = "local"
    """The node's own state, at once."""


_TOKEN = re.compile(r"([1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class Token:
    """A place in the history: what a customer has seen, to be asked for at another node."""

    epoch: int
    position: int
    chain: str
    """The first 8 hex digits of the chain digest at that position."""

    def __str__(self) -> str:
        """Return the form that customers see."""
        return f"{self.epoch}-{self.position}-{self.chain}"

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Read the form that customers see. Raises ValueError for any other text."""
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise ValueError(f"not a position: {text[:60]!r}")
        return cls(int(match[1]), int(match[2]), match[3])


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a submitted operation. `replayed`: its id had this outcome already."""

    entry: Entry
    replayed: bool


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account as it was at `token`; `account` is None if there was none. The copy belongs to the caller."""

    account_id: str
    account: Account | None
    token: Token
    stale: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """Entries that moved one account, newest first, and the cursor of the next older one (None at the end)."""

    entries: list[Entry]
    older: int | None


@dataclass(frozen=True, slots=True)
class Books:
    """The books at one position: running totals, compared with the sum over all accounts if these were counted."""

    accounts: int
    balances_cents: int
    deposited_cents: int
    withdrawn_cents: int
    token: Token
    chain: str
    digest: str
    agree: bool


@dataclass(frozen=True, slots=True)
class NodeView:
    """One live node, as its last heartbeat described it (this node: as it is)."""

    name: str
    addresses: tuple[str, ...]
    position: int
    lag_ms: int
    state: str
    """`pronto`, or what keeps it from accepting writes (see `Health.state`)."""
    chain: str
    digest: str
    seen_ms: int
    """When it was last heard, by this node's clock: milliseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class LogView:
    """The log in use."""

    kind: str
    state: str
    log_id: str
    epoch: int
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """`alive`: every thread runs. `ready`: writes are accepted. `reasons` are sentences for operators, in English."""

    alive: bool
    ready: bool
    state: str
    """pronto, iniciando, atrasado, relogio, sem_livro, livro_perdido, divergente, falha, parando."""
    reasons: list[str] = field(default_factory=list)
    threads: dict[str, bool] = field(default_factory=dict)
    details: dict[str, int | str] = field(default_factory=dict)
    """Numbers an operator asks for: queued operations, skipped records, seconds since the log was heard…"""
