"""docs/OPERATIONS.md: the drill, typed as it stands there, brings the bank back from one file."""

import re
from pathlib import Path

from tests.support.cluster import Cluster, free_port
from tests.support.documents import Terminal, at_real_ports, blocks_of, clone_in


def test_the_drill_brings_back_the_books_and_leaves_the_bank_alone(tmp_path: Path) -> None:
    [commands, shown] = [block.text for block in blocks_of("docs/OPERATIONS.md", "bash", "text")]
    folder = clone_in(tmp_path)
    embedded = {"AMQP_URL": ""}
    with Cluster.running(folder / "dados", 3, environments=[embedded] * 3) as cluster:
        cluster.nodes[0].post("/contas", {"id_conta": "ana", "saldo": "115.50"})
        before = cluster.settled_books()
        ports, drill = [node.port for node in cluster.nodes], str(free_port())
        with Terminal.open(folder / "terminal.txt", folder=folder, settings=embedded) as terminal:
            terminal.type(at_real_ports(commands.replace("5009", drill), ports))
            terminal.shows(at_real_ports(shown.replace("5009", drill), ports))
            assert re.findall(r'"soma_saldos":"([^"]*)"', terminal.screen()) == ["115.50", "115.50"]
        assert cluster.settled_books() == before
