"""The file of tokens: read anew whenever it changes, written whole, so that nobody ever reads half of it.

The secret of a token has 256 random bits: a plain SHA-256 of it cannot be guessed back, and costs a microsecond,
where a password would need a slow hash. Invariant: a change counts from the next request on
(tests/unit/test_tokens.py).
"""

import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from bank.errors import StartRefused
from bank.operations import PRINCIPAL, AccountId
from bank.tokens.principals import Principal, Role

__all__ = ["Registry", "Token", "add", "read", "revoke"]

log = logging.getLogger(__name__)

_TOKEN = re.compile(r"banco_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = bytes(32)
"""What the secret of an unknown token is compared with: its answer takes as long as any."""


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """One token, as the file has it."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{12}\Z")]
    name: Annotated[str, Meta(pattern=PRINCIPAL)] = field(name="nome")
    role: Role = field(name="papel")
    accounts: tuple[AccountId, ...] = field(name="contas")
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] = field(name="resumo")
    """SHA-256 of the secret, in hex."""
    created: str = field(name="criado")
    revoked: str | None = field(name="revogado", default=None)
    """When; None: it counts."""


class _File(Struct, forbid_unknown_fields=True):
    tokens: list[Token]


class Registry:
    """The tokens of a node, as its file has them now. May be shared by threads."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises StartRefused."""
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._known: dict[str, tuple[bytes, Principal]] = {}
        try:
            self._stamp, self._known = _stamp(path), _known(read(path))
        except (OSError, ValueError) as error:
            raise StartRefused(f"TOKENS_FILE {path} cannot be read: {error}") from error

    def principal(self, text: str) -> Principal | None:
        """Return whom this token stands for, or None if it is none of ours, or was revoked."""
        self._look_again()
        shown = _TOKEN.fullmatch(text)
        token_id, secret = shown.groups() if shown else ("", "")
        digest, principal = self._known.get(token_id, (_NOBODY, None))
        is_right = hmac.compare_digest(digest, hashlib.sha256(secret.encode()).digest())
        return principal if is_right else None

    def _look_again(self) -> None:
        """Read the file if it is another one by now; one that cannot be read changes nothing, and is reported."""
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._known = _known(read(self._path))
            self._stamp = stamp  # only now: no other thread takes the old tokens for the new ones
        except (OSError, ValueError) as error:
            if self._stamp:
                log.error("tokens cannot be read", extra={"reason": str(error)})  # noqa: TRY400 - no bug
            self._stamp = ()
        else:
            log.info("tokens read", extra={"tokens": len(self._known)})


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _known(tokens: list[Token]) -> dict[str, tuple[bytes, Principal]]:
    return {
        token.id: (bytes.fromhex(token.digest), Principal(token.name, token.role, frozenset(token.accounts)))
        for token in tokens
        if token.revoked is None
    }


def read(path: Path) -> list[Token]:
    """Return all tokens of a file, revoked ones too. Raises OSError, ValueError."""
    return msgspec.json.decode(path.read_bytes(), type=_File).tokens


def add(path: Path, *, name: str, role: Role, accounts: tuple[str, ...], now: str) -> str:
    """Add a token, making the file if there is none; return its text, which stands nowhere else."""
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = Token(token_id, name, role, accounts, hashlib.sha256(secret.encode()).hexdigest(), now)
    msgspec.convert(msgspec.to_builtins(token), Token)  # what could not be read again is not written
    with _writing(path) as tokens:
        tokens.append(token)
    return f"banco_{token_id}_{secret}"


def revoke(path: Path, *, token_id: str = "", name: str = "", now: str) -> int:
    """Revoke the token with this id, or all of a principal; return how many counted until now."""
    with _writing(path) as tokens:
        chosen = [token for token in tokens if token.revoked is None and (token.id == token_id or token.name == name)]
        tokens[:] = [msgspec.structs.replace(one, revoked=now) if one in chosen else one for one in tokens]
    return len(chosen)


@contextmanager
def _writing(path: Path) -> Iterator[list[Token]]:
    """Hand out the tokens to be changed, and put the whole file in place of the old one; one writer at a time."""
    with path.with_name(f"{path.name}.trava").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tokens = read(path) if path.exists() else []
        yield tokens
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)  # whom its owner let read it
            file.write(msgspec.json.format(msgspec.json.encode(_File(tokens)), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
