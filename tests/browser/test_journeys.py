"""What people do at the panel, in a real browser, on three real nodes, one of which is killed in the middle."""

import re
from functools import partial

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.browser import visit
from tests.support.cluster import Cluster, NodeProcess, eventually

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
PAGES = ["/", "/painel/contas", "/painel/contas/{account}", "/painel/ao-vivo", "/painel/auditoria", "/problemas"]


def card(page: Page, node: NodeProcess) -> Locator:
    return page.locator(f'[data-node="{node.name}"]')


def balance(node: NodeProcess, account: str) -> str:
    return re.findall(r'"saldo":([^,]*)', node.get(f"/contas/{account}").text)[0]


def fill_in(page: Page, form: str, **fields: str) -> None:
    """Fill in a form of an account's page, without sending it."""
    for name, text in fields.items():
        page.locator(f"#{form}-{name}").fill(text)


def test_an_account_is_opened_and_its_money_moved_at_one_counter_and_seen_at_the_others(
    bank: Cluster, browser: Browser, account: str
) -> None:
    with visit(browser, f"{bank.urls[0]}/painel/contas") as page:
        new = f"{account}-nova"
        page.get_by_label("Id da conta").fill(new)
        page.get_by_label("Saldo inicial").fill("50,00")
        page.get_by_role("button", name="Abrir conta").click()
        expect(page.get_by_role("status")).to_contain_text("Feito: Abertura")
        fill_in(page, "deposito", valor="1.50")
        page.get_by_role("button", name="Depositar").click()
        expect(page.locator(".figure")).to_have_text("R$\u00a051,50")
        fill_in(page, "saque", valor="0,50")
        page.get_by_role("button", name="Sacar").click()
        expect(page.locator(".figure")).to_have_text("R$\u00a051,00")
        fill_in(page, "transferencia", valor="21", conta_destino=account)
        page.get_by_role("button", name="Transferir").click()
        expect(page.get_by_role("status")).to_contain_text(f"Feito: Transferência R$\u00a021,00 → {account}")
        expect(page.get_by_role("img", name="saldo")).to_be_visible()
    with visit(browser, f"{bank.urls[2]}/painel/contas/{account}") as page:
        expect(page.locator(".figure")).to_have_text("R$\u00a0121,00")
        page.get_by_role("link", name=new).click()
        expect(page.locator("tbody tr")).to_have_count(4)


def test_a_double_click_is_one_deposit(bank: Cluster, browser: Browser, account: str) -> None:
    sent: list[str | None] = []

    def deliver(route: Route) -> None:
        """Let the bank have the first one, whose answer the second click does not wait for."""
        sent.append(route.request.post_data)
        if len(sent) == 1:
            assert route.fetch(max_redirects=0).status == 303
        else:
            route.continue_()

    with visit(browser, f"{bank.urls[1]}/painel/contas/{account}") as page:
        page.route("**/deposito", deliver)
        fill_in(page, "deposito", valor="5")
        page.get_by_role("button", name="Depositar").scroll_into_view_if_needed()
        button = page.get_by_role("button", name="Depositar").bounding_box()
        assert button is not None
        for _ in range(2):  # by the mouse, which does not wait for the page that the first click leads to
            with page.expect_request("**/deposito"):
                page.mouse.click(button["x"] + 5, button["y"] + 5)
        expect(page.get_by_role("status")).to_contain_text("Feito: Depósito")
        page.reload()
    assert len(sent) == 2
    assert balance(bank.nodes[0], account) == "105.00"


def test_a_refusal_is_explained_and_what_was_written_stays(bank: Cluster, browser: Browser, account: str) -> None:
    with visit(browser, f"{bank.urls[0]}/painel/contas/{account}", expected=("422", "400")) as page:
        fill_in(page, "saque", valor="100,01")
        page.get_by_role("button", name="Sacar").click()
        expect(page.get_by_role("alert")).to_contain_text("não cobre o valor")
        expect(page.locator("#saque-valor")).to_have_value("100,01")
        fill_in(page, "saque", valor="cem")
        page.get_by_role("button", name="Sacar").click()
        expect(page.locator("#saque-valor")).to_be_focused()
        expect(page.locator("#saque-valor-dica")).to_be_visible()
        fill_in(page, "saque", valor="100")
        page.get_by_role("button", name="Sacar").click()
        expect(page.locator(".figure")).to_have_text("R$\u00a00,00")


