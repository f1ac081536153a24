"""Nothing on any page keeps people from using it, as far as axe-core can tell, by day and by night."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import visit
from tests.support.cluster import Cluster

PAGES = ["/", "/painel/contas", "/painel/contas/{account}", "/painel/ao-vivo", "/painel/auditoria", "/problemas"]


def faults(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical, each with what it stands on."""
    found = Axe().run(page).response
    assert len(found["passes"]) > 10, "a check that saw nothing proves nothing"
    return [
        f"{each['id']}: {node['html']}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_serious_fault(bank: Cluster, browser: Browser, account: str, path: str, scheme: str) -> None:
    with visit(browser, bank.urls[0] + path.format(account=account), color_scheme=scheme) as page:
        expect(page.locator("h1")).to_be_visible()
        assert faults(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nor_has_a_refusal(bank: Cluster, browser: Browser, account: str, scheme: str) -> None:
    here = f"{bank.urls[0]}/painel/contas/{account}"
    with visit(browser, here, color_scheme=scheme, expected=("400", "404")) as page:
        page.locator("#saque-valor").fill("cem")
        page.get_by_role("button", name="Sacar").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert faults(page) == []
        page.goto(f"{bank.urls[0]}/painel/contas/nao-ha")
        assert faults(page) == []
