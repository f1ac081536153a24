"""Branches: journals that held more than the history which the bank went on with.

What a node had answered as applied is proposed again, by id and in the old order; what it had refused is entered as
refused and never executed. Where the new history says otherwise, that is written down for an operator, beside the
old journal, which is kept. Interrupted, it begins again: ids make every step repeatable.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import UNSET

from bank.asking import outcomes_of
from bank.desk import Desk
from bank.entries import Entry
from bank.errors import JournalFailed, NotAccepted, OutcomeUnknown
from bank.journal_branch import entries_after_fork
from bank.journal_copy import BRANCH, FILE_NAME, sync
from bank.operations import Applied, Batch, CustomerOperation, Operation, Rejected, Uphold, is_same
from bank.views import Answer

__all__ = ["REPORT", "Branches"]

log = logging.getLogger(__name__)

REPORT = "antigo-*.jsonl"
"""What a customer was told and the bank does not hold any more; one operation a line."""
CHUNK = 500


class Branches:
    """The branches in one node's folder."""

    def __init__(self, desk: Desk, folder: Path, entry_of: Callable[[str], Entry | None]) -> None:
        """`entry_of` returns what the journal remembers of an operation id."""
        self._desk = desk
        self._folder = folder
        self._entry_of = entry_of

    def bring_home(self) -> None:
        """Propose what the branches have and the bank has not; put those aside of which all is settled.

        Returns early if the node accepts nothing just now: the next call goes on.
        """
        waiting = ""
        for branch in sorted(self._folder.glob(BRANCH)):
            try:
                why = self._bring(branch)
            except JournalFailed as error:
                why = str(error)
            if why:
                waiting = f"{branch.name}, answered and not in the bank: {why}"
                break
        if waiting != self._desk.branch:
            log.warning("branch waits", extra={"reason": waiting})
        self._desk.branch = waiting

    def _bring(self, branch: Path) -> str:
        """Bring one branch home; return why it has to wait, if it has."""
        lost = _business(entries_after_fork(branch, self._folder / FILE_NAME))
        count, differing = 0, []
        while chunk := list(islice(lost, CHUNK)):
            if why := self._settle(chunk):
                return why
            count += len(chunk)
            differing += [entry for entry in chunk if self._differs(entry)]
        self._put_aside(branch, differing)
        log.warning(
            "branch brought home", extra={"file": branch.name, "operations": count, "differing": len(differing)}
        )
        return ""

    def _settle(self, chunk: Iterable[Entry]) -> str:
        """Have the bank remember every one of these operations; return what is in the way, if anything is."""
        try:
            asked = self._desk.submit(list(self._missing(chunk)))
        except (NotAccepted, OutcomeUnknown) as error:
            return str(error)
        outcomes = outcomes_of(asked, self._desk.config.request_deadline_ms / 1000 + 1)
        return next((str(outcome) for outcome in outcomes if not isinstance(outcome, Answer)), "")

    def _missing(self, chunk: Iterable[Entry]) -> Iterator[Operation]:
        for entry in chunk:
            if self._entry_of(entry.operation.id) is None:
                yield _again(entry)

    def _differs(self, entry: Entry) -> bool:
        now = self._entry_of(entry.operation.id)
        if now is None or not is_same(now.operation, entry.operation):
            return True
        return isinstance(now.outcome, Rejected) != isinstance(entry.outcome, Rejected)

    def _put_aside(self, branch: Path, differing: list[Entry]) -> None:
        aside = branch.with_name(branch.name.replace("ramo-", "antigo-", 1))
        if differing:
            report = aside.with_suffix(".jsonl")
            lines = [{"antes": entry, "agora": self._entry_of(entry.operation.id)} for entry in differing]
            report.write_bytes(b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
            sync(report)
            sync(self._folder)  # the report is there before the branch is put aside
            log.critical("answers that no longer hold", extra={"file": str(report), "operations": len(differing)})
        branch.rename(aside)
        sync(self._folder)


def _business(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield what customers asked for: nothing of the log's own, which is its history, and no part of a batch."""
    for entry in entries:
        if isinstance(entry.operation, CustomerOperation | Batch):
            yield entry
        if isinstance(entry.operation, Batch) and isinstance(entry.outcome, Applied):
            for _ in entry.operation.parts:
                next(entries)  # it stands behind the batch, and comes again with it


def _again(entry: Entry) -> Operation:
    operation, outcome = entry.operation, entry.outcome
    if isinstance(outcome, Rejected) and isinstance(operation, CustomerOperation | Batch):
        index = UNSET if outcome.index is None else outcome.index
        return Uphold(operation.id, operation, outcome.reason, index)
    return operation
