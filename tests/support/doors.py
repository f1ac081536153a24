"""Nodes that ask who comes: a file of tokens, one for each role, and what stands in a request that shows one."""

from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from bank.tokens import store
from bank.tokens.principals import Role

__all__ = ["KEY", "Tokens", "asks_from", "bearer"]

KEY = "a-key-between-nodes-for-tests"


class Tokens:
    """A file of tokens in `folder`, and the tokens of each role; the customer's account is `ana`."""

    def __init__(self, folder: Path) -> None:
        """Make a token for each role, and one that is revoked already."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "tokens.json"
        self.of = {role.value: self.add(role.value, role) for role in Role if role is not Role.CUSTOMER}
        self.of["cliente"] = self.add("ana", Role.CUSTOMER, "ana")
        self.revoked = self.add("gone", Role.ADMIN)
        store.revoke(self.path, name="gone", now="2026-01-01T00:00:00Z")

    def add(self, name: str, role: Role, *accounts: str) -> str:
        """Return a new token."""
        return store.add(self.path, name=name, role=role, accounts=accounts, now="2026-01-01T00:00:00Z")

    @property
    def environment(self) -> dict[str, str]:
        """What a node needs to know."""
        return {"TOKENS_FILE": str(self.path), "CLUSTER_KEY": KEY}


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


class _From(HTTPAdapter):
    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=(self._address, 0))


def asks_from(address: str) -> requests.Session:
    """Return a session that asks from this address of the loopback."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _From(address))
    return session
