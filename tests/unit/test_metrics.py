"""The metrics against their table, and one node against another."""

import re
from pathlib import Path

import pytest

from bank.condition import STATES
from bank.config import Config
from bank.metrics import Metrics
from bank.routes.cluster import SENTENCES
from bank.runtime import Runtime, open_runtime
from tests.support.metrics import OPERATIONS, Numbers, explained, families_of


@pytest.fixture
def node(tmp_path: Path) -> Runtime:
    """A node that is never started."""
    return open_runtime(Config(node_name="banco-1", data_dir=tmp_path), on_end=lambda _: None)


def test_the_table_explains_every_metric_and_no_other(node: Runtime) -> None:
    families = families_of(node.metrics.text().decode())
    node.stop()
    assert {name: family.type for name, family in families.items()} == {
        name: row.kind for name, row in explained().items()
    }


def test_the_alarms_ask_for_what_there_is(node: Runtime) -> None:
    families = families_of(node.metrics.text().decode())
    node.stop()
    alarms = OPERATIONS.read_text(encoding="utf-8").partition("# banco.rules.yml\n")[2].partition("```")[0]
    expressions = re.findall(r"expr: (.*?)\n +(?:for|annotations):", alarms, re.DOTALL)
    assert len(expressions) == alarms.count("- alert:") == 3
    asked = [(name, labels) for one in expressions for name, labels in re.findall(r"\b(banco_\w+)(\{[^}]*\})?", one)]
    assert len(asked) > 3
    for name, labels in asked:
        whole = re.sub(r"_bucket$", "", name)
        assert families[whole].type == ("gauge" if name == whole else "histogram")
        assert set(re.findall(r'(\w+)="', labels)) <= explained()[whole].labels


def test_every_state_has_a_sentence_and_is_shown() -> None:
    assert set(STATES) == SENTENCES.keys()


def test_two_nodes_of_one_process_share_no_number() -> None:
    first, second = Metrics(), Metrics()
    first.answered("GET", "/saude", 200, 0.5)
    name = "banco_requisicao_duracao_seconds_count"
    labels = {"metodo": "GET", "rota": "/saude", "status": "200"}
    assert Numbers(first.text().decode()).get(name, **labels) == 1
    assert Numbers(second.text().decode()).get(name, **labels) is None
