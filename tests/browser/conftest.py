"""A browser and three real nodes, for all tests of this folder."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster

pytest.importorskip("playwright", reason="the panel is tried with playwright, of requirements-dev.txt")

from playwright.sync_api import Browser

from tests.support.browser import open_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser; each visitor is a context of its own."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes; who kills one starts it again."""
    with Cluster.running(tmp_path_factory.mktemp("dados"), 3) as cluster:
        yield cluster


@pytest.fixture
def account(bank: Cluster) -> str:
    """An account of the test's own, with 100.00."""
    account_id = f"conta-{secrets.token_hex(4)}"
    opened = bank.nodes[0].post("/contas", {"id_conta": account_id, "saldo": 100, "titular": "Ana"})
    assert opened.status_code == 201
    return account_id
