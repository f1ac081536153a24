"""The state of the bank: all that the records so far have made, and the digest of its content.

Changed by `ledger.apply` alone. Invariants: `check_books`; the digest kept up account by account equals the one
recomputed from all accounts (tests/unit/test_ledger_model.py).
"""

from collections.abc import Iterable

from msgspec import Struct

from bank import digests

__all__ = ["Account", "State", "account_hash", "check_books", "state_digest", "sum_up"]


class Account(Struct, gc=False):
    """One account, as its last applied operation left it."""

    ordinal: int
    """The how-manieth account of the bank, from 1."""
    balance_cents: int
    limit_cents: int
    version: int
    """Counts the operations applied to it, its opening included."""
    last_entry: int
    """Number of the newest entry that moved it; entries lead back from there."""
    bank: str
    """The node at which it was opened."""
    holder: str | None
    summand: int = 0
    """Its share in `State.accounts_sum`: the hash of the row that the last applied record left."""


class State(Struct):
    """All that the records so far have made."""

    log_id: str = ""
    epoch: int = 1
    version: int = 1
    position: int = 0
    instant_ms: int = 0
    entries: int = 0
    deposited_cents: int = 0
    withdrawn_cents: int = 0
    in_accounts_cents: int = 0
    chain: bytes = digests.EMPTY
    accounts_sum: int = 0
    """Sum mod 2^128 of the hashes of all accounts."""
    members: dict[str, tuple[int, ...]] = {}
    accounts: dict[str, Account] = {}


def check_books(state: State) -> None:
    """Crash on totals that no history can reach: after every record, before a save, after a load."""
    assert state.in_accounts_cents == state.deposited_cents - state.withdrawn_cents, "money leaked"


def account_hash(account_id: str, account: Account) -> int:
    """Return the 128-bit hash of one account's row."""
    return digests.of_account(
        (
            account_id,
            account.ordinal,
            account.balance_cents,
            account.limit_cents,
            account.version,
            account.last_entry,
            account.bank,
            account.holder,
        )
    )


def sum_up(state: State, touched: Iterable[str]) -> None:
    """Bring the sum of the account hashes up: each account that changed takes its old summand out, and puts its new.

    The one place where summands are set: an account has to pass here after every change, or once for several.
    """
    for name in touched:
        account = state.accounts[name]
        state.accounts_sum -= account.summand
        account.summand = account_hash(name, account)
        state.accounts_sum += account.summand
    state.accounts_sum %= digests.MODULUS


def state_digest(state: State) -> bytes:
    """Return the 16-byte digest of the content: accounts, totals, time, version, members; not of the history."""
    return digests.of_state(
        (
            state.accounts_sum.to_bytes(16, "big"),
            len(state.accounts),
            str(state.in_accounts_cents),  # totals may outgrow 63 bits, which is all that MessagePack holds
            str(state.deposited_cents),
            str(state.withdrawn_cents),
            state.instant_ms,
            state.version,
            sorted(state.members.items()),
        )
    )
