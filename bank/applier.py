"""The applier thread: follows the log from this node's own position and moves the bank.

For everything that was delivered together: look the operation ids up, apply under the accounts' locks, commit
once, and only then let outcomes, reads, positions and tokens out. Attaches anew after every lost connection.
Alone writes the account state in memory and the journal.
"""

import copy
import logging
import random
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import NamedTuple

from bank import records
from bank.asking import resolve
from bank.committed import Committed
from bank.desk import Desk, monotonic_ms
from bank.errors import LogLost, LogReopened, LogUnreachable
from bank.joining import Joiner
from bank.journal import AppliedRecord, Journal
from bank.operations import ids_of
from bank.records import InvalidRecord, Record
from bank.replica import Delivery, Replica
from bank.views import AccountView, Token
from bank.waiting import Completion, Read, Timeout
from locks.accounts import AccountLocks
from replication.log import FIRST, LAST, Log, Reader, Stored

__all__ = ["Applier"]

log = logging.getLogger(__name__)

POLL_S = 0.25


class _Done(NamedTuple):
    """A delivery and what it answers; held back until the commit."""

    delivery: Delivery
    position: int
    answers: list[tuple[Read, AccountView | Timeout]]


class Applier:
    """Owns the journal's writer and the state in memory."""

    def __init__(
        self, desk: Desk, livro: Log, journal: Journal, replica: Replica, locks: AccountLocks, joiner: Joiner
    ) -> None:
        """Follow the log for `desk`."""
        self._joiner = joiner
        self._desk = desk
        self._log = livro
        self._journal = journal
        self._replica = replica
        self._locks = locks
        self._heard_written = journal.heard()

    def run(self) -> None:
        """Attach, follow, and attach again after trouble, until the node stops or must not go on.

        Raises JournalReplaced if it must begin anew with a peer's journal; JournalFailed, StartRefused or a bug's
        exception, each of which stops the node's writes.
        """
        back_off_s = 0.1
        is_lost = is_unreachable = False
        self._joiner.join_late()
        while not self._desk.stopping.is_set():
            try:
                if is_lost:
                    self._await_reopening()
                    is_lost = False
                with closing(self._attach()) as reader:
                    self._desk.log_is_up()
                    log.info("log attached", extra={"position": self._replica.state.position})
                    back_off_s = 0.1
                    is_unreachable = False
                    self._follow(reader)
            except LogUnreachable as error:
                if not is_unreachable:
                    log.warning("log unreachable", extra={"reason": str(error)})
                is_unreachable = True
                self._desk.log_is_down(f"The log does not answer: {error}")
                self._desk.pause(back_off_s * random.uniform(0.5, 1))  # noqa: S311
                back_off_s = min(2.0, back_off_s * 2)
            except LogLost as lost:
                self._desk.lose_log(str(lost))
                is_lost = True
            except LogReopened as reopened:
                self._joiner.take_journal(str(reopened), reopened.epoch)
                # Who could have given it is gone, perhaps with the log that said so: see what is left of that.
                self._desk.lose_log(str(reopened))
                self._desk.rejoin.clear()
                is_lost = True

    def _attach(self) -> Reader:
        """Return a reader that begins at the last record applied, once the log's end proved to be behind it."""
        desk = self._desk
        desk.reattach.clear()
        reader = self._log.read_from(self._replica.resume())
        try:
            # The tail is read by a second reader, opened before the marker is published: on a shortened log the
            # resuming reader would never hear anything, and silence must not be taken for the end.
            with closing(self._log.read_from(LAST)) as tail:
                offset = self._await_marker(tail, desk.begin_attach())
                desk.attachment.end_heard(offset, self._replica.last_offset)
        except BaseException:
            reader.close()
            raise
        return reader

    def _await_marker(self, tail: Reader, marker_seq: int) -> int:
        """Return the offset at which the marker came back."""
        deadline_ms = monotonic_ms() + self._desk.config.record_silent_ms_max
        while monotonic_ms() < deadline_ms and not self._desk.stopping.is_set():
            for offset, body in tail.poll(POLL_S):
                with suppress(InvalidRecord):
                    record = records.decode(body)
                    if record.session == self._desk.node.session and record.seq >= marker_seq:
                        return offset
        raise LogUnreachable("a marker of this node's own did not come back through the log")

    def _await_reopening(self) -> None:
        """Read what is left of the log, and what comes, until a record says from where it goes on.

        Raises LogReopened if that is not where this node is.
        """
        desk = self._desk
        desk.reattach.clear()
        self._log.renew()
        with closing(self._log.read_from(FIRST)) as reader:
            desk.begin_attach()
            while not desk.stopping.is_set():
                self._check_doubt()
                self._remember_heard()
                for stored in reader.poll(POLL_S):
                    with suppress(InvalidRecord):
                        record = records.decode(stored.body)
                        self._check_epoch(record)
                        if self._replica.reopens(record):
                            self._replica.resume_before(stored.offset)
                            self._take([stored])
                            return
                        if record.session == desk.node.session:
                            desk.join("")
                            nothing = Delivery(stored.offset, record, None)
                            self._let_out([_Done(nothing, self._replica.state.position, [])])

    def _check_epoch(self, record: Record) -> None:
        """Raise LogReopened if the log was reopened in this node's own epoch, and this node does not know of it.

        Who gave this node up had perhaps never heard of its epoch, and used the number again.
        """
        reopening = records.reopening(record)
        state = self._replica.state
        is_ours = reopening is not None and (record.log_id, record.epoch) == (state.log_id, state.epoch)
        if is_ours and reopening is not None and not self._journal.remembered([reopening.id]):
            raise LogReopened(f"Another history of epoch {record.epoch} stands in the log.", record.epoch)

    def _remember_heard(self) -> None:
        if self._heard_written != self._desk.attachment.highest_heard:
            self._commit([])

    def _check_doubt(self) -> None:
        if self._desk.reattach.is_set():
            raise LogUnreachable("what this node published did not come back through the log")
        if self._desk.rejoin.is_set():
            raise LogReopened("An operator sends this node to its peers.", self._replica.state.epoch)

    def _follow(self, reader: Reader) -> None:
        desk = self._desk
        while not desk.stopping.is_set():
            self._check_doubt()
            if batch := reader.poll(POLL_S):
                self._take(batch)
            else:
                desk.log_drained_ms = monotonic_ms()
                self._remember_heard()
            if desk.recheck.is_set():
                self._recheck()

    def _take(self, batch: Sequence[Stored]) -> None:
        """Apply what was delivered together, commit it, and let out what it answers."""
        self._desk.applying_since_ms = monotonic_ms()
        admitted = [
            (stored, record)
            for stored in batch
            if (record := self._replica.admit(stored.offset, stored.body)) is not None
        ]
        ids = (one for _, record in admitted for operation in record.operations for one in ids_of(operation))
        remembered = self._journal.remembered(ids)
        done: list[_Done] = []
        reopened: LogReopened | None = None
        for (offset, body), record in admitted:
            try:
                delivery = self._replica.deliver(offset, body, record, remembered)
            except LogReopened as error:
                reopened = error  # what came before it is committed first: memory never stays ahead of the disk
                break
            if delivery.change is not None:
                remembered |= {entry.operation.id: entry for entry in delivery.change.entries}
            done.append(_Done(delivery, self._replica.state.position, self._answers(record)))
        applied = [AppliedRecord(offset, record, change) for (offset, record, change), *_ in done if change is not None]
        if applied:
            self._commit(applied)
        self._let_out(done)
        if reopened is not None:
            raise reopened

    def _answers(self, record: Record) -> list[tuple[Read, AccountView | Timeout]]:
        """Answer the reads whose barrier this record is, at its place in the log and under the accounts' locks.

        A read that was let in before the connection broke may meet a log that has lost something since: its barrier
        proves nothing until the log is known to be whole again.
        """
        with self._desk.mutex:
            reads = self._desk.node.barrier(record)
            is_settled = bool(reads) and self._desk.is_settled()
        return [(read, self.look(read.account_id) if is_settled else Timeout()) for read in reads]

    def look(self, account_id: str) -> AccountView:
        """Return the account as the records so far left it. For the applier thread."""
        state = self._replica.state
        with self._locks.hold([account_id]):
            account = copy.copy(state.accounts.get(account_id))
        return AccountView(account_id, account, Token(state.epoch, state.position, state.chain.hex()[:8]), stale=False)

    def _commit(self, applied: list[AppliedRecord]) -> None:
        heard = dict(self._desk.attachment.highest_heard)
        self._journal.commit(applied, self._replica.state, heard)
        self._heard_written = heard

    def _let_out(self, done: list[_Done]) -> None:
        """After the commit: announce the position, complete what waits."""
        desk, node = self._desk, self._desk.node
        completions: list[Completion] = []
        committed = Committed.of(self._replica.state)
        with desk.mutex:
            desk.committed = committed
            desk.attachment.reached(committed.place)
            desk.log_heard_ms = monotonic_ms()
            desk.applying_since_ms = None
            for delivery, position, answers in done:
                record, change = delivery.record, delivery.change
                desk.has_read(record.session, record.seq)
                outcomes = change.outcomes if change else ()
                completions += node.settle(record, outcomes, position)
                for read, view in answers:
                    completions += [Completion(waiter, view) for waiter in node.close_reads([read])]
                if record.session == node.session:
                    desk.returned(record.seq, (committed.epoch, position))
                    desk.metrics.returned(record.seq, timed=change is not None)
            self._replica.live = desk.attachment.at_end
            desk.progress.notify_all()
            desk.work.notify()
        resolve(completions)
        # Behind the answers, for nobody waits for it.
        desk.metrics.applied([(record, change) for (_, record, change), *_ in done if change is not None])

    def _recheck(self) -> None:
        """Others hold something else: recompute one's own digests, and judge."""
        self._desk.recheck.clear()
        problem = self._replica.state_problem() or self._journal.history_problem()
        against = ", ".join(self._replica.contradicting()) or "nobody"
        log.warning("digests recomputed", extra={"reason": problem or "they hold together", "peer": against})
        if problem is not None or self._replica.is_outvoted():
            sentence = f"{problem or 'The digests of this node hold together'}; contradicted by {against}."
            log.critical("diverged", extra={"reason": sentence, "position": self._replica.state.position})
            self._desk.diverge(sentence)
