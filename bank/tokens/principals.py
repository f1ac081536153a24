"""Principals: whom a token stands for, and its role. Pure: files and routes are elsewhere."""

import enum

from msgspec import Struct

__all__ = ["Principal", "Role"]


class Role(enum.Enum):
    """What a principal is to the bank."""

    CUSTOMER = "cliente"
    """Its own accounts: those that its token names. To others it transfers."""
    TELLER = "operador"
    """All routes of money."""
    AUDITOR = "auditor"
    """Reads everything, moves nothing."""
    ADMIN = "admin"
    """Both."""


class Principal(Struct, frozen=True):
    """Whom a token stands for. Several tokens may stand for one, and share its keys."""

    name: str
    role: Role
    accounts: frozenset[str] = frozenset()
    """Of a customer: the ids of its accounts."""

    def owns(self, *account_ids: str) -> bool:
        """Tell whether all of these accounts are this principal's to dispose of."""
        return self.role is not Role.CUSTOMER or self.accounts.issuperset(account_ids)
