"""Many customers at many counters at once: the answers must be those of one bank, in the log's order."""

import os
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.customers import crowd, open_accounts, verdict

THREADS = 64
REQUESTS = int(os.environ.get("REQUESTS", "4000"))


@pytest.mark.timeout(300)
def test_64_threads_at_4_nodes_see_one_bank(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, 4) as cluster:
        open_accounts(cluster)
        kinds = verdict(cluster, crowd(cluster, THREADS, REQUESTS // THREADS))
        assert kinds["applied"] > REQUESTS // 2
        assert kinds["replayed"] > REQUESTS // 50
