"""The runtime: one node's threads around its parts, and what request threads may ask of them.

| thread    | alone owns                                   | reached by others through            |
|-----------|----------------------------------------------|--------------------------------------|
| publisher | the log's `append`                           | the desk's queue                     |
| applier   | journal writer, account state, log reader    | futures, the bakery locks            |
| watchdog  | nothing; answers at deadlines, notices       | -                                    |
| herald    | the presence transport                       | the desk's table of peers            |
| caretaker | branches: journals that were replaced        | -                                    |

The way in is `submit` and `read_account`; the parts are built by `open_runtime`.
"""

import copy
import enum
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from functools import partial

from bank import report
from bank.administration import Administration
from bank.applier import Applier
from bank.asking import outcomes_of
from bank.backends import open_log
from bank.branches import Branches
from bank.caretaker import Caretaker
from bank.committed import Committed
from bank.config import Config
from bank.desk import Desk
from bank.errors import (
    JournalReplaced,
    LogUnavailable,
    NotAccepted,
    NotReady,
    OutcomeUnknown,
    Overloaded,
    PositionAbandoned,
    PositionNotReached,
    StartRefused,
)
from bank.feed import Feed
from bank.gauges import Gauges
from bank.joining import Joiner
from bank.journal import Journal, has_history
from bank.journal_copy import copy_journal
from bank.journal_reader import JournalReader
from bank.operations import Operation
from bank.publisher import Publisher
from bank.replica import Marks, Replica
from bank.views import AccountView, Answer, Consistency, Health, LogView, NodeView, Token
from bank.watch import Herald, Watchdog
from locks.accounts import AccountLocks
from locks.bakery import ThreadSlots
from replication.log import Log
from replication.presence import Presence
from replication.snapshot import Peers, Shelf

__all__ = ["Ending", "Runtime", "open_runtime"]

log = logging.getLogger(__name__)

POSITION_WAIT_MS = 2_000


class Ending(enum.Enum):
    """Why the process must end."""

    FAILED = "failed"
    BEGIN_ANEW = "begin anew"


def open_runtime(config: Config, on_end: Callable[[Ending], None]) -> "Runtime":
    """Build the node that `config` describes, on the log that it names. Raises StartRefused.

    `on_end` is called, from any thread, when the process must end.
    """
    journal = Journal(config.node_dir)
    try:
        livro, presence = open_log(config)
        return Runtime(config, journal, livro, presence, on_end)
    except BaseException:
        journal.close()
        raise


