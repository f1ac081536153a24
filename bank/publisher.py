"""The publisher thread: packs what waits into one record, publishes it, and meanwhile the next one gathers.

That is group commit: throughput grows with load while an idle bank answers at once. A failed publish settles
nothing; the record may be in the log all the same, and the applier will see.
"""

import logging
import random
import time

from bank.desk import Desk, clock_ms, monotonic_ms
from bank.errors import LogLost, LogUnreachable
from bank.operations import Genesis, Reopen
from bank.waiting import Packed
from replication.log import Log

__all__ = ["Publisher"]

log = logging.getLogger(__name__)

BACK_OFF_S_MAX = 2.0
TEND_S = 1.0


class Publisher:
    """Owns the log's `append`."""

    def __init__(self, desk: Desk, livro: Log) -> None:
        """Publish what waits at `desk` to the log."""
        self._desk = desk
        self._log = livro
        self.beginning: Genesis | Reopen | None = None
        """Set under the desk's mutex when this node may begin the log, or reopen it; the next record takes it."""

    def run(self) -> None:
        """Publish until the node stops and nothing waits."""
        back_off_s = 0.0
        while not self._is_done():
            self._desk.pause(back_off_s)
            packed = self._next()
            try:
                if packed is None:
                    self._log.tend()
                    continue
                self._desk.metrics.publishing(packed.seq)
                self._log.append(packed.body)
                back_off_s = 0.0
            except LogUnreachable as error:
                if not back_off_s:  # else it was said, and nothing has gone out since
                    log.warning("publish failed", extra={"reason": str(error)})
                self._desk.log_is_down(f"The log does not answer: {error}")
                self._desk.reattach.set()
                back_off_s = min(BACK_OFF_S_MAX, max(0.05, back_off_s * 2)) * random.uniform(0.5, 1)  # noqa: S311
            except LogLost as lost:
                self._desk.lose_log(str(lost))
                self._desk.reattach.set()  # the applier finds out for itself

    def _is_done(self) -> bool:
        with self._desk.mutex:
            return self._desk.stopping.is_set() and self._desk.node.is_idle

    def _next(self) -> Packed | None:
        """Return the next record as soon as there is work; None if there is none for a while."""
        desk = self._desk
        idle_at = time.monotonic() + TEND_S
        with desk.mutex:
            while time.monotonic() < idle_at and not (desk.stopping.is_set() and desk.node.is_idle):
                allowed = desk.may_publish()
                if self.beginning is not None or desk.node.has_work(now_ms=monotonic_ms(), operations_allowed=allowed):
                    return self._pack(operations_allowed=allowed)
                desk.work.wait(0.1)
        return None

    def _pack(self, *, operations_allowed: bool) -> Packed:
        node, head, now_ms, instant_ms = self._desk.node, self._desk.head(), monotonic_ms(), clock_ms()
        if self.beginning is not None:
            beginning, self.beginning = self.beginning, None
            return node.pack_beginning(beginning, head, now_ms=now_ms, instant_ms=instant_ms)
        return node.pack(now_ms=now_ms, instant_ms=instant_ms, head=head, operations_allowed=operations_allowed)
