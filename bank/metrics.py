"""What a node counts of its own work: requests, operations, records, and how long they took. For `GET /metrics`.

The rest of the bank hands numbers in here and knows no Prometheus; what is merely read when somebody asks stands in
`gauges.py`. Names are the words of the API with Prometheus's own endings (`_seconds`, `_total`); docs/OPERATIONS.md
explains each. Every node has a registry of its own, so that two in one process never share a number.

What it costs (`bench/metrics.py`): 1.4 µs a request, 8 µs a record, half of them after its customers were answered,
and 0.4 µs an operation. So a deposit under load pays 2 µs, and one that travels alone 9 of its two milliseconds.
"""

import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Sequence
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bank.ledger import Change
from bank.operations import Applied
from bank.records import MAX_RECORD_OPERATIONS, Record

__all__ = ["CONTENT_TYPE", "NO_ROUTE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
NO_ROUTE = "-"
"""The route, and the method, of what reached none. Whatever clients type there must not become a label."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAIT_SECONDS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1)
OPERATIONS = [4**power for power in range(7)] + [MAX_RECORD_OPERATIONS]
UNDER_WAY_MAX = 4096
"""Records of this node's own whose time is kept; of more than that under way at once the oldest are not timed."""

# When each series began doubles the answer, and says nothing that the start of the node does not.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The numbers of one node. Any thread may hand one in."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.registry = registry = CollectorRegistry()
        requests = Histogram(
            "banco_requisicao_duracao_seconds",
            "From the request's arrival at the application until its answer begins.",
            ["metodo", "rota", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        operations = Counter(
            "banco_operacoes", "Operations that this node has applied.", ["op", "resultado"], registry=registry
        )
        # Finding a series by its labels takes longer than counting in it.
        self._requests = cache(requests.labels)
        self._operations = cache(operations.labels)
        self._record_sizes = Histogram(
            "banco_registro_operacoes", "Operations in one applied record.", buckets=OPERATIONS, registry=registry
        )
        self._ways = Histogram(
            "banco_publicacao_duracao_seconds",
            "From the packing of a record of this node's own until it is applied and on this node's disk.",
            buckets=SECONDS,
            registry=registry,
        )
        self._under_way: deque[tuple[int, float]] = deque(maxlen=UNDER_WAY_MAX)
        waits = Histogram(
            "banco_trava_espera_seconds",
            "Until the bakery locks of the accounts concerned were held.",
            ["quem"],
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self.applier_waited = waits.labels("aplicador").observe
        self.reader_waited = waits.labels("leitor").observe

    def text(self) -> bytes:
        """Return all numbers as Prometheus reads them, of type CONTENT_TYPE."""
        return generate_latest(self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the template that it matched, or NO_ROUTE, and so is `method` then."""
        self._requests(method, route, status).observe(seconds)

    def publishing(self, seq: int) -> None:
        """A record of this node's own was packed. For the publisher."""
        self._under_way.append((seq, time.monotonic()))

    def returned(self, seq: int, *, timed: bool) -> None:
        """A record of this node's own is applied and on the disk; those before it are, or never come. For the applier.

        Without operations it is not `timed`: a barrier or a marker waits for no disk.
        """
        while self._under_way and self._under_way[0][0] <= seq:
            packed_seq, began = self._under_way.popleft()
            if timed and packed_seq == seq:
                self._ways.observe(time.monotonic() - began)

    def applied(self, records: Sequence[tuple[Record, Change]]) -> None:
        """These records were applied and committed together. For the applier."""
        tally: Tally[tuple[str, str]] = Tally()
        for record, change in records:
            self._record_sizes.observe(len(record.operations))
            tally.update(_results(record, change))
        for labels, count in tally.items():
            self._operations(*labels).inc(count)


def _results(record: Record, change: Change) -> list[tuple[str, str]]:
    """Return of each operation its name and what came of it; a new one has a number above all before it."""
    newest = change.last_entry - len(change.entries)
    results = []
    for operation, entry in zip(record.operations, change.outcomes, strict=True):
        if 0 < entry.number <= newest:
            result = "repetida"
        else:
            newest = max(newest, entry.number)
            result = "aplicada" if isinstance(entry.outcome, Applied) else "recusada"
        results.append((str(operation.__struct_config__.tag), result))
    return results
