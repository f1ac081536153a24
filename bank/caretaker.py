"""The caretaker thread: chores that may take long and that nobody waits for.

It counts now and then on how many brokers the log lies, for one that is short of replicas looks well until it fails;
and it brings home what a replaced journal had and the bank has not (`bank/branches.py`).
"""

import logging

from bank.branches import Branches
from bank.desk import Desk, monotonic_ms
from replication.log import Log

__all__ = ["Caretaker"]

log = logging.getLogger(__name__)

COUNT_MS = 30_000
PAUSE_S = 1.0


class Caretaker:
    """Does its round every second."""

    def __init__(self, desk: Desk, livro: Log, branches: Branches) -> None:
        """Look after `livro` and `branches` for `desk`."""
        self._desk = desk
        self._log = livro
        self._branches = branches
        self._count_after_ms = 0

    def run(self) -> None:
        """Go round until the node stops."""
        while not self._desk.stopping.is_set():
            with self._desk.mutex:
                is_ready = self._desk.condition().state == "pronto"
            if is_ready:
                self._branches.bring_home()
            if self._desk.attached_once and monotonic_ms() >= self._count_after_ms:
                self._count()
            self._desk.pause(PAUSE_S)

    def _count(self) -> None:
        replicas = self._log.replicas()
        if replicas != self._desk.replicas:
            log.info("replicas counted", extra={"held": replicas.held, "brokers": replicas.brokers})
        self._desk.replicas = replicas
        self._count_after_ms = monotonic_ms() + COUNT_MS
