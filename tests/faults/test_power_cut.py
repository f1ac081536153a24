"""Power cuts: what was not fsynced is gone, for journals and log alike, and still nothing answered is lost.

The folder lies on an ext4 image behind a loop device. A copy of the image holds what has reached the disk so far;
it is taken while the nodes stand still, the nodes are killed, and the bank opens again from the copy.
POWER_CUTS=10 makes it a long run.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.customers import crowd, open_accounts, verdict
from tests.support.disk import Disk

POWER_CUTS = int(os.environ.get("POWER_CUTS", "2"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk whose power can be cut."""
    with Disk.mounted(tmp_path) as disk:
        yield disk


@pytest.mark.timeout(60 + 30 * POWER_CUTS)
def test_a_power_cut_loses_nothing_that_was_answered(disk: Disk, tmp_path: Path) -> None:
    chance = random.Random(POWER_CUTS)
    data_dir = disk.place / "dados"
    with Cluster.running(data_dir, 2, output_dir=tmp_path) as cluster:
        open_accounts(cluster)
        customers = crowd(cluster, 4)
        for _ in range(POWER_CUTS):
            time.sleep(chance.uniform(0.2, 1.0))  # the moment of the fault, at random
            for node in cluster.nodes:
                node.send(signal.SIGSTOP)
            copy = disk.copy()
            for node in cluster.nodes:
                node.kill()
            disk.become(copy)
            for node in cluster.nodes:
                node.start()
            for node in cluster.nodes:
                node.wait_ready()
        for customer in customers:
            customer.enough.set()
        kinds = verdict(cluster, customers)
    assert kinds["applied"] > 20 * POWER_CUTS
    assert kinds["repeated attempts"] > 0, "no request was under way at any cut"