def test_a_killed_node_is_seen_to_fall_silent_and_to_catch_up(bank: Cluster, browser: Browser, account: str) -> None:
    first, _, last = bank.nodes
    with visit(browser, f"{first.url}/") as page:
        for node in bank.nodes:
            expect(card(page, node)).to_have_attribute("data-state", "pronto")
        last.kill()
        expect(card(page, last)).to_have_attribute("data-state", "silencioso")
        expect(card(page, last)).to_contain_text("não é mais ouvido")
        assert first.post(f"/contas/{account}/deposito", {"valor": 7}).status_code == 200
        last.start().wait_ready()
        expect(card(page, last)).to_have_attribute("data-state", "pronto")
        expect(card(page, last).locator('[data-agree="sim"]')).to_be_visible()
        expect(page.locator("#ritmo")).to_be_visible()
    assert balance(last, account) == "107.00"


def test_a_page_says_that_its_own_counter_is_gone_and_goes_on_by_itself(bank: Cluster, browser: Browser) -> None:
    node = bank.nodes[1]
    with visit(browser, f"{node.url}/", expected=("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "503")) as page:
        expect(page.locator("#ritmo")).to_be_visible()
        node.kill()
        expect(page.locator("#surdo")).to_contain_text("Este balcão não responde")
        node.start().wait_ready()
        expect(page.locator("#surdo")).to_be_hidden()


def test_what_another_counter_does_is_seen_live_and_can_be_held(bank: Cluster, browser: Browser, account: str) -> None:
    with visit(browser, f"{bank.urls[0]}/painel/ao-vivo") as page:
        expect(page.locator("#ligacao")).to_have_text("Ligado")
        assert bank.nodes[1].post(f"/contas/{account}/deposito", {"valor": "12.34"}).status_code == 200
        expect(page.locator("#linhas tr").first).to_contain_text("R$\u00a012,34")
        expect(page.locator("#linhas tr").first).to_contain_text(bank.nodes[1].name)
        page.get_by_role("button", name="Pausar").click()
        expect(page.locator("#ligacao")).to_have_text("Em pausa")
        assert bank.nodes[1].post(f"/contas/{account}/saque", {"valor": 5000}).status_code == 422
        with visit(browser, f"{bank.urls[0]}/painel/ao-vivo") as other:
            expect(other.locator("#linhas tr").first).to_have_class("refused")
        expect(page.locator("#linhas tr").first).to_contain_text("R$\u00a012,34")
        page.get_by_role("button", name="Continuar").click()
        expect(page.locator("#linhas tr").first).to_have_class("refused")
        expect(page.locator("#linhas tr", has_text="R$\u00a012,34")).to_have_count(1)


def test_the_audit_compares_all_nodes_account_by_account(bank: Cluster, browser: Browser, account: str) -> None:
    for node in bank.nodes:
        eventually(partial(knows_all_peers, node, bank))
    bank.settled_books()
    with visit(browser, f"{bank.urls[1]}/painel/auditoria") as page:
        expect(page.locator("main")).to_contain_text("Os livros conferem")
        expect(page.locator("main")).to_contain_text("Todos têm o mesmo.")
        page.get_by_role("button", name="Comparar todas as contas").click()
        expect(page.locator("main")).to_contain_text("Nenhuma diferença com")


def knows_all_peers(node: NodeProcess, bank: Cluster) -> bool:
    return len(node.get("/cluster").json()["nos"]) == len(bank.nodes)


def test_the_keyboard_alone_is_enough(bank: Cluster, browser: Browser, account: str) -> None:
    with visit(browser, f"{bank.urls[0]}/painel/contas/{account}") as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Ir ao conteúdo")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        while page.evaluate("document.activeElement.id") != "deposito-valor":
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement !== document.body"), "the field was never reached"
        page.keyboard.type("2,50")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("R$\u00a02,50")


def test_english_is_one_click_away_and_stays(bank: Cluster, browser: Browser, account: str) -> None:
    with visit(browser, f"{bank.urls[0]}/painel/contas/{account}") as page:
        page.get_by_role("link", name="English").click()
        expect(page.get_by_role("heading", name="Statement")).to_be_visible()
        page.get_by_role("link", name="Network").click()
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.locator("main")).to_contain_text("The books agree")


def test_without_javascript_everything_can_be_read_and_money_moves(
    bank: Cluster, browser: Browser, account: str
) -> None:
    with visit(browser, f"{bank.urls[0]}/", java_script_enabled=False) as page:
        expect(card(page, bank.nodes[0])).to_contain_text("O nó aceita operações.")
        page.get_by_role("link", name="Ao vivo").click()
        expect(page.locator("#linhas tr").first).to_contain_text(account)
        page.goto(f"{bank.urls[0]}/painel/contas/{account}")
        fill_in(page, "deposito", valor="1")
        page.get_by_role("button", name="Depositar").click()
        expect(page.locator(".figure")).to_have_text("R$\u00a0101,00")


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_every_page_without_scrolling_sideways(
    bank: Cluster, browser: Browser, account: str, path: str
) -> None:
    with visit(browser, bank.urls[0] + path.format(account=account), **PHONE) as page:
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
