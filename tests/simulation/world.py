"""A world: machines, customers, the log between them, and whatever a plan lets befall them. One seed, one run.

At the end everything is mended, every request gets its final answer, and then the books are opened: all nodes hold
the same history, that history explains every answer, and a schoolbook bank comes to the same balances.
"""

import json
import logging
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import bank.administration
import bank.applier
import bank.asking
import bank.desk
import bank.joining
import bank.journal
import bank.journal_branch
import bank.journal_copy
import bank.journal_reader
import bank.journal_schema
import bank.publisher
import bank.runtime
import bank.watch
import locks.accounts
import locks.bakery
import replication.memory
import replication.snapshot
from bank.config import Config
from bank.errors import BankError
from bank.journal_branch import entries_after_fork
from bank.journal_check import record_at
from bank.journal_copy import FILE_NAME
from bank.operations import Batch, CustomerOperation
from bank.sqlite import connect
from bank.views import Answer, Consistency
from bank.waiting import Completion
from tests.judge.verdict import judge
from tests.simulation.customers import ACCOUNTS, Customer
from tests.simulation.history import History
from tests.simulation.machine import Machine
from tests.simulation.network import Bus, Store
from tests.simulation.plan import FAULTS_UNTIL_S, Event, Plan
from tests.simulation.primitives import Primitives
from tests.simulation.scheduler import Life, S, Scheduler
from tests.support.naive import NaiveBank, entries_of

__all__ = ["Verdict", "Violation", "World"]

HEALED_S_MAX = 150.0
OPERATOR_AFTER_S = 25.0
"""How long an operator lets the bank mend itself."""
_SIMULATED = (
    bank.administration, bank.applier, bank.asking, bank.desk, bank.joining, bank.journal_copy, bank.journal_reader,
    bank.publisher, bank.runtime, bank.watch, locks.accounts, locks.bakery, replication.memory, replication.snapshot,
)  # fmt: skip


class Violation(AssertionError):  # noqa: N818 - what the run looks for
    """The bank broke a promise."""


class Verdict:
    """What a run came to."""

    def __init__(self, digest: str, history: History, *, was_operated: bool, virtual_s: float, switches: int) -> None:
        self.digest = digest
        """Of every decision and event: the same for the same seed."""
        self.history = history
        self.was_operated = was_operated
        self.virtual_s = virtual_s
        self.switches = switches


