"""The metrics of a node as Prometheus reads them, and as docs/OPERATIONS.md explains them."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cluster import NodeProcess

__all__ = ["OPERATIONS", "Explained", "Numbers", "explained", "families_of", "scrape"]

OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "OPERATIONS.md"
ROW = re.compile(r"^\| `(banco_\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)


class Explained(NamedTuple):
    """What a row of the table says of a metric."""

    kind: str
    labels: frozenset[str]


def explained() -> dict[str, Explained]:
    """Return the table of metrics, by their names."""
    rows = ROW.findall(OPERATIONS.read_text(encoding="utf-8"))
    assert len({name for name, *_ in rows}) == len(rows), "no metric twice"
    return {name: Explained(kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def families_of(text: str) -> dict[str, Metric]:
    """Return what an answer tells, by the names under which Prometheus keeps it."""
    families = text_string_to_metric_families(text)
    return {family.name + ("_total" if family.type == "counter" else ""): family for family in families}


class Numbers:
    """One answer of `GET /metrics`."""

    def __init__(self, text: str) -> None:
        self.families = families_of(text)
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def get(self, name: str, **labels: str) -> float | None:
        """Return the value of one series, None if there is none."""
        return self._samples.get((name, frozenset(labels.items())))

    def tally(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Return the values of all series of that name, by the values of these labels."""
        return Counter(
            {
                tuple(sample.labels[label] for label in labels): int(sample.value)
                for family in self.families.values()
                for sample in family.samples
                if sample.name == name
            }
        )

    def changed_since(self, earlier: "Numbers") -> set[str]:
        """Return the names of the metrics that have another value in any series than they had then."""
        return {
            name
            for name, family in self.families.items()
            if any(self.get(s.name, **s.labels) != earlier.get(s.name, **s.labels) for s in family.samples)
        }


def scrape(node: NodeProcess) -> Numbers:
    """Ask a node."""
    answer = node.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return Numbers(answer.text)
