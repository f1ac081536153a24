"""Planted bugs: one change of the product each, and the tests that must not let it pass.

`old` stands exactly once in its file. A change that no test notices says that a promise is not tested.
"""

from typing import NamedTuple

__all__ = ["MUTANTS", "Mutant"]


class Mutant(NamedTuple):
    """One planted bug."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant(
        "no deduplication",
        "bank/ledger.py",
        "if (first := known.get(operation.id)) is not None:",
        "if (first := known.get(operation.id)) is not None and False:",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "no deduplication across one delivery",
        "bank/applier.py",
        "remembered |= {entry.operation.id: entry for entry in delivery.change.entries}",
        "pass",
        "tests/unit/test_applier.py",
    ),
    Mutant(
        "answered before the commit",
        "bank/applier.py",
        "        if applied:\n            self._commit(applied)\n        self._let_out(done)",
        "        self._let_out(done)\n        if applied:\n            self._commit(applied)",
        "tests/unit/test_applier.py",
    ),
    Mutant(
        "position committed before the entries",
        "bank/journal.py",
        "        with self._disk(), transaction(self._db):\n            self._db.executemany(_INSERT_ENTRY",
        "        with self._disk(), transaction(self._db):\n"
        "            self._db.execute(_PUT_STATE, _state_row(state))\n"
        "        with self._disk(), transaction(self._db):\n            self._db.executemany(_INSERT_ENTRY",
        "tests/unit/test_applier.py",
    ),
    Mutant(
        "attached after the last position instead of at it",
        "bank/replica.py",
        "        return self.last_offset\n\n    def resume_before",
        "        self._resuming = False\n        return self.last_offset + 1\n\n    def resume_before",
        "tests/unit/test_replica.py",
    ),
    Mutant(
        "the end of the log believed wherever it is heard",
        "bank/attachment.py",
        "if offset <= last_offset:",
        "if offset < 0:",
        "tests/unit/test_attachment.py",
    ),
    Mutant(
        "what is past the end forgotten",
        "bank/attachment.py",
        "                if place < reached:\n",
        "                if False:\n",
        "tests/unit/test_attachment.py",
    ),
    Mutant(
        "unroutable records taken for stored (no mandatory)",
        "replication/rabbitmq.py",
        "mandatory=True",
        "mandatory=False",
        "tests/faults/test_broker_binding.py",
    ),
    Mutant(
        "the second leg of a transfer is no account of it",
        "bank/operations.py",
        "            return (operation.account_id, operation.counterpart_id)",
        "            return (operation.account_id,)",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "accounts changed outside their locks",
        "bank/replica.py",
        "        with self._hold(name for operation in record.operations for name in accounts_of(operation)):",
        "        with self._hold(accounts_of(record.operations[0])[:1]):",
        "tests/unit/test_replica.py",
    ),
    Mutant(
        "refusals not remembered",
        "bank/ledger.py",
        "entries = list(islice(known.values(), len(remembered), None))",
        "entries = [entry for entry in islice(known.values(), len(remembered), None) "
        "if not isinstance(entry.outcome, Rejected)]",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "refusals forgotten within a record",
        "bank/ledger.py",
        "    known[operation.id] = entry\n",
        "    if not isinstance(outcome, Rejected):\n        known[operation.id] = entry\n",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "limit of the wrong account",
        "bank/ledger.py",
        "if origin.balance_cents + origin.limit_cents < operation.amount_cents:",
        "if origin.balance_cents + destination.limit_cents < operation.amount_cents:",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "a read answered by any record of its node",
        "bank/node.py",
        "        flight = self._flights.get(record.seq)\n        return",
        "        flight = next(iter(self._flights.values()), None)\n        return",
        "tests/unit/test_node.py",
    ),
    Mutant(
        "digest without outcomes",
        "bank/ledger.py",
        "state.chain = digests.chain(state.chain, body_checksum, head, rows)",
        "state.chain = digests.chain(state.chain, body_checksum, head, [])",
        "tests/unit/test_journal.py",
    ),
    Mutant(
        "what waits gathers behind a record that may be lost",
        "bank/node.py",
        "now_ms - flight.packed_ms < GATHER_MS_MAX and (flight.pending or flight.reads)",
        "(flight.pending or flight.reads)",
        "tests/unit/test_node.py",
    ),
    Mutant(
        "genesis race settled locally",
        "bank/replica.py",
        '            return None if _is_genesis(record) else "before genesis"',
        '            return None if _is_genesis(record) and record.node == self.node else "before genesis"',
        "tests/unit/test_replica.py",
    ),
    Mutant(
        "an answer where there is no bank",
        "bank/runtime.py",
        "knows_bank = self._desk.attached_once and bool(self._desk.committed.log_id)",
        "knows_bank = self._desk.attached_once",
        "tests/unit/test_runtime.py",
    ),
    Mutant(
        "a second bank, begun by one that was to join",
        "bank/watch.py",
        "if desk.config.join_only or desk.committed.log_id:",
        "if desk.committed.log_id:",
        "tests/unit/test_watch.py",
    ),
    Mutant(
        "a rebuilding that forgets the tail",
        "bank/caretaker.py",
        "                self._branches.bring_home()",
        "                pass",
        "tests/faults/test_lost_log.py",
    ),
    Mutant(
        "a reopening taken from anywhere",
        "bank/replica.py",
        "if (operation.position, operation.chain) != (state.position, state.chain.hex()):",
        "if operation.position < 0:",
        "tests/unit/test_replica.py",
    ),
    Mutant(
        "a log reopened while a member is away",
        "bank/rebuilding.py",
        "    if peer is None:\n",
        "    if peer is None:\n        return None\n    if peer is None:\n",
        "tests/unit/test_rebuilding.py",
    ),
    Mutant(
        "what was refused is executed after a rebuilding",
        "bank/ledger.py",
        "            return Rejected(operation.reason, None if operation.index is UNSET else operation.index)",
        "            return _execute(state, operation.original, bank, number)",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "a copy believed without its history",
        "bank/journal_copy.py",
        "problem = state_problem(db, state) or history_problem(db)",
        "problem = None",
        "tests/unit/test_journal_copy.py",
    ),
    Mutant(
        "what may have been applied called not applied",
        "bank/node.py",
        "        if self.is_unsettled(pending.operation.id):\n            return Completion(waiter, OutcomeUnknown",
        "        if False:\n            return Completion(waiter, OutcomeUnknown",
        "tests/unit/test_node.py",
    ),
    Mutant(
        "operations published while the log is down",
        "bank/desk.py",
        "if troubles.log_down or troubles.log_lost or",
        "if troubles.log_lost or",
        "tests/unit/test_watch.py",
    ),
    Mutant(
        "another content of the same history passed over",
        "bank/replica.py",
        "agrees=mine == (chain, mine.digest if digest is None else digest)",
        "agrees=mine.chain == chain",
        "tests/unit/test_replica.py",
    ),
    Mutant(
        "the rest of a request sent after a record that may be lost",
        "bank/node.py",
        "return all(earlier.settled or earlier.seq == self.next_seq for earlier in pending.after)",
        "return True",
        "tests/unit/test_node_order.py",
    ),
    Mutant(
        "a batch that is done as far as it goes",
        "bank/ledger.py",
        "        outcome = _execute(trial, part, bank, 0)",
        "        outcome = _execute(state, part, bank, 0)",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "a batch whose parts were done before",
        "bank/ledger.py",
        "        if part.id in known:",
        "        if False:",
        "tests/unit/test_ledger.py",
    ),
    Mutant(
        "a batch in a record that older programs read",
        "bank/records.py",
        "    if record.version < VERSIONS[-1] and any(",
        "    if record.version < 0 and any(",
        "tests/unit/test_records.py",
    ),
    Mutant(
        "parts of a batch brought home alone",
        "bank/branches.py",
        "                next(entries)  # it stands",
        "                break  # it stands",
        "tests/unit/test_branches.py",
    ),
    Mutant(
        "read before the log is known to be whole",
        "bank/runtime.py",
        "is_doubtful = log_is_down or not is_settled",
        "is_doubtful = log_is_down",
        "tests/simulation/test_simulator.py::test_what_was_once_found_stays_mended",
    ),
    Mutant(
        "memory left ahead of the disk by a reopening",
        "bank/applier.py",
        "                reopened = error  # what came",
        "                raise  # what came",
        "tests/unit/test_applier.py",
    ),
    Mutant(
        "an epoch used by two histories",
        "bank/applier.py",
        "if is_ours and reopening is not None and not self",
        "if False and reopening is not None and not self",
        "tests/unit/test_applier.py",
    ),
    Mutant(
        "a copy mixed with what an interrupted one left",
        "bank/joining.py",
        "            left.unlink()",
        "            pass",
        "tests/unit/test_joining.py",
    ),
    Mutant(
        "a journal put aside while it is read",
        "bank/journal_copy.py",
        "    if is_busy:",
        "    if False:",
        "tests/unit/test_journal_copy.py",
    ),
    Mutant(
        "reopened from a shorter history than a newcomer's",
        "bank/rebuilding.py",
        "if (heard.epoch, heard.position) > place:",
        "if False:",
        "tests/unit/test_rebuilding.py",
    ),
    Mutant(
        "a repeat counted as another deposit",
        "bank/metrics.py",
        "if 0 < entry.number <= newest:",
        "if False:",
        "tests/integration/test_metrics.py::test_operations_are_counted_by_kind_and_by_what_came_of_them_at_every_node",
    ),
    Mutant(
        "what clients type becomes a label",
        "bank/routes/tracing.py",
        "(request.method, rule.rule) if rule is not None else (NO_ROUTE, NO_ROUTE)",
        "(request.method, request.path)",
        "tests/integration/test_metrics.py::test_requests_are_counted_by_the_template_of_their_route",
    ),
    Mutant(
        "whatever was sent is a request's id",
        "bank/routes/tracing.py",
        "return sent if _ID.fullmatch(sent) else",
        "return sent or",
        "tests/integration/test_tracing.py::test_what_is_no_id_is_ignored_and_one_is_made",
    ),
    Mutant(
        "a record answered before it is on the disk, in a whole bank",
        "bank/applier.py",
        "        if applied:\n            self._commit(applied)\n        self._let_out(done)",
        "        self._let_out(done)\n        if applied:\n            self._commit(applied)",
        "tests/simulation/test_simulator.py::test_some_seeds_break_no_promise",
    ),
    Mutant(
        "an attempt called not applied that was applied, in a whole bank",
        "bank/node.py",
        "        if self.is_unsettled(pending.operation.id):\n            return Completion(waiter, OutcomeUnknown",
        "        if False:\n            return Completion(waiter, OutcomeUnknown",
        "tests/simulation/test_simulator.py::test_some_seeds_break_no_promise",
    ),
    Mutant(
        "the history of a log that was cut believed, in a whole bank",
        "bank/attachment.py",
        "if offset <= last_offset:",
        "if offset < 0:",
        "tests/simulation/test_simulator.py::test_some_seeds_break_no_promise",
    ),
    Mutant(
        "a token of another history taken for one of this",
        "bank/runtime.py",
        "(marks is None or not marks.chain.hex().startswith(minimum.chain))",
        "marks is None",
        "tests/integration/test_reads.py::test_a_token_of_the_future_or_of_another_history_is_refused",
    ),
    Mutant(
        "an old balance without its mark",
        "bank/routes/accounts.py",
        'headers = {"X-Posicao": str(view.token)} | ({"X-Defasada": "sim"} if view.stale else {})',
        'headers = {"X-Posicao": str(view.token)}',
        "tests/integration/test_reads.py::test_without_the_log_reads_go_on_plainly_marked_and_writes_come_back_by_themselves",
    ),
    Mutant(
        "a state believed whose digest is another",
        "bank/journal_check.py",
        "if last is not None and last.digest != state_digest(state):",
        "if False:",
        "tests/unit/test_journal.py::test_what_was_altered_is_refused_at_start",
    ),
    Mutant(
        "a copy that nobody else confirms",
        "bank/joining.py",
        "            if said != found:\n",
        "            if False:\n",
        "tests/unit/test_joining.py",
    ),
)  # fmt: skip
