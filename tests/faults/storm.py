"""`python -m tests.faults.storm`: three real nodes, a crowd of witnesses, and one fault after the other.

After each fault comes healing: its recovery time is that from the end of the fault (the process started again or went
on, the broker listens, the link passes) until every node has answered a write. At the end all is at rest, every account
is read at every node, and everything that was seen is judged twice: by the judge, and by what a node's journal holds.
A storm that failed leaves its folder, with `history.jsonl` (for `python -m tests.judge`), `plan.txt`, what the nodes
printed, and their data. The seed draws the plan again; when things happen is up to the machine.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tests.judge.history import ID_REUSED, Event, write_history
from tests.judge.invariants import below_limit, final_reads_differ, ids_with_two_outcomes
from tests.judge.verdict import Verdict, examine
from tests.support.calamities import KINDS, LOGS, Fault, Scene, kinds_of, plan_of
from tests.support.naive import NaiveBank, entries_of
from tests.support.witnesses import Request, Witness, final_reads, groups_of_accounts, opening

__all__ = ["Damage", "Storm", "damage_of"]

WITNESSES = 12
PROBE_ACCOUNT = "sonda"
PROBE_TIMEOUT_S = 1.0


class Damage(NamedTuple):
    """What a storm did to the bank: nothing, if all is well."""

    lost: int
    """Answers that the journal knows nothing of, or knows otherwise."""
    double: int
    """Operations that were executed twice."""
    phantom: int
    """Operations of which each attempt was said not to be applied, and that the journal holds."""
    overdrafts: int
    divergences: int
    """Accounts that two nodes, or a node and the journal, show differently; and nodes that do not come to agree."""
    verdict: Verdict

    @property
    def is_none(self) -> bool:
        """True if the bank kept every promise, and enough was seen to say so."""
        return not any(self[:-1]) and self.verdict.word == "valid"

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in zip(self._fields, self[:-1], strict=False))
        return "\n".join(filter(None, [f"{counts}, verdict {self.verdict.word}", self.verdict.explanation]))


class Storm:
    """One run: a plan, the scene of it, and what was seen."""

    def __init__(self, folder: Path, log: str, plan: Sequence[Fault]) -> None:
        """Nothing starts before `run`."""
        self.scene = Scene(folder, log)
        self._plan = plan
        self._groups = groups_of_accounts(4 + 2 * len(plan), random.Random(len(plan)))
        self._witnesses: list[Witness] = []
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.entries: list[dict[str, Any]] = []
        self.disagreements = 0

    @property
    def history(self) -> list[Event]:
        """All that was seen so far."""
        return [event for witness in self._witnesses for event in list(witness.seen)]

    def run(self, say: Callable[[str], object] = lambda _: None) -> None:
        """Let it rage, and let all come to rest. Fails if nodes do not recover, or a witness is not answered."""
        with self.scene.running():
            nodes = self.scene.nodes
            crowd = [Witness(number, nodes, self._groups) for number in range(WITNESSES)]
            probe = Witness(WITNESSES, nodes, self._groups, timeouts_s=[PROBE_TIMEOUT_S])
            self._witnesses = [*crowd, probe]
            probe.settle(opening(PROBE_ACCOUNT))
            for witness in crowd:
                witness.start()
            try:
                for fault in self._plan:
                    say(f"{fault}   recovered after {self._suffer(fault, probe):.2f} s")
                    self.scene.make_whole()
                    self._hear_errors()
            finally:
                for witness in crowd:
                    witness.enough.set()
            self._come_to_rest(crowd, probe)

    def _suffer(self, fault: Fault, probe: Witness) -> float:
        with KINDS[fault.kind](self.scene, fault):
            time.sleep(fault.seconds)  # the length of the fault
        ended = time.monotonic()
        for node in self.scene.nodes:
            probe.settle(Request("deposit", PROBE_ACCOUNT, probe.new_id(), amount_cents=1), at=[node])
        seconds = time.monotonic() - ended
        self.recoveries[fault.kind].append(seconds)
        return seconds

    def _come_to_rest(self, crowd: Sequence[Witness], probe: Witness) -> None:
        for witness in crowd:
            witness.join()
        self._hear_errors()
        try:
            self.scene.cluster.settled_books()
        except AssertionError:
            self.disagreements += 1
        accounts = {event.account for event in self.history if event.op == "open"}
        final_reads(probe, self.scene.nodes, sorted(accounts))
        self.entries = entries_of(self.scene.nodes[0].folder / "diario.sqlite")

    def _hear_errors(self) -> None:
        for witness in self._witnesses:
            if witness.error is not None:
                raise witness.error


def damage_of(history: Sequence[Event], entries: Sequence[dict[str, Any]], *, disagreements: int = 0) -> Damage:
    """Judge what was seen, and compare it with what a journal holds."""
    naive = NaiveBank().replay_entries(list(entries))
    told = [event for event in history if event.outcome in {"ok", "refused"} and event.code != ID_REUSED]
    mutations = [event for event in told if event.op != "read"]
    tried = {event.id for event in history if event.id is not None and event.outcome != "not_applied"}
    finals = [event for event in told if event.final and event.outcome == "ok"]
    times = Counter(entry["id"] for entry in entries)
    otherwise = (each for each in mutations if (each.code or each.balance_cents) != naive.results.get(each.id or ""))
    return Damage(
        lost=len({event.id for event in otherwise}),
        double=sum(count > 1 for count in times.values()) + _count(ids_with_two_outcomes(history)),
        phantom=len(({event.id for event in history} - {None} - tried) & naive.results.keys()),
        overdrafts=sum(naive.results[entry["id"]] == "SALDO_INSUFICIENTE" and not entry["recusa"] for entry in entries)
        + _count(below_limit(history)),
        divergences=disagreements
        + _count(final_reads_differ(history))
        + len({event.account for event in finals if event.balance_cents != naive.balances.get(event.account)}),
        verdict=examine(history),
    )


def _count(found: Iterable[str]) -> int:
    return sum(1 for _ in found)


def table(recoveries: Mapping[str, Sequence[float]], history: Sequence[Event]) -> str:
    """Return the kinds with their recovery times, and how the attempts ended."""
    rows = [f"{'fault':18} {'times':>5}  {'recovery: median':>16}  {'maximum':>8}"]
    for kind, seconds in recoveries.items():
        rows.append(f"{kind:18} {len(seconds):5}  {statistics.median(seconds):14.2f} s  {max(seconds):6.2f} s")
    together = [*chain(*recoveries.values())]
    rows.append(f"{'together':18} {len(together):5}  {statistics.median(together):14.2f} s  {max(together):6.2f} s")
    operations = len({event.id for event in history} - {None}) + sum(event.op == "read" for event in history)
    outcomes = Counter(event.outcome for event in history)
    stale = sum(event.consistency == "stale" for event in history)
    ends = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    return "\n".join(
        [*rows, f"{operations} operations, {len(history)} attempts: {ends}; {stale} reads marked as stale"]
    )


def main(arguments: Sequence[str]) -> int:
    """Run a storm; print what it did; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description="Break a bank again and again.")
    parser.add_argument("--log", choices=LOGS, default=LOGS[0])
    parser.add_argument("--faults", type=int, default=30, help="how many (default 30)")
    parser.add_argument("--longest", type=float, default=12.0, help="the longest pause or cut in seconds (default 12)")
    parser.add_argument("--kinds", default="", help="with commas between them; default: all that the log has")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args(arguments)
    kinds = chosen.kinds.split(",") if chosen.kinds else kinds_of(chosen.log)
    if strangers := set(kinds) - set(kinds_of(chosen.log)):
        parser.error(f"over {chosen.log} there is no {', '.join(strangers)}, but {', '.join(kinds_of(chosen.log))}")
    plan = plan_of(chosen.seed, kinds, chosen.faults, chosen.longest)
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    (folder / "plan.txt").write_text("\n".join(map(str, plan)) + "\n", encoding="utf-8")
    print(f"{chosen.faults} faults over {chosen.log}, seed {chosen.seed}", flush=True)
    storm = Storm(folder, chosen.log, plan)
    is_well = False
    try:
        storm.run(lambda line: print(line, flush=True))
        damage = damage_of(storm.history, storm.entries, disagreements=storm.disagreements)
        is_well = damage.is_none
        print(table(storm.recoveries, storm.history), damage, sep="\n")
    finally:
        if is_well:
            shutil.rmtree(folder)
        else:
            write_history(folder / "history.jsonl", storm.history)
            print(f"kept in {folder}, seed {chosen.seed}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
