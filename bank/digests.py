"""Digests: how two nodes see at a glance that they hold the same.

The *chain* digests the history: each link covers the link before it, the raw record and the entries that it
wrote. The *state* digest covers the content, as a sum mod 2^128 of one hash per account (kept up by the accounts
that changed) hashed together with the totals. Both are blake2b with 128 bits over MessagePack of fixed tuples.
A sum of hashes finds faults, not forgers: a node that lies is outside what the bank promises.
"""

import hashlib
from collections.abc import Iterable

import msgspec

__all__ = ["EMPTY", "MODULUS", "NAME", "chain", "of_account", "of_state"]

NAME = "blake2b-128"
MODULUS = 2**128
EMPTY = bytes(16)
"""The chain digest before the first record."""

_encode = msgspec.msgpack.Encoder().encode


def chain(
    previous: bytes, body_checksum: bytes, head: tuple[int, int, str], rows: Iterable[tuple[object, ...]]
) -> bytes:
    """Return the chain digest after a record: `head` is its position, instant and node, `rows` its entry rows."""
    return _blake2b(previous + body_checksum + _encode((head, list(rows))))


def of_account(row: tuple[object, ...]) -> int:
    """Return the 128-bit hash of one account's row, the summand of the state digest."""
    return int.from_bytes(_blake2b(_encode(row)), "big")


def of_state(totals: tuple[object, ...]) -> bytes:
    """Return the state digest of the sum of account hashes and the totals."""
    return _blake2b(_encode(totals))


def _blake2b(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
