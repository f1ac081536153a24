"""The record: what one node publishes and every node reads, and what makes one valid.

Validity is decided here alone, by one typed decode with unknown fields forbidden and every integer bounded, so
that all nodes skip the same bodies. What is not valid raises `InvalidRecord`; any other exception is a bug.
Invariant: decode(encode(r)) == r; the corpus in tests/unit/test_records.py has one verdict on every Python.
"""

import hashlib
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, field

from bank.operations import NODE_NAME, SCOPE_END, Batch, Operation, Reopen, Uphold

__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_RECORD_BYTES",
    "VERSIONS",
    "Base",
    "InvalidRecord",
    "PackedRecord",
    "Record",
    "check_operation",
    "checksum",
    "decode",
    "encode",
    "encode_operation",
    "reopening",
    "version_of",
]

MAX_RECORD_BYTES = 1024 * 1024
MAX_BATCH_BYTES = MAX_RECORD_BYTES - 4096
"""Leaves room for a record's head, and for the refusal that a batch may have to be entered as."""
MAX_RECORD_OPERATIONS = 8192
VERSIONS = (1, 2, 3)
"""The record versions that this program reads and writes. From 2 on there may be batches, from 3 on principals."""

_INT63 = 2**63 - 1
_Count = Annotated[int, Meta(ge=0, le=_INT63)]
_Name = Annotated[str, Meta(pattern=NODE_NAME)]


class Base(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the publisher had applied when it packed: position and chain digest in hex ('' before genesis)."""

    position: _Count
    chain: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?\Z")]


class _Head(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] = field(name="v")
    log_id: Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?\Z")] = field(name="livro")
    epoch: Annotated[int, Meta(ge=1, le=2**31 - 1)] = field(name="epoca")
    node: _Name = field(name="banco")
    session: _Name = field(name="sessao")
    seq: Annotated[int, Meta(ge=1, le=_INT63)] = field(name="seq")
    instant_ms: _Count = field(name="instante")
    base: Base = field(name="base")


class Record(_Head, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One record. Without operations it is a barrier, a marker or a heartbeat."""

    operations: Annotated[tuple[Operation, ...], Meta(max_length=MAX_RECORD_OPERATIONS)] = field(name="operacoes")


class PackedRecord(_Head, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same record whose operations are encoded already: how a publisher builds it."""

    operations: list[Raw] = field(name="operacoes")


class InvalidRecord(ValueError):  # noqa: N818 - the field's word for it; it is a verdict, not a fault of ours
    """A body that every node skips."""


_T = TypeVar("_T")
_decoder = msgspec.json.Decoder(Record)
_operation_decoder: msgspec.json.Decoder[Operation] = msgspec.json.Decoder(Operation)
_encoder = msgspec.json.Encoder()


def decode(body: bytes) -> Record:
    """Return the record that the body holds. Raises InvalidRecord, the same on every node."""
    if len(body) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"{len(body)} bytes; at most {MAX_RECORD_BYTES}")
    record = _decode(_decoder, body)
    if record.version < VERSIONS[-1] and any(version_of(operation) > record.version for operation in record.operations):
        # As programs find that know no later version.
        raise InvalidRecord(f"a batch, or who asked for something, in a record of version {record.version}")
    return record


def version_of(operation: Operation) -> int:
    """Return the first record version that may hold the operation."""
    match operation:
        case Batch():
            return max(2, _version_of_names(operation), *map(_version_of_names, operation.parts))
        case Uphold():
            own = 2 if isinstance(operation.index, int) else 1
            return max(own, _version_of_names(operation), version_of(operation.operation))
    return _version_of_names(operation)


def _version_of_names(operation: Operation) -> int:
    return 3 if SCOPE_END in operation.id or getattr(operation, "origin", UNSET) is not UNSET else 1


def check_operation(encoded: bytes) -> None:
    """Raise InvalidRecord if a record with this operation would be skipped: it is refused alone, before publishing."""
    _decode(_operation_decoder, encoded)


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    # A valid record nests seven levels deep. While it looks for an operation's tag, msgspec skips over what stands
    # before it and may run out of stack, on one Python and not on another: such a body is invalid on all of them.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRecord(str(error)) from error


def encode(record: Record | PackedRecord) -> bytes:
    """Return the body of a record."""
    return _encoder.encode(record)


def encode_operation(operation: Operation) -> bytes:
    """Return the JSON of one operation, as it stands in a record."""
    return _encoder.encode(operation)


def reopening(record: Record) -> Reopen | None:
    """Return the operation that makes this record the beginning of an epoch, or None."""
    match record.operations:
        case (Reopen(epoch=record.epoch) as operation,):
            return operation
    return None


def checksum(body: bytes) -> bytes:
    """Return the 16-byte checksum by which a journal recognises a record of the log."""
    return hashlib.blake2b(body, digest_size=16).digest()
