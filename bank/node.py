"""What a node decides about what it was asked: what waits, what goes into the next record, what a record settles.

Pure: no thread, no clock, no I/O; the runtime calls it under one mutex, a simulator under virtual time. Waiters
are opaque: whoever waits hands one in and gets it back, with the result, exactly once.
Every attempt is a new record, so trying again is always safe: apply settles repeats by operation id. Confirms mean
nothing here; a record is believed when it comes back through the log.
Invariant: an operation is withdrawn only if no record that was ever packed holds its id (tests/unit/test_node.py).
"""

from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Raw

from bank import records
from bank.deadlines import Deadlines
from bank.entries import Entry
from bank.errors import NotAccepted, OutcomeUnknown, Overloaded
from bank.operations import Genesis, Operation, Reopen
from bank.records import PackedRecord, Record
from bank.views import Answer
from bank.waiting import Completion, Flight, Head, Packed, Pending, Read, Timeout, Waiter

__all__ = ["Node"]

GATHER_MS_MAX = 100
"""For so long at most what waits gathers while a record of this node's own is on its way. Nagle's rule (RFC 896): the
fewer records the more each holds, and half of what an operation costs under load is the cost of its record."""
UNSETTLED_MAX = 65_536
"""Ids of attempts whose outcome is not known, kept for later requests; the oldest are forgotten first."""
_HEAD_BYTES = 1024


