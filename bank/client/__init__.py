"""The client: a bank of several nodes as one object. `from bank.client import Bank` is all that most need.

`bank` (what may be asked), `delivery` (how a question comes to one answer), `servers` (which node is asked next),
`errors` (what may have happened). It knows nothing of a node but its HTTP API.
"""

from bank.client.bank import Account, Bank, Entry, Receipt
from bank.client.errors import BankError, NotApplied, Refused, Unknown, Unreachable

__all__ = ["Account", "Bank", "BankError", "Entry", "NotApplied", "Receipt", "Refused", "Unknown", "Unreachable"]
