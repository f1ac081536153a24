"""What may be asked of the bank, and what may come back.

An operation is a request that a node has given an id; it travels inside a record under Portuguese keys. An
outcome is what the ledger made of it: `Applied`, or `Rejected` with a reason. Refusals are values, remembered
and repeated like successes; they are never exceptions.
Knows no state, no clock and no transport.
"""

import enum
from collections.abc import Iterator
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import replace

from bank.money import MAX_CENTS

__all__ = [
    "BATCH_ID",
    "BATCH_KEY",
    "KEY",
    "OPERATION_ID",
    "PRINCIPAL",
    "SCOPE_END",
    "AccountId",
    "Activate",
    "Applied",
    "Batch",
    "CustomerOperation",
    "Deposit",
    "Genesis",
    "Join",
    "Movement",
    "Open",
    "Operation",
    "OperationId",
    "Origin",
    "Outcome",
    "Reason",
    "Rejected",
    "Reopen",
    "Retire",
    "Transfer",
    "Uphold",
    "Withdraw",
    "accounts_of",
    "ids_of",
    "is_same",
    "scope_of",
    "scoped",
]

ACCOUNT_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
KEY = r"^[ -~]{1,255}\Z"
"""What a customer names an operation by."""
BATCH_KEY = r"^[ -~]{1,250}\Z"
"""So that `<key>/9999`, an operation of the batch, is a key as well."""
PRINCIPAL = r"^[a-z0-9][a-z0-9._-]{0,39}\Z"
SCOPE_END = "\x1f"
"""Stands between a principal and the key, in no key and in no name: the keys of one are not those of another."""
_SCOPE = r"^([a-z0-9][a-z0-9._-]{0,39}\x1f)?"
OPERATION_ID = _SCOPE + KEY[1:]
BATCH_ID = _SCOPE + BATCH_KEY[1:]
BATCH_OPERATIONS_MAX = 10_000
NODE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"
HOLDER = r"^[^\x00-\x1f\x7f]{1,200}\Z"