class Node:
    """The requests of one process of one node (`session` names the process). Times are monotonic milliseconds."""

    def __init__(self, *, name: str, session: str, queue_max: int) -> None:
        """Begin with nothing waiting."""
        self.name = name
        self.session = session
        self.next_seq = 1
        self._queue_max = queue_max
        self._queued = 0
        self._queue: deque[Pending] = deque()
        self._reads: list[Read] = []
        self._pending: dict[Operation, Pending] = {}
        self._flights: dict[int, Flight] = {}
        self._unsettled: dict[str, None] = {}
        self._record_wanted = False
        self._deadlines = Deadlines()

    # --- what comes in -------------------------------------------------------------------------------------------

    def propose(self, operation: Operation, waiter: Waiter, deadline_ms: int) -> None:
        """Let one operation in: see `propose_all`."""
        self.propose_all([(operation, waiter)], deadline_ms)

    def propose_all(self, asked: Sequence[tuple[Operation, Waiter]], deadline_ms: int) -> None:
        """Let the operations of one request into the next records, all or none, to take effect in their order.

        An operation that waits here already, or comes twice, gets its first outcome. Raises Overloaded if too much
        would wait then, InvalidRecord if no node could read one of the operations.
        """
        new: dict[Operation, Pending] = {}
        waiting: list[tuple[Pending, Waiter]] = []
        after: list[Pending] = []  # a new one comes after all of these; the next one after it alone
        for operation, waiter in asked:
            pending = new.get(operation) or self._pending.get(operation)
            if pending is None:
                pending = new[operation] = Pending(operation, records.encode_operation(operation), [], tuple(after))
                records.check_operation(pending.encoded)
                assert len(pending.encoded) < records.MAX_RECORD_BYTES - _HEAD_BYTES, "it would never fit a record"
                after = [pending]
            elif operation not in new:
                after.append(pending)
            waiting.append((pending, waiter))
        if self._queued + len(new) > self._queue_max:
            raise Overloaded(f"{self._queued} operations wait already")
        # Every refusal is above this line.
        self._pending |= new
        self._enqueue(list(new.values()))
        for pending, waiter in waiting:
            pending.waiters.append(waiter)
        self._deadlines.push(deadline_ms, waiting)

    def read(self, account_id: str, waiter: Waiter, deadline_ms: int) -> None:
        """Let the next record be the barrier of this read."""
        read = Read(waiter, account_id)
        self._reads.append(read)
        self._deadlines.push(deadline_ms, read)

    def want_record(self) -> int:
        """Make sure that a record is packed even if nothing waits; return its seq. Markers and heartbeats."""
        self._record_wanted = True
        return self.next_seq

    def is_unsettled(self, operation_id: str) -> bool:
        """Tell whether an attempt at this id was packed and has not come back: it may have been applied."""
        return operation_id in self._unsettled

    @property
    def queued(self) -> int:
        """How many operations wait to be packed."""
        return self._queued

    @property
    def is_idle(self) -> bool:
        """True if nobody waits for an operation."""
        return not self._pending

    def oldest_flight_ms(self) -> int | None:
        """Return when the oldest record that has not come back was packed."""
        return min((flight.packed_ms for flight in self._flights.values()), default=None)

    # --- what goes out -------------------------------------------------------------------------------------------

    def has_work(self, *, now_ms: int, operations_allowed: bool) -> bool:
        """Tell whether a record should be packed now."""
        if self._record_wanted:
            return True
        if self._queued < records.MAX_RECORD_OPERATIONS and self._gathers(now_ms):
            return False
        if self._reads:
            return True
        if not (operations_allowed and self._queued):
            return False
        return any(pending.queued and self._is_free(pending) for pending in self._queue)

    def _gathers(self, now_ms: int) -> bool:
        """Tell whether a record that somebody waits for is on its way, and not for too long yet."""
        flights = self._flights.values()
        return any(now_ms - flight.packed_ms < GATHER_MS_MAX and (flight.pending or flight.reads) for flight in flights)

    def _is_free(self, pending: Pending) -> bool:
        """Tell whether the next record may hold it: all that it comes after is settled, or in that record already.

        Records of this node's own may get lost and come again behind later ones: so two of them never hold parts of
        one request at the same time.
        """
        return all(earlier.settled or earlier.seq == self.next_seq for earlier in pending.after)

    def pack(self, *, now_ms: int, instant_ms: int, head: Head, operations_allowed: bool) -> Packed:
        """Return the next record: everything that fits of what waits; empty if it is only a barrier or a marker."""
        taken = self._take() if operations_allowed else []
        flight = self._fly(now_ms)
        flight.pending = taken
        for pending in taken:
            self._note_unsettled(pending.operation.id)
        return self._packed(head, instant_ms, [Raw(pending.encoded) for pending in taken])

    def pack_beginning(self, operation: Genesis | Reopen, head: Head, *, now_ms: int, instant_ms: int) -> Packed:
        """Return the record that begins a log, or an epoch of it. Of several the first in the log counts."""
        self._fly(now_ms)
        if isinstance(operation, Genesis):
            head = head._replace(log_id=operation.log_id)
        else:
            head = head._replace(epoch=operation.epoch)
        return self._packed(head, instant_ms, [Raw(records.encode_operation(operation))])

    def _fly(self, now_ms: int) -> Flight:
        flight = self._flights[self.next_seq] = Flight(now_ms, reads=self._reads)
        self._reads = []
        self._record_wanted = False
        return flight

    def _packed(self, head: Head, instant_ms: int, operations: list[Raw]) -> Packed:
        seq = self.next_seq
        self.next_seq += 1
        record = PackedRecord(
            version=head.version,
            log_id=head.log_id,
            epoch=head.epoch,
            node=self.name,
            session=self.session,
            seq=seq,
            instant_ms=instant_ms,
            base=head.base,
            operations=operations,
        )
        return Packed(seq, records.encode(record))

    def _take(self) -> list[Pending]:
        taken: list[Pending] = []
        held: list[Pending] = []
        size = _HEAD_BYTES
        while self._queue and len(taken) < records.MAX_RECORD_OPERATIONS:
            pending = self._queue[0]
            if pending.queued and not self._is_free(pending):
                held.append(pending)
            elif pending.queued:
                size += len(pending.encoded) + 1
                if size > records.MAX_RECORD_BYTES:
                    break
                pending.queued = False
                pending.seq = self.next_seq
                self._queued -= 1
                taken.append(pending)
            self._queue.popleft()
        self._queue.extendleft(reversed(held))
        return taken

    def _enqueue(self, again: Sequence[Pending], *, first: bool = False) -> None:
        for pending in again:
            pending.queued = True
        self._queued += len(again)
        if first:
            self._queue.extendleft(reversed(again))
        else:
            self._queue.extend(again)

    def _note_unsettled(self, operation_id: str) -> None:
        self._unsettled[operation_id] = None
        if len(self._unsettled) > UNSETTLED_MAX:
            del self._unsettled[next(iter(self._unsettled))]

    # --- what comes back -----------------------------------------------------------------------------------------

    def barrier(self, record: Record) -> list[Read]:
        """Return the open reads whose barrier this record is: to be answered at its place in the log."""
        if record.session != self.session:
            return []
        flight = self._flights.get(record.seq)
        return [read for read in flight.reads if read.is_open] if flight else []

    def close_reads(self, reads: Iterable[Read]) -> list[Waiter]:
        """Return the waiters of those reads that are still open, and close them."""
        waiters = []
        for read in reads:
            if read.is_open:
                read.is_open = False
                waiters.append(read.waiter)
        return waiters

    def settle(self, record: Record, outcomes: Sequence[Entry], position: int) -> list[Completion]:
        """Take in a record that came back and was committed at `position`; no outcomes: it was skipped or empty.

        What another node's record settles is settled here too. A record of one's own that was skipped, and those
        before it that never came, are proposed again.
        """
        mine = record.session == self.session
        completions: list[Completion] = []
        is_asked = self._pending or self._unsettled  # else there is nothing to find for the many of a batch
        for operation, entry in zip(record.operations, outcomes, strict=bool(outcomes)) if is_asked else ():
            self._unsettled.pop(operation.id, None)
            if (pending := self._pending.pop(operation, None)) is None:
                continue
            # Two requests from different places may be one operation, and stand in one record.
            is_first = mine and entry.position == position and entry.operation == operation
            completions += [
                Completion(waiter, Answer(entry, replayed=not is_first or place > 0))
                for place, waiter in enumerate(pending.waiters)
            ]
            self._drop(pending)
        if mine:
            self._land(record.seq)
        return completions

    def _land(self, seq: int) -> None:
        """Remove the flight, and every one before it: the log holds our records in the order of their seq."""
        landed = [number for number in self._flights if number <= seq]
        again: list[Pending] = []
        for number in landed:
            flight = self._flights.pop(number)
            again += [pending for pending in flight.pending if not pending.settled and not pending.queued]
            if number < seq:
                self._reads += [read for read in flight.reads if read.is_open]
        self._enqueue(again, first=True)

    def _drop(self, pending: Pending) -> None:
        pending.settled = True
        pending.waiters = []
        pending.after = ()
        if pending.queued:
            pending.queued = False
            self._queued -= 1

    # --- what runs out of time -----------------------------------------------------------------------------------

    def expire(self, now_ms: int) -> list[Completion]:
        """Give up what waited until its deadline; say of each operation whether it may have been applied."""
        completions: list[Completion] = []
        for late in self._deadlines.due(now_ms):
            if isinstance(late, Read):
                completions += [Completion(waiter, Timeout()) for waiter in self.close_reads([late])]
            else:
                completions += [self._give_up(*waiting) for waiting in late if waiting[1] in waiting[0].waiters]
        return completions

    def _give_up(self, pending: Pending, waiter: Waiter) -> Completion:
        pending.waiters.remove(waiter)
        if not pending.waiters:
            del self._pending[pending.operation]
            self._drop(pending)
        if self.is_unsettled(pending.operation.id):
            return Completion(waiter, OutcomeUnknown("The log did not bring the operation back in time."))
        return Completion(waiter, NotAccepted("The operation still waited when its time was up; it was withdrawn."))

    def give_up_all(self) -> list[Completion]:
        """Give up everything that waits: the node stops."""
        return self.expire(now_ms=1 << 62)
