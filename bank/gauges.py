"""What a node shows of its state to `GET /metrics`: read from where it stands, at the moment of asking.

Costs the bank nothing in between. Says the same as `/saude` and `/cluster`, and of the bank only what is committed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bank.condition import STATES
from bank.desk import Desk, monotonic_ms
from bank.replica import Replica
from bank.views import Health

__all__ = ["Gauges"]


class Gauges(Collector):
    """One node's state, for its registry."""

    def __init__(self, desk: Desk, replica: Replica, health: Callable[[], Health], journal: Path) -> None:
        """Read `desk`, `replica`, `health()` and the size of the file `journal`."""
        self._desk = desk
        self._replica = replica
        self._health = health
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """Yield everything."""
        health, replica = self._health(), self._replica
        yield _gauge("banco_vivo", "1 if every thread runs, as /saude/vivo tells.", health.alive)
        yield _gauge("banco_pronto", "1 if writes are accepted, as /saude/pronto tells.", health.ready)
        states = {state: state == health.state for state in STATES}
        yield _gauges("banco_estado", "1 for the state that the node is in.", "estado", states)
        yield _gauges("banco_linha_viva", "1 for each thread that runs.", "linha", health.threads)
        yield from self._of_desk()
        yield _gauge("banco_diario_bytes", "Size of the journal, with its write-ahead log.", self._journal_bytes())
        contradicting = len(replica.contradicting())
        yield _gauge("banco_nos_discordantes", "Nodes whose last word contradicted this node.", contradicting)
        contradictions = float(replica.contradictions)
        yield CounterMetricFamily("banco_contradicoes", "Times another node said something else.", contradictions)
        skipped = float(replica.skipped.total())
        yield CounterMetricFamily("banco_registros_ignorados", "Records that all nodes skip.", skipped)

    def _of_desk(self) -> Iterator[Metric]:
        desk, now_ms = self._desk, monotonic_ms()
        with desk.mutex:
            committed, queued = desk.committed, desk.node.queued
            held, brokers = desk.replicas or (None, None)
            lag_ms, silent_ms = desk.behind_ms(now_ms), now_ms - desk.log_heard_ms
            responds = desk.attachment.at_end and not desk.troubles.log_down
            peers = len(desk.peers.live(now_ms))
        yield _gauge("banco_posicao", "Records applied, and on this node's disk.", committed.position)
        yield _gauge("banco_epoca", "Epoch of the log.", committed.epoch)
        yield _gauge("banco_contas", "Accounts of the bank.", committed.accounts)
        yield _gauge("banco_atraso_seconds", "For so long a place known from others was not reached.", lag_ms / 1000)
        yield _gauge("banco_operacoes_na_fila", "Operations that wait to be packed.", queued)
        yield _gauge("banco_nos_vistos", "Other nodes that are heard.", peers)
        yield _gauge("banco_livro_responde", "1 while the log answers, and was read to its end once.", responds)
        yield _gauge("banco_livro_ouvido_ha_seconds", "Since the log last brought anything.", silent_ms / 1000)
        yield _gauge("banco_livro_replicas", "Copies of the log, when last counted.", held)
        yield _gauge("banco_livro_corretores", "Brokers that should each hold one.", brokers)

    def _journal_bytes(self) -> int:
        """Ask the folder, and open nothing: see `sqlite.py`."""
        files = (self._journal, self._journal.with_name(f"{self._journal.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


def _gauge(name: str, documentation: str, value: float | None) -> Metric:
    """Return one number; None is one that is not known yet, and is left out."""
    return GaugeMetricFamily(name, documentation, value=None if value is None else float(value))


def _gauges(name: str, documentation: str, label: str, values: dict[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], float(value))
    return family
