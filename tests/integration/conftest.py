"""Three real nodes for the tests that do not break any."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster


@pytest.fixture(scope="session")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes on one embedded log, shared by all tests that leave them running."""
    with Cluster.running(tmp_path_factory.mktemp("dados"), 3) as cluster:
        yield cluster
