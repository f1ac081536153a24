"""RabbitMQ lost its end and a member its disk: the bank waits for an operator, whose command loses no answer."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.storm import damage_of
from tests.faults.test_broker_power_cut import disk, own_broker, written  # noqa: F401 - fixtures
from tests.faults.test_lost_log import admin, epochs, refused_for, state_of
from tests.support.broker import Broker
from tests.support.cluster import Cluster, NodeProcess, eventually
from tests.support.disk import Disk, cut_power, save
from tests.support.link import Link
from tests.support.naive import entries_of
from tests.support.witnesses import Witness, final_reads, wait_for_answers, watched

pytestmark = [pytest.mark.long, pytest.mark.timeout(420)]


def assert_unhurt(cluster: Cluster, crowd: Sequence[Witness]) -> None:
    """Compare the nodes, read every account at each of them, and judge all that was seen by each node's journal."""
    cluster.settled_books()
    history = [event for witness in crowd for event in witness.seen]
    reader = Witness(len(crowd), cluster.nodes, [])
    final_reads(reader, cluster.nodes, sorted({event.account for event in history if event.op == "open"}))
    for node in cluster.nodes:
        damage = damage_of([*history, *reader.seen], entries_of(node.folder / "diario.sqlite"))
        assert damage.is_none, damage


def position(node: NodeProcess) -> int:
    return int(node.get("/auditoria").json()["posicao"])


def test_the_command_for_a_member_gone_for_good_brings_back_every_answer(
    disk: Disk,  # noqa: F811
    own_broker: Broker,  # noqa: F811
    data_dir: Path,
) -> None:
    links = [Link(own_broker.port) for _ in range(3)]
    environments = [{"AMQP_URL": link.url} for link in links]
    with Cluster.running(data_dir, 3, environments=environments) as cluster:
        first, second, gone = cluster.nodes
        with watched(cluster.nodes, 6) as crowd:
            for node in cluster.nodes:
                wait_for_answers(crowd, node, 10)
            save(disk, own_broker)
            # From here on what is answered is in journals, and in a broker's memory.
            wait_for_answers(crowd, gone, 10)
            gone.kill()
            shutil.rmtree(gone.folder)
            wait_for_answers(crowd, second, 10)
            links[1].cut()  # what the broker sends would wait in the paused process's socket otherwise
            second.send(signal.SIGSTOP)
            wait_for_answers(crowd, first, 10)
            cut_power(disk, own_broker)
            own_broker.restart()
            left = written(data_dir)
            second.send(signal.SIGCONT)
            links[1].mend()
            pair = [first, second]
            eventually(lambda: [state_of(node) for node in pair] == ["livro_perdido"] * 2, seconds=60)
            assert len(left) < position(second) < position(first), "the log lost what both have, and they differ"
            # Nobody reopens it while a member is missing, neither they nor an operator who does not say so.
            reopen = ("reabrir", "--servidor", second.url)
            not_yet = eventually(lambda: refused_for(gone, admin(*reopen)), seconds=30)
            assert f"--sem {gone.name}" in not_yet
            assert written(data_dir) == left
            eventually(lambda: admin(*reopen, "--sem", gone.name).returncode == 0, seconds=30)
            eventually(lambda: epochs(pair) == {2}, seconds=60)
            for node in pair:
                wait_for_answers(crowd, node, 10)
            gone.start().wait_ready(60)  # the machine that replaces it, under its name, with an empty disk
            wait_for_answers(crowd, gone, 10)
        assert_unhurt(cluster, crowd)
    for link in links:
        link.close()
