"""Nodes killed with -9 at random moments under load, again and again: nothing answered is lost, nothing counts twice.

KILLS=200 makes it a long run; the recovery times (process start to first accepted write) are printed.
"""

import os
import random
import statistics
import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.customers import crowd, open_accounts, verdict

KILLS = int(os.environ.get("KILLS", "10"))


@pytest.mark.long
@pytest.mark.timeout(60 + 15 * KILLS)
def test_nodes_killed_again_and_again_keep_all_that_they_answered_and_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(KILLS)
    recoveries: list[float] = []
    with Cluster.running(tmp_path, 3) as cluster:
        open_accounts(cluster)
        customers = crowd(cluster, 6)
        for _ in range(KILLS):
            victim = chance.choice(cluster.nodes)
            time.sleep(chance.uniform(0, 0.3))  # the moment of the fault, at random
            victim.kill()
            began = time.monotonic()
            victim.start().wait_ready()
            recoveries.append(time.monotonic() - began)
        for customer in customers:
            customer.enough.set()
        kinds = verdict(cluster, customers)
    assert kinds["applied"] > 10 * KILLS
    with capsys.disabled():
        print(
            f"\n{KILLS} kills, {kinds}; recovery: median {statistics.median(recoveries):.2f} s, "
            f"maximum {max(recoveries):.2f} s"
        )
