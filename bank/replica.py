"""What a delivered record does to this node's copy: skipped, compared, or applied.

Pure: no thread, no clock, no I/O; the journal and the account locks are handed in as functions. One thread
delivers; the verdicts about other nodes may be asked for by others, under the runtime's mutex.
Invariant: `state` holds exactly the valid records of this log up to `last_offset`, each once
(tests/unit/test_replica.py).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from bank import records
from bank.entries import Entry
from bank.errors import LogLost, LogReopened, StartRefused
from bank.ledger import Change, apply, genesis_operation
from bank.operations import Genesis, accounts_of
from bank.records import InvalidRecord, Record
from bank.state import State, account_hash

__all__ = ["Delivery", "Marks", "Replica"]

RECENT_MARKS = 4096
"""Positions whose digests are at hand in memory; older ones are asked of the journal."""


class Marks(NamedTuple):
    """Both digests at one position."""

    chain: bytes
    digest: bytes


class Delivery(NamedTuple):
    """A record that the log delivered and that decoded. `change` is None if it was not applied."""

    offset: int
    record: Record
    change: Change | None


class Replica:
    """One node's copy of the bank, moved by records."""

    def __init__(
        self,
        *,
        node: str,
        state: State,
        last_offset: int,
        last_checksum: bytes,
        marks_at: Callable[[int], Marks | None],
        hold: Callable[[Iterable[str]], AbstractContextManager[None]],
    ) -> None:
        """Begin with a state as loaded; `last_offset` and `last_checksum` are those of the last record applied.

        `marks_at` returns the digests that the journal has for a position; `hold` holds accounts' locks.
        """
        self.node = node
        self.state = state
        self.last_offset = last_offset
        self.live = False
        """Past the end that the log had when this node attached: from here on contradictions count."""
        self.skipped: Counter[str] = Counter()
        self.contradictions = 0
        self._last_checksum = last_checksum
        self._resuming = False
        self._marks_at = marks_at
        self._hold = hold
        self._marks: OrderedDict[int, Marks] = OrderedDict()
        self._agrees: dict[str, bool] = {}
        self._check_version()

    def _check_version(self) -> None:
        if self.state.version not in records.VERSIONS:
            raise StartRefused(
                f"The bank's records have version {self.state.version} now, and this program knows "
                f"{records.VERSIONS}: use the newer program."
            )

    def resume(self) -> int:
        """Return the offset to read from after attaching: that of the last record applied, to be compared."""
        self.live = False
        self._agrees.clear()
        self._resuming = self.state.position > 0
        return self.last_offset

    def resume_before(self, offset: int) -> None:
        """Go on with the record at `offset`, which is the beginning of a new epoch of a log made anew."""
        self.last_offset = offset - 1
        self._resuming = False

    def admit(self, offset: int, body: bytes) -> Record | None:
        """Return the record, or None if it is not to be looked at: invalid, or delivered before.

        Raises LogLost if this node resumes and finds another record where its last one stood.
        """
        if self._resuming:
            if offset != self.last_offset or records.checksum(body) != self._last_checksum:
                raise LogLost(
                    f"The log does not hold the record that this node applied last (position {self.state.position}, "
                    f"offset {self.last_offset}): it is another log, or it was cut and written again. "
                    "Nothing was overwritten; give the log back, or rebuild it."
                )
            self._resuming = False
        if offset <= self.last_offset:
            return None
        try:
            return records.decode(body)
        except InvalidRecord as invalid:
            self.skipped[f"invalid: {str(invalid)[:60]}"] += 1
            return None

    def deliver(self, offset: int, body: bytes, record: Record, remembered: Mapping[str, Entry]) -> Delivery:
        """Apply the record if it is one of this log, and compare what its publisher says of the past.

        Raises LogReopened if the log goes on from a place of the history where this node is not.
        """
        if not record.operations:  # also the markers of nodes that have not proved yet that they stand on the log
            return Delivery(offset, record, None)
        if (why := self._foreign(record)) is not None:
            self.skipped[why] += 1
            return Delivery(offset, record, None)
        if record.epoch == self.state.epoch:
            self._compare(record, own_position=self.state.position + 1)
        with self._hold(name for operation in record.operations for name in accounts_of(operation)):
            change = apply(self.state, record, body, remembered)
        self.last_offset = offset
        self._last_checksum = change.checksum
        self._remember(change.position, Marks(change.chain, change.digest))
        self._check_version()
        return Delivery(offset, record, change)

    def _foreign(self, record: Record) -> str | None:
        """Say why every node skips this record, or None if it is one of this log."""
        state = self.state
        if self.reopens(record):
            return None
        if record.version != state.version:
            return "another version"
        if not state.log_id:
            return None if _is_genesis(record) else "before genesis"
        if record.log_id != state.log_id:
            return "another log"
        if record.epoch != state.epoch:
            return "another epoch"
        return None

    def reopens(self, record: Record) -> bool:
        """Tell whether a record begins a later epoch of this log, from just where this node is.

        Raises LogReopened if it begins one from elsewhere: this node is behind it, or holds what it gave up.
        """
        state = self.state
        operation = records.reopening(record)
        if operation is None or record.epoch <= state.epoch or record.log_id != (state.log_id or record.log_id):
            return False
        if (operation.position, operation.chain) != (state.position, state.chain.hex()):
            raise LogReopened(
                f"The log was reopened in epoch {record.epoch} at position {operation.position}; "
                f"this node is at position {state.position} of epoch {state.epoch}.",
                record.epoch,
            )
        return True

    def _remember(self, position: int, marks: Marks) -> None:
        self._marks[position] = marks
        if len(self._marks) > RECENT_MARKS:
            self._marks.popitem(last=False)

    def _compare(self, record: Record, own_position: int) -> None:
        if record.node == self.node or (record.log_id, record.epoch) != (self.state.log_id, self.state.epoch):
            return
        if record.base.position >= own_position:
            self.judge(record.node, agrees=False)
        elif record.base.position > 0:
            self.hear(record.node, record.base.position, bytes.fromhex(record.base.chain))

    def hear(self, node: str, position: int, chain: bytes, digest: bytes | None = None) -> None:
        """Compare what another node holds at a position with one's own; positions unknown here say nothing.

        The chain tells another history; the digest, if it was said, another content of the same history.
        """
        mine = self._marks.get(position) or self._marks_at(position)
        if mine is not None:
            self.judge(node, agrees=mine == (chain, mine.digest if digest is None else digest))

    def judge(self, node: str, *, agrees: bool) -> None:
        """Note whether another node agrees; while old records are replayed contradictions are only counted."""
        self.contradictions += not agrees
        if self.live:
            self._agrees[node] = agrees

    def agreement(self) -> dict[str, bool]:
        """Return, of each node that said what it holds at a place known here, whether its last word agreed."""
        return dict(self._agrees)

    def contradicting(self) -> list[str]:
        """Return the nodes whose last word contradicted this node, by name."""
        return sorted(node for node, agrees in self.agreement().items() if not agrees)

    def is_outvoted(self) -> bool:
        """Tell whether those that contradict this node are at least as many as those that agree, itself included."""
        against = len(self.contradicting())
        return against > 0 and against >= len(self._agrees) - against + 1

    def state_problem(self) -> str | None:
        """Recompute the digest of the accounts in memory; say so if it is not the one kept up record by record."""
        total = sum(account_hash(name, account) for name, account in self.state.accounts.items())
        if total % (1 << 128) != self.state.accounts_sum:
            return "the accounts in memory do not have the digest that was kept up record by record"
        return None


def _is_genesis(record: Record) -> bool:
    """Tell whether a record may begin a log. Raises StartRefused if it begins one that this program cannot keep."""
    first = record.operations[0]
    if len(record.operations) != 1 or not isinstance(first, Genesis) or first.log_id != record.log_id:
        return False
    if first != genesis_operation(operation_id=first.id, log_id=first.log_id):
        raise StartRefused(
            f"The log was begun with other constants than this program's: {first}. Use the program that began it."
        )
    return True