AccountId = Annotated[str, Meta(pattern=ACCOUNT_ID)]
OperationId = Annotated[str, Meta(pattern=OPERATION_ID)]
NodeName = Annotated[str, Meta(pattern=NODE_NAME)]
Holder = Annotated[str, Meta(pattern=HOLDER)]
Cents = Annotated[int, Meta(ge=1, le=MAX_CENTS)]
CentsOrZero = Annotated[int, Meta(ge=0, le=MAX_CENTS)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class _Operation(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    id: OperationId


class Origin(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which request asked, and from where: what no two requests need have in common to be the same."""

    request_id: Annotated[str, Meta(pattern=r"^[!-~]{1,128}\Z")]
    address: Annotated[str, Meta(pattern=r"^[0-9a-fA-F:.]{0,45}\Z")]


class _Asked(_Operation, frozen=True, kw_only=True):
    origin: Origin | UnsetType = field(name="origem", default=UNSET)
    """Known where the bank knows its principals."""


class Open(_Asked, frozen=True, tag="abertura"):
    """Open an account with a balance, an overdraft limit and perhaps a holder."""

    account_id: AccountId = field(name="conta")
    balance_cents: CentsOrZero = field(name="saldo")
    limit_cents: CentsOrZero = field(name="limite")
    holder: Holder | UnsetType = field(name="titular", default=UNSET)


class Deposit(_Asked, frozen=True, tag="deposito"):
    """Money in from outside."""

    account_id: AccountId = field(name="conta")
    amount_cents: Cents = field(name="valor")


class Withdraw(_Asked, frozen=True, tag="saque"):
    """Money out to outside."""

    account_id: AccountId = field(name="conta")
    amount_cents: Cents = field(name="valor")


class Transfer(_Asked, frozen=True, tag="transferencia"):
    """Money from one account to another: both legs or none."""

    account_id: AccountId = field(name="conta")
    counterpart_id: AccountId = field(name="destino")
    amount_cents: Cents = field(name="valor")


CustomerOperation = Open | Deposit | Withdraw | Transfer


class Batch(_Asked, frozen=True, tag="lote"):
    """Several operations of customers, in this order: all of them or none."""

    id: Annotated[str, Meta(pattern=BATCH_ID)]
    parts: Annotated[tuple[CustomerOperation, ...], Meta(min_length=1, max_length=BATCH_OPERATIONS_MAX)] = field(
        name="operacoes"
    )

    @property
    def operations(self) -> Iterator[CustomerOperation]:
        """The parts as the bank remembers them: number i under the id `<id>/<i>`, whatever stands inside."""
        return (replace(part, id=f"{self.id}/{index}", origin=self.origin) for index, part in enumerate(self.parts))


class Genesis(_Operation, frozen=True, tag="genesis"):
    """The birth of a log: its name and what all its nodes must agree on."""

    log_id: NodeName = field(name="livro")
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = field(name="moeda")
    max_cents: Annotated[int, Meta(ge=1, le=2**62)] = field(name="valor_maximo")
    max_record_bytes: Annotated[int, Meta(ge=1, le=2**31)] = field(name="registro_maximo")
    digest: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,40}\Z")] = field(name="resumo")


class Join(_Operation, frozen=True, tag="entrada"):
    """A node becomes a member and says which record versions it can read."""

    node: NodeName = field(name="banco")
    versions: Annotated[tuple[Version, ...], Meta(min_length=1, max_length=100)] = field(name="versoes")


class Retire(_Operation, frozen=True, tag="retirar"):
    """A member is gone for good: nobody waits for it any more."""

    node: NodeName = field(name="banco")


class Activate(_Operation, frozen=True, tag="versao"):
    """From the next record on, records have this version."""

    version: Version = field(name="versao")


class Reopen(_Operation, frozen=True, tag="reabertura"):
    """A lost or shortened log goes on, in a new epoch, from this place of the history. Counts in a record alone."""

    epoch: Annotated[int, Meta(ge=2, le=2**31 - 1)] = field(name="epoca")
    position: Annotated[int, Meta(ge=1, le=2**63 - 1)] = field(name="posicao")
    chain: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")] = field(name="resumo")


class Reason(enum.Enum):
    """Why an operation was refused."""

    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNT_EXISTS = "account_exists"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    SAME_ACCOUNT = "same_account"
    ABOVE_LIMIT = "above_limit"
    ID_REUSED = "id_reused"
    MEMBER_NOT_FOUND = "member_not_found"
    LOG_EXISTS = "log_exists"
    VERSION_NOT_SUPPORTED = "version_not_supported"


class Uphold(_Operation, frozen=True, tag="recusa"):
    """Enter as refused, without executing it, what a customer was told to be refused before the log lost it."""

    operation: CustomerOperation | Batch = field(name="operacao")
    reason: Reason = field(name="motivo")
    index: Annotated[int, Meta(ge=0, lt=BATCH_OPERATIONS_MAX)] | UnsetType = field(name="indice", default=UNSET)

    @property
    def original(self) -> CustomerOperation | Batch:
        """The operation as its customer knows it: under the id of this one, whatever stands inside."""
        return replace(self.operation, id=self.id)


Movement = Deposit | Withdraw
Operation = CustomerOperation | Batch | Genesis | Join | Retire | Activate | Reopen | Uphold


class Applied(Struct, frozen=True):
    """The operation took effect. Balances and versions are those of its accounts just after it.

    A batch has none of its own, its parts have; an operation of the log itself moves no money: then they are 0.
    """

    balance_cents: int = 0
    version: int = 0
    counterpart_balance_cents: int | None = None
    counterpart_version: int | None = None


class Rejected(Struct, frozen=True):
    """The operation changed nothing."""

    reason: Reason
    index: int | None = None
    """Of a batch: which part was refused first, counted from 0."""


Outcome = Applied | Rejected


def accounts_of(operation: Operation) -> tuple[str, ...]:
    """Return the ids of the accounts that the operation reads or changes, origin first; a batch's, each once."""
    match operation:
        case Transfer():
            return (operation.account_id, operation.counterpart_id)
        case Open() | Deposit() | Withdraw():
            return (operation.account_id,)
        case Batch():
            return tuple(dict.fromkeys(name for part in operation.parts for name in accounts_of(part)))
        case _:
            return ()


def scoped(principal: str, key: str) -> str:
    """Return the id under which the bank remembers what this principal asks for with this key."""
    return f"{principal}{SCOPE_END}{key}"


def scope_of(operation_id: str) -> tuple[str, str]:
    """Return principal and key; the principal is empty if nobody asked who it was."""
    principal, _, key = operation_id.rpartition(SCOPE_END)
    return principal, key


def is_same(first: Operation, asked: Operation) -> bool:
    """Tell whether two operations ask for the same, whoever asked and from where."""
    if not isinstance(asked, CustomerOperation | Batch) or type(first) is not type(asked):
        return first == asked
    return first == replace(asked, id=first.id, origin=first.origin)


def ids_of(operation: Operation) -> Iterator[str]:
    """Yield the ids under which it may be remembered: its own, its bare key, and those of a batch's parts."""
    yield operation.id
    if SCOPE_END in operation.id:
        yield scope_of(operation.id)[1]
    if isinstance(operation, Batch):
        yield from (part.id for part in operation.operations)