class Runtime:
    """One node. Start it once, stop it once."""

    def __init__(
        self, config: Config, journal: Journal, livro: Log, presence: Presence, on_end: Callable[[Ending], None]
    ) -> None:
        """Load the journal, checking it, and put the parts together. Nothing runs yet. Raises StartRefused."""
        journal.attach(node=config.node_name, log=livro.identity)
        state = journal.load()
        last = journal.record(state.position)
        self.config = config
        self._journal = journal
        self.history = JournalReader(config.node_dir)
        """Pages of accounts, statements, outcomes and books, as committed."""
        self._log = livro
        self._presence = presence
        self._on_end = on_end
        session = secrets.token_hex(8)
        self._desk = Desk(config, session=session, committed=Committed.of(state), heard=journal.heard())
        self.metrics = metrics = self._desk.metrics
        self._slots = ThreadSlots(config.threads + 32)
        self._locks = AccountLocks(self._slots, waited=metrics.applier_waited, reader_waited=metrics.reader_waited)
        self._replica = Replica(
            node=config.node_name,
            state=state,
            last_offset=last.offset if last else 0,
            last_checksum=last.checksum if last else b"",
            marks_at=self._marks_at,
            hold=self._locks.hold,
        )
        self._position_waiters = threading.BoundedSemaphore(max(1, config.threads // 4))
        """So that tokens of a far future cannot hold all request threads."""
        if presence.spans_machines:
            self._desk.listen_first()
        metrics.registry.register(Gauges(self._desk, self._replica, self.health, journal.path))
        self.feed = Feed(self._desk, self.history)
        publisher = Publisher(self._desk, livro)
        self.administration = Administration(self._desk, publisher, self.history.record)
        self.shelf = Shelf(config.node_dir, partial(copy_journal, journal.path))
        watchdog = Watchdog(self._desk, publisher, self.administration, histories=self._histories)
        herald = Herald(self._desk, presence, self._replica)
        self.peers = Peers(config.cluster_key, self._desk.stopping)
        joiner = Joiner(self._desk, config.node_dir, self.peers)
        branches = Branches(self._desk, config.node_dir, self.history.entry)
        parts: dict[str, Publisher | Applier | Watchdog | Herald | Caretaker] = {
            "publisher": publisher,
            "applier": Applier(self._desk, livro, journal, self._replica, self._locks, joiner),
            "watchdog": watchdog,
            "herald": herald,
            "caretaker": Caretaker(self._desk, livro, branches),
        }
        self._threads = {
            name: threading.Thread(target=partial(self._guard, name, part.run), name=name, daemon=True)
            for name, part in parts.items()
        }

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads.values():
            thread.start()

    def stop(self) -> None:
        """Accept nothing more, let what is on its way come back, answer the rest, and end, within `stop_ms_max`."""
        desk = self._desk
        desk.stopping.set()
        with desk.mutex:
            desk.work.notify_all()
            desk.progress.notify_all()
            desk.progress.wait_for(lambda: desk.node.is_idle, self.config.stop_ms_max * 0.6 / 1000)
        desk.fail("The node is stopping.")
        for thread in self._threads.values():
            if thread.ident is not None:
                thread.join(self.config.stop_ms_max * 0.08 / 1000)
        self._log.close()
        self._presence.close()
        self.history.close()
        self._journal.close()

    def _guard(self, name: str, run: Callable[[], None]) -> None:
        """Run a thread's loop; its death stops writes, and is seen in the node's health."""
        try:
            run()
        except JournalReplaced as replaced:
            log.warning("beginning anew", extra={"reason": str(replaced)})
            self._desk.fail(str(replaced))
            self._on_end(Ending.BEGIN_ANEW)
        except StartRefused as refused:
            log.critical("node must not go on", extra={"reason": str(refused)})
            self._desk.fail(str(refused))
            self._on_end(Ending.FAILED)
        except Exception:
            log.critical("thread died", extra={"thread_name": name}, exc_info=True)
            position = self._desk.committed.position
            self._desk.fail(f"The {name} thread died after position {position}; see the node's log.")

    # --- what customers ask --------------------------------------------------------------------------------------

    def submit(self, operation: Operation) -> Answer:
        """Have the operation applied and return what became of it, from the log and on this node's disk.

        Raises NotAccepted if this attempt did nothing, OutcomeUnknown if it may have been applied.
        """
        [result] = self.submit_all([operation])
        if not isinstance(result, Answer):
            raise result
        return result

    def submit_all(self, operations: Sequence[Operation]) -> list[Answer | NotAccepted | OutcomeUnknown]:
        """Have the operations applied in their order; return what became of each.

        Raises NotAccepted, or OutcomeUnknown if earlier attempts may have been applied, if none was let in.
        """
        return outcomes_of(self._desk.submit(operations), self.config.request_deadline_ms / 1000 + 1)

    def read_account(self, account_id: str, consistency: Consistency) -> AccountView:
        """Return the account. Raises NotReady, Diverged, LogUnavailable."""
        with self._desk.mutex:
            state, refusal = self._desk.condition()
            knows_bank = self._desk.attached_once and bool(self._desk.committed.log_id)
            is_settled = self._desk.is_settled()
        if state == "divergente" and refusal is not None:
            raise refusal
        log_is_down = state in {"sem_livro", "livro_perdido", "entrando", "falha", "parando"}
        if not (self._desk.committed.position if log_is_down else knows_bank):
            raise NotReady("The node has not read the log to its end yet, or there is no bank in it.")
        # A log that may have lost what another node has does not bring the latest, though it brings something.
        is_doubtful = log_is_down or not is_settled
        if consistency is Consistency.LOCAL:
            return self._look(account_id, stale=is_doubtful)
        if is_doubtful:
            if consistency is Consistency.STRONG:
                raise LogUnavailable(str(refusal))
            return self._look(account_id, stale=True)
        is_strong = consistency is Consistency.STRONG
        deadline_ms = self.config.strong_read_deadline_ms if is_strong else self.config.read_deadline_ms
        # The watchdog answers at the deadline; should it be dead, nobody waits for ever.
        [result] = self._desk.read(account_id, deadline_ms).wait(deadline_ms / 1000 + 1)
        if isinstance(result, AccountView):
            return result
        if is_strong:
            raise LogUnavailable("The log did not answer in time.")
        return self._look(account_id, stale=True)

    def _look(self, account_id: str, *, stale: bool) -> AccountView:
        """Read the account in memory under its lock, then wait until what was seen is on the disk."""
        desk = self._desk
        if desk.troubles.failure:
            # Memory may have stopped in the middle of a record: what was committed is whole.
            return AccountView(account_id, self.history.account(account_id), desk.committed.token, stale=True)
        with self._locks.hold_as_reader(account_id, timeout=POSITION_WAIT_MS / 1000):
            account = copy.copy(self._replica.state.accounts.get(account_id))
            position = self._replica.state.position
        if not desk.wait_committed(position, POSITION_WAIT_MS):
            raise NotReady("The journal does not keep up.")
        return AccountView(account_id, account, desk.committed.token, stale=stale)

    def wait_for(self, minimum: Token) -> None:
        """Wait until this node is at that place of the history.

        Raises PositionNotReached, PositionAbandoned, or Overloaded if too many requests wait already.
        """
        if self._desk.committed.position < minimum.position:
            self._await_position(minimum.position)
        marks = self._marks_at(minimum.position)
        if minimum.position and (marks is None or not marks.chain.hex().startswith(minimum.chain)):
            raise PositionAbandoned(f"Another history stands at position {minimum.position}.")

    def _await_position(self, position: int) -> None:
        if not self._position_waiters.acquire(blocking=False):
            raise Overloaded("Too many requests wait for a position already.")
        try:
            if not self._desk.wait_committed(position, POSITION_WAIT_MS):
                raise PositionNotReached(f"This node is at position {self._desk.committed.position}.")
        finally:
            self._position_waiters.release()

    def token(self) -> Token:
        """Return this node's place in the history."""
        return self._desk.committed.token

    # --- what the journal tells ----------------------------------------------------------------------------------

    def _marks_at(self, position: int) -> Marks | None:
        row = self.history.record(position)
        return Marks(row.chain, row.digest) if row else None

    def _histories(self) -> list[str]:
        """Return the names of other nodes of this folder whose journals have applied anything."""
        folders = (path for path in self.config.data_dir.iterdir() if path.is_dir())
        return [folder.name for folder in folders if folder.name != self.config.node_name and has_history(folder)]

    # --- what the node tells of itself ---------------------------------------------------------------------------

    def health(self) -> Health:
        """Return whether the node lives and accepts writes, and if not, why."""
        if (abandoned := self._slots.abandoned()) is not None:
            self._desk.fail(f"Thread {abandoned} ended inside a lock of accounts, which nobody can enter any more.")
        threads = {name: thread.is_alive() for name, thread in self._threads.items()}
        return report.health(self._desk, self._replica, threads=threads)

    def log_view(self) -> LogView:
        """Return the log in use and its state."""
        return report.log_view(self._desk, kind=self._log.kind)

    def agreement(self) -> dict[str, bool]:
        """Return, of each other node, whether what it last said of a place in the history is so here too."""
        return self._replica.agreement()

    def nodes(self) -> list[NodeView]:
        """Return this node and those it has heard of lately, by name."""
        return report.nodes(self._desk)
