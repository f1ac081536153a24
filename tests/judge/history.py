"""What clients saw: one event for each attempt, kept as one line of JSON each.

An attempt ends ok, refused with a code, unknown (it may have happened, or may yet happen at any time after its begin)
or not applied (it certainly had no effect of its own). Idea: Jepsen's ok, fail and info. Knows no bank and no judge.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

__all__ = ["ID_REUSED", "Event", "Part", "Refusal", "UnreadableHistoryError", "read_history", "write_history"]

Nanoseconds = Annotated[int, Meta(ge=0)]
AmountCents = Annotated[int, Meta(ge=0)]
Refusal = Literal[
    "CONTA_NAO_ENCONTRADA",
    "CONTA_JA_EXISTE",
    "SALDO_INSUFICIENTE",
    "MESMA_CONTA",
    "VALOR_ACIMA_DO_LIMITE",
    "CHAVE_REUTILIZADA",
]
"""The refusals that the ledger gives. Whatever else says no (400, 429, 503) is an attempt that was not applied."""
ID_REUSED: Refusal = "CHAVE_REUTILIZADA"


class UnreadableHistoryError(Exception):
    """The file is no history; the message names the line."""


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One operation of a batch, which happens with all others of it or not at all."""

    op: Literal["open", "deposit", "withdraw", "transfer"]
    account: str
    counterpart: str | None = None
    amount_cents: AmountCents
    limit_cents: AmountCents | None = None


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One attempt of a client. Times are monotonic nanoseconds of one clock; equal times count as overlapping."""

    client: str
    node: str
    begin: Nanoseconds
    end: Nanoseconds | None
    """None: never answered."""
    op: Literal["open", "deposit", "withdraw", "transfer", "batch", "read"]
    id: str | None = None
    """Of the operation, the same in each attempt at it; None for reads."""
    account: str
    """Of a batch: that of its first part."""
    parts: tuple[Part, ...] = ()
    counterpart: str | None = None
    amount_cents: AmountCents | None = None
    """Of an open: the opening balance."""
    limit_cents: AmountCents | None = None
    """Of an open: how far the account may be overdrawn."""
    outcome: Literal["ok", "refused", "unknown", "not_applied"]
    code: Refusal | None = None
    balance_cents: int | None = None
    """As the answer said it: of the account, of a transfer's origin."""
    version: int | None = None
    replayed: bool = False
    consistency: Literal["linearizable", "stale"] = "linearizable"
    """Of a read: stale if it was local or its answer was marked as such."""
    final: bool = False
    """A read after healing, when all had come to rest."""

    def __post_init__(self) -> None:
        if self.end is not None and self.end < self.begin:
            raise ValueError("it ends before it begins")
        if self.outcome in {"ok", "refused"} and self.end is None:
            raise ValueError("an answer has an end")
        if (self.outcome == "refused") != (self.code is not None):
            raise ValueError("a refusal has a code, nothing else has")
        if (self.op == "read") != (self.id is None):
            raise ValueError("every operation has an id, a read has none")
        if (self.op == "transfer") != (self.counterpart is not None):
            raise ValueError("a transfer has a counterpart, nothing else has")
        if (self.op in {"read", "batch"}) != (self.amount_cents is None):
            raise ValueError("every operation has an amount, a read and a batch have none")
        if (self.op == "batch") != bool(self.parts):
            raise ValueError("a batch has parts, nothing else has")
        if (self.op == "open") != (self.limit_cents is not None):
            raise ValueError("an open has a limit, nothing else has")
        if self.op == "read" and self.outcome == "ok" and self.balance_cents is None:
            raise ValueError("a read that succeeded says a balance")

    def __str__(self) -> str:
        words = [f"[{self.begin}..{'' if self.end is None else self.end}] {self.client}@{self.node} {self.op}"]
        words.append(self.account if self.counterpart is None else f"{self.account}->{self.counterpart}")
        words += [] if self.amount_cents is None else [str(self.amount_cents)]
        words += [f"({part.op} {part.account}>{part.counterpart} {part.amount_cents})" for part in self.parts]
        words += [f"limit={self.limit_cents}"] if self.limit_cents else []
        words += [] if self.id is None else [f"id={self.id}"]
        words += [":", self.code or self.outcome]
        words += [] if self.balance_cents is None else [f"balance={self.balance_cents}"]
        words += [] if self.version is None else [f"version={self.version}"]
        words += ["replayed"] if self.replayed else []
        words += ["stale"] if self.consistency == "stale" else []
        return " ".join(words)


def write_history(path: Path, events: Iterable[Event]) -> None:
    """Write the events, one a line; what stood in the file is gone."""
    with path.open("wb") as file:
        file.writelines(msgspec.json.encode(event) + b"\n" for event in events)


def read_history(path: Path) -> list[Event]:
    """Return the events of a file in its order, which need not be that of time.

    Raises UnreadableHistoryError if there is no such file or a line is no event.
    """
    decoder = msgspec.json.Decoder(Event)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UnreadableHistoryError(f"{path}: {error.strerror}") from error
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnreadableHistoryError(f"{path}:{number}: {error}") from error
    return events
