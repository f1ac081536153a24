"""What a call may end with, besides its result. Each says what is known of the money.

BankError
├── Refused          the bank said no, and why: `code`, `detail`; nothing changed
├── NotApplied       nothing was accepted before the deadline; it may be asked again at will
│   └── Unreachable  not one node answered
└── Unknown          it may be applied: ask again with `key=error.operation_id`, which settles it
"""

__all__ = ["BankError", "NotApplied", "Refused", "Unknown", "Unreachable"]


class BankError(Exception):
    """Base of all that a call raises about the bank."""


class Refused(BankError):  # noqa: N818 (it is called what happened)
    """The bank said no; nothing changed."""

    def __init__(self, code: str, detail: str, *, status: int) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.status = code, detail, status


class NotApplied(BankError):  # noqa: N818 (as Refused)
    """Nothing was accepted before the deadline: nothing changed."""


class Unreachable(NotApplied):
    """Not one node answered, and none got the question."""


class Unknown(BankError):  # noqa: N818 (as Refused)
    """It may be applied, or come to be: repeating it with the key `operation_id` settles it."""

    def __init__(self, operation_id: str, trouble: str) -> None:
        super().__init__(f"{trouble}; repeat with key={operation_id!r} to settle it")
        self.operation_id = operation_id