class World:
    """Run it once."""

    def __init__(self, seed: int, plan: Plan) -> None:
        """Make everything; nothing runs yet."""
        self.seed = seed
        self.plan = plan
        self.draw = random.Random(f"world {seed}")
        self.draw_shared_disk = plan.shared_disk
        self.draw_leisure_s = plan.leisure_s
        self.scheduler = Scheduler(seed, plan.restlessness)
        self.note = self.scheduler.note
        self.is_healing = False
        self.asked: list[CustomerOperation | Batch] = []
        """What customers asked for so far: some of it they ask for again."""
        self.was_operated = False
        self.went_on_without: set[str] = set()
        """Nodes that were silent for so long that others went on, on a log that had lost what only these had."""
        self.history = History(self.scheduler)

    # --- the frame -----------------------------------------------------------------------------------------------

    def run(self) -> Verdict:
        """Run to the end. Raises Violation, or whatever else a bug raises."""
        with ExitStack() as around:
            self.folder = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="simulation-", dir=_memory())))
            around.enter_context(Primitives(self.scheduler, self.seed).installed(dict(enumerate(_SIMULATED))))
            around.enter_context(self._smaller_and_stepping())
            around.enter_context(self._listening())
            self.store = Store(self.scheduler)
            self.bus = Bus()
            self.machines: list[Machine] = []
            self.by_name: dict[str, Machine] = {}
            self.by_address: dict[str, Machine] = {}
            for _ in range(self.plan.machines):
                self._add_machine(join_only=False)
            self.scheduler.spawn("director", self._direct)
            try:
                self.scheduler.run()
            finally:
                self._bury()
        return Verdict(
            self.scheduler.digest(), self.history, was_operated=self.was_operated,
            virtual_s=self.scheduler.now_ns / S, switches=self.scheduler.switches,
        )  # fmt: skip

    def check(self, holds: object, sentence: str) -> None:
        """Raise Violation with this sentence unless it holds."""
        if not holds:
            raise Violation(sentence)

    def _add_machine(self, *, join_only: bool) -> Machine:
        machine = Machine(self, len(self.machines) + 1, join_only=join_only)
        self.machines.append(machine)
        self.by_name[machine.name] = self.by_address[machine.config.addresses[0]] = machine
        return machine

    def _bury(self) -> None:
        """Leave nothing open, whatever happened."""
        for machine in self.machines:
            with suppress(Exception):
                machine.crash()

    @contextmanager
    def _smaller_and_stepping(self) -> Iterator[None]:
        """Make tables small and ticks long, which only cost time here; put steps where threads could be switched."""
        undo: list[tuple[Any, str, Any]] = []

        def replace(place: Any, name: str, value: Any) -> None:
            undo.append((place, name, getattr(place, name)))
            setattr(place, name, value)

        replace(bank.runtime, "open_log", self._open_log)
        replace(bank.runtime, "Peers", self._open_peers)
        replace(bank.runtime, "AccountLocks", partial(locks.accounts.AccountLocks, size=8))
        replace(bank.watch, "TICK_S", 0.1)
        replace(bank.joining, "REPLAYED_MAX", 30)
        for module in (bank.journal, bank.journal_reader, bank.journal_copy, bank.journal_branch):
            replace(module, "connect", self._connect)
        for module in (bank.journal, bank.journal_schema, bank.journal_copy):
            replace(module, "transaction", self._stepping(module.transaction))
        replace(bank.applier, "resolve", self._answering(bank.applier.resolve))
        try:
            yield
        finally:
            for place, name, value in reversed(undo):
                setattr(place, name, value)

    def _open_log(self, config: Config) -> Any:
        return self.by_name[config.node_name].open_log()

    def _open_peers(self, key: str, _stopping: Any) -> Any:
        return next(machine for machine in self.machines if machine.config.cluster_key == key).open_peers()

    def _connect(self, path: Path, **options: Any) -> sqlite3.Connection:
        """Open a SQLite file for the node that runs, which takes its connections with it when it dies."""
        db = connect(path, **options)
        task = self.scheduler.current
        if task is not None and task.life.name in self.by_name:
            self.by_name[task.life.name].connections.append(db)
        return db

    def _at(self, place: str) -> None:
        task = self.scheduler.current
        if task is not None and task.life.name in self.by_name:
            self.by_name[task.life.name].at(place)

    def _answering(self, resolve: Callable[[list[Completion]], None]) -> Callable[[list[Completion]], None]:
        """Check that what is answered as applied is on the disk."""

        def answering(completions: list[Completion]) -> None:
            self._at("before the answers")
            task = self.scheduler.current
            if task is not None and not task.is_dead:
                path = self.by_name[task.life.name].config.node_dir / FILE_NAME
                self._check_on_disk(path, [result for _, result in completions if isinstance(result, Answer)])
            resolve(completions)

        return answering

    def _check_on_disk(self, journal: Path, answers: list[Answer]) -> None:
        if not answers:
            return
        with closing(connect(journal, mode="ro")) as db:
            for answer in answers:
                is_there = record_at(db, answer.entry.position) is not None
                self.check(is_there, f"{answer} is told, and not on the disk")

    def _stepping(self, transaction: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def stepping(db: sqlite3.Connection) -> Iterator[None]:
            self._at("before a transaction")
            with transaction(db):
                yield
                self._at("before its commit")
            self._at("after its commit")

        return stepping

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Put what the nodes log into the trace; some of it they must never log."""
        ear = _Ear(self)
        loggers = [logging.getLogger(name) for name in ("bank", "replication")]
        before = [(logger.level, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.addHandler(ear)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, (level, propagate) in zip(loggers, before, strict=True):
                logger.removeHandler(ear)
                logger.setLevel(level)
                logger.propagate = propagate

    # --- the course of events ------------------------------------------------------------------------------------

    def _direct(self) -> None:
        scheduler = self.scheduler
        for machine in self.machines:
            scheduler.sleep(self.draw.random())
            machine.start()
        customers = [Customer(self, number) for number in range(self.plan.customers)]
        life = Life("customers")
        tasks = [scheduler.spawn(f"customer {place}", customer.run, life) for place, customer in enumerate(customers)]
        for event in self.plan.events:
            scheduler.spawn("fate", partial(self._befall, event))
        scheduler.sleep(FAULTS_UNTIL_S + 4)
        self._heal()
        for task in tasks:
            self.check(scheduler.join(task, HEALED_S_MAX * 2), f"{task.name} is not done")
        self._come_together()
        self._read_everything(customers[0])
        self._open_the_books()
        scheduler.finish()

    def _befall(self, event: Event) -> None:  # noqa: C901, PLR0912 - a table of faults
        scheduler = self.scheduler
        machine = self.machines[event.machine]
        scheduler.sleep(event.at_s)
        if self.is_healing:
            return
        self.note(f"fault: {event}")
        match event.kind, event.details:
            case "crash", (float(for_s),):
                machine.crash()
                self._start_later(for_s, [machine])
            case "crash at", (float(for_s), str(place)):
                machine.crash_at = place
                scheduler.sleep(for_s)
                if machine.crash_at and not self.is_healing:
                    machine.crash()
                self._start_later(for_s, [machine])
            case "crash all", (float(for_s),):
                for one in self.machines:
                    one.crash()
                self._start_later(for_s, self.machines)
            case "stop", (float(for_s),):
                machine.stop()
                self._start_later(for_s, [machine])
            case "pause", (float(for_s),):
                if machine.life is not None:
                    machine.life.paused_until_ns = scheduler.now_ns + int(for_s * S)
            case (("log link" | "presence link" | "peer link"), (float(for_s), str(state))):
                link = getattr(machine, event.kind.replace(" ", "_"))
                link.state = state
                scheduler.sleep(for_s)
                link.state = "up"
            case "clock", (float(seconds),):
                machine.clock_offset_ns = int(seconds * S)
                if machine.life is not None:
                    machine.life.clock_offset_ns = machine.clock_offset_ns
            case "append", faults:
                if machine.log is not None:
                    machine.log.faults.extend(faults)
            case "join", _:
                if len(self.machines) < 5:
                    self._add_machine(join_only=True).start()
            case "disk", (float(for_s),):
                machine.crash()
                _empty(machine.config.node_dir)
                self._start_later(for_s, [machine])
            case "fork", (float(for_s), int(lost)):
                self._fork(machine, for_s, lost)
            case "cut", (int(records),):
                self.store.lose(records)
            case "wipe", _:
                self.store.lose(self.store.length)

    def _fork(self, machine: Machine, for_s: float, lost: int) -> None:
        """Let one node alone hear the end of the log, and let the log lose that while the node is down."""
        others = [other for other in self.machines if other is not machine]
        for other in others:
            other.log_link.state = "silent"
        self.scheduler.sleep(1.5)
        if not self.is_healing:
            machine.crash()
            self.store.lose(lost)
        for other in others:
            other.log_link.state = "up"
        self._start_later(for_s, [machine])

    def _start_later(self, after_s: float, machines: list[Machine]) -> None:
        self.scheduler.sleep(after_s)
        for machine in machines:
            machine.start()

    # --- mending -------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """Mend what was broken and wait until the bank runs everywhere; an operator helps if it takes long."""
        self.note("healing")
        self.is_healing = True
        for machine in self.machines:
            machine.log_link.state = machine.presence_link.state = machine.peer_link.state = "up"
            machine.crash_at = ""
            machine.clock_offset_ns = 0
            if machine.log is not None:
                machine.log.faults.clear()
            if machine.life is not None:
                machine.life.paused_until_ns = machine.life.clock_offset_ns = 0
            machine.start()
        began_ns = self.scheduler.now_ns
        while not self._is_well():
            waited_s = (self.scheduler.now_ns - began_ns) / S
            self.check(
                waited_s < HEALED_S_MAX, f"not healed: {self._states()} {[path.name for path in self._branches()]}"
            )
            if waited_s > OPERATOR_AFTER_S:
                self._operate()
            self.scheduler.sleep(1)

    def _states(self) -> dict[str, str]:
        found = {}
        for machine in self.machines:
            try:
                health = machine.ask(lambda bank: bank.health(), 5)
                found[machine.name] = f"{health.state} {health.reasons}" if health.reasons else health.state
            except (BankError, ConnectionError) as error:
                found[machine.name] = f"{type(error).__name__} {error}"
        return found

    def _is_well(self) -> bool:
        return set(self._states().values()) == {"pronto"} and not self._branches()

    def _branches(self) -> list[Path]:
        return [path for machine in self.machines for path in machine.config.node_dir.glob("ramo-*")]

    def _operate(self) -> None:
        """Do what the handbook says: send a node that lost the log to its healthy peers; else reopen the log."""
        states = {name: state.split()[0] for name, state in self._states().items()}
        lost = [name for name, state in states.items() if state == "livro_perdido"]
        for name in lost:
            self.was_operated = True
            self.note(f"operator at {name}")
            with suppress(BankError, ConnectionError):
                if "pronto" in states.values():
                    self.by_name[name].ask(lambda bank: bank.administration.rejoin(), 5)
                else:
                    self.by_name[name].ask(lambda bank: bank.administration.reopen([]), 15)
                    return

    def _come_together(self) -> None:
        """Wait until all nodes have committed the same place, with nothing on the way."""
        until_ns = self.scheduler.now_ns + int(60 * S)
        while len({self._place(machine) for machine in self.machines}) > 1 or not self._is_well():
            places = {machine.name: str(self._place(machine)) for machine in self.machines}
            self.check(self.scheduler.now_ns < until_ns, f"nodes stay apart: {places} {self._states()}")
            self.scheduler.sleep(0.5)

    def _place(self, machine: Machine) -> Any:
        try:
            return machine.ask(lambda bank: bank.token(), 5)
        except (BankError, ConnectionError):
            return machine.name

    def note_who_is_left_behind(self, name: str) -> None:
        """A node begins to accept writes, on a log that lost something: whoever is further on is left behind."""
        if self.store.lives:
            place = self.by_name[name].place
            self.went_on_without |= {machine.name for machine in self.machines if machine.place > place}

    # --- the verdict ---------------------------------------------------------------------------------------------

    def _read_everything(self, customer: Customer) -> None:
        until_ns = self.scheduler.now_ns + 60 * S
        for machine in self.machines:
            for account in ACCOUNTS:
                while not customer.read(account, machine.name, Consistency.STRONG, final=True):
                    self.check(self.scheduler.now_ns < until_ns, f"{machine.name} did not show account {account}")
                    self.scheduler.sleep(0.5)

    def _open_the_books(self) -> None:
        """Compare the nodes' journals with one another, with a schoolbook bank, and with every answer."""
        digests = set()
        for machine in self.machines:
            books = machine.ask(lambda bank: bank.history.books(), 5)
            self.check(books.agree, f"{machine.name}: the books do not agree")
            digests.add((books.token, books.chain, books.digest))
            problem = machine.ask(lambda bank: bank._journal.history_problem(), 5)
            self.check(problem is None, f"{machine.name}: {problem}")
        self.check(len(digests) == 1, f"the nodes hold different things: {digests}")
        entries = entries_of(self.machines[0].config.node_dir / "diario.sqlite")
        self.check(len({entry["id"] for entry in entries}) == len(entries), "an operation was applied twice")
        naive = NaiveBank().replay_entries(entries)
        shown = {account: self._balance(account) for account in ACCOUNTS}
        self.check(shown == {account: naive.balances.get(account) for account in ACCOUNTS}, f"balances {shown}")
        came_home = self._came_home()
        self.history.explain(naive, came_home=came_home, excused=self._excused(), check=self.check)
        if not came_home and not self.went_on_without:
            judge(self.history.judged())

    def _balance(self, account: str) -> int | None:
        found = self.machines[0].ask(lambda bank: bank.history.account(account), 5)
        return found.balance_cents if found else None

    def _came_home(self) -> set[str]:
        """Return the operations that a log lost and that were proposed again: their turn has changed."""
        journals = [
            (path, machine.config.node_dir / "diario.sqlite")
            for machine in self.machines
            for path in machine.config.node_dir.glob("antigo-*.sqlite")
        ]
        return {entry.operation.id for old, new in journals for entry in entries_after_fork(old, new)}

    def _excused(self) -> set[str]:
        """Return the operations whose answers no longer hold, as the nodes themselves wrote down for an operator."""
        reports = [path for machine in self.machines for path in machine.config.node_dir.glob("antigo-*.jsonl")]
        lines = [json.loads(line) for report in reports for line in report.read_text().splitlines()]
        return {line["antes"]["operation"]["id"] for line in lines}


class _Ear(logging.Handler):
    """Hears what nodes log."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        task = self._world.scheduler.current
        name = task.life.name if task else "nobody"
        keys = ("reason", "state", "position", "epoch", "peer", "file", "operations", "thread_name")
        extras = {key: value for key in keys if (value := getattr(record, key, None)) is not None}
        self._world.note(f"{name}: {record.getMessage()} {extras}")
        if record.getMessage() == "state changed" and record.state == "pronto":
            self._world.note_who_is_left_behind(name)
        if record.getMessage() == "reopening the log" and not self._world.was_operated:
            gone = [machine.name for machine in self._world.machines if machine.is_long_gone()]
            self._world.check(not gone, f"{name} reopens the log by itself, without {gone}")
        if record.getMessage() in {"thread died", "diverged", "node must not go on"}:
            error = record.exc_info[1] if record.exc_info else None
            raise Violation(f"{name}: {record.getMessage()} {extras}") from error


def _empty(folder: Path) -> None:
    for path in folder.glob("*"):
        path.unlink()


def _memory() -> str | None:
    """Return a folder in memory, if there is one: what a disk forgets in a power cut is not what is simulated."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
