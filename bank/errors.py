"""Operational errors. A refused withdrawal is not here: it is a value, `Rejected`.

BankError
├── NotAccepted           this attempt did nothing; safe to send again        503
│   ├── NotReady          joining, lagging, or its clock is off               503
│   ├── Diverged          this node contradicts the others                    503
│   ├── LogUnavailable    the log does not answer                             503
│   ├── Overloaded        the queue is full                                   429
│   ├── PositionNotReached  the position asked for did not come in time       503
│   └── PositionAbandoned   the position asked for is of another history      409
├── LogUnreachable        what a log raises; whether it stored the record is open
├── LogReopened           the log goes on from where this node is not
├── JournalReplaced       another journal stands ready: the node must begin anew
├── OutcomeUnknown        it may have been applied; ask again with the same id  504
└── StartRefused          the node must not start or go on; says what to do   exit status 1
    ├── JournalFailed     the journal cannot be read or written
    └── LogLost           the log is another one, or was cut short
"""

__all__ = [
    "BankError",
    "Diverged",
    "JournalFailed",
    "JournalReplaced",
    "LogLost",
    "LogReopened",
    "LogUnavailable",
    "LogUnreachable",
    "NotAccepted",
    "NotReady",
    "OutcomeUnknown",
    "Overloaded",
    "PositionAbandoned",
    "PositionNotReached",
    "StartRefused",
]


class BankError(Exception):
    """Base of all operational errors. The text is for operators: English, a whole sentence."""


class NotAccepted(BankError):  # noqa: N818 - the name is the field's term
    """The attempt did nothing and will do nothing."""

    retry_after_s = 1


class NotReady(NotAccepted):
    """The node is joining, lags, or its clock is off."""


class Diverged(NotAccepted):
    """The node contradicts the others; an operator must look."""

    retry_after_s = 30


class LogUnavailable(NotAccepted):
    """The log is known not to answer, so nothing was sent to it."""


class Overloaded(NotAccepted):
    """Too much waits already."""


class PositionNotReached(NotAccepted):
    """The node did not reach the position asked for in time."""


class PositionAbandoned(NotAccepted):
    """The position asked for belongs to a history that was given up."""


class LogUnreachable(BankError):  # noqa: N818
    """The log did not answer. After an `append` it stays open whether the record was stored."""


class LogReopened(BankError):  # noqa: N818
    """The log goes on from a place of the history where this node is not: it needs a copy of a peer's journal.

    `epoch`: that copy must be of this one or a later one.
    """

    def __init__(self, sentence: str, epoch: int) -> None:
        """Say why."""
        super().__init__(sentence)
        self.epoch = epoch


class JournalReplaced(BankError):  # noqa: N818
    """A copy of a peer's journal lies in this node's folder, checked: the node takes it over when it begins anew."""


class OutcomeUnknown(BankError):  # noqa: N818
    """Sent, and no answer in time: only a repeat with the same id settles it."""


class StartRefused(BankError):  # noqa: N818
    """The node must not start, or must not go on; the message says what to do."""


class JournalFailed(StartRefused):
    """The journal could not be read or written, perhaps after memory had moved. Never retried: the node exits."""


class LogLost(StartRefused):
    """The log is not the one that the journal knows, or lost its end."""
