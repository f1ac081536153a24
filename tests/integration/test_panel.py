"""The panel of real nodes, as a browser without JavaScript sees it: pages, forms, refusals, and what pages may load."""

import json
import re
import secrets
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from bank.routes.cluster import SENTENCES
from bank.routes.panel import words
from bank.routes.problems import CODIGOS
from tests.support.cluster import Cluster, NodeProcess, eventually

FIRST_LOAD_BYTES_MAX = 150_000
PANEL = Path(words.__file__).parent
PAGES = ["/", "/painel/contas", "/painel/contas/painel-ana", "/painel/ao-vivo"]


class Page(HTMLParser):
    """What a page holds: text, forms with their fields, what it loads, and what a strict policy would forbid."""

    def __init__(self, answer: requests.Response) -> None:
        """Read this answer."""
        super().__init__()
        self.url = answer.url
        self.status = answer.status_code
        self.text = ""
        self.lang = ""
        self.tags: list[str] = []
        self.assets: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.forms: dict[str, dict[str, str]] = {}
        self.labelled: set[str] = set()
        self.inputs: set[str] = set()
        self._form = ""
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8", answer.text
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.lang = values.get("lang", "") if tag == "html" else self.lang
        if tag in {"script", "img", "iframe"}:
            self.assets.append(values.get("src", ""))
        elif tag == "link":
            self.assets.append(values["href"])
        elif tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "form" and values.get("method") == "post":
            self._form = values["action"]
            self.forms[self._form] = {}
        elif tag == "input" and self._form:
            self.forms[self._form][values["name"]] = values.get("value", "")
            if values.get("type") != "hidden":
                self.inputs.add(values["id"])
        elif tag == "label":
            self.labelled.add(values["for"])
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)
        self.inline += [name for name in values if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""

    def handle_data(self, data: str) -> None:
        self.text += " ".join(data.split()) + " " if data.strip() else ""

    def send(self, action: str, headers: dict[str, str] | None = None, **fields: str) -> requests.Response:
        """Fill in a form of this page and send it, as it stands."""
        data = self.forms[action] | fields
        return requests.post(urljoin(self.url, action), data=data, headers=headers, timeout=15, allow_redirects=False)


def open_page(node: NodeProcess, path: str, **options: Any) -> Page:
    return Page(node.get(path, **options))


def balance(node: NodeProcess, account_id: str) -> str:
    return re.findall(r'"saldo":([^,]*)', node.get(f"/contas/{account_id}").text)[0]


@pytest.fixture(scope="module")
def bank(three_nodes: Cluster) -> Cluster:
    """Three nodes with the accounts painel-ana (100.00) and painel-bia (0.00)."""
    first = three_nodes.nodes[0]
    assert first.post("/contas", {"id_conta": "painel-ana", "saldo": 100, "titular": "Ana"}).status_code == 201
    assert first.post("/contas", {"id_conta": "painel-bia"}).status_code == 201
    return three_nodes


@pytest.fixture
def account(bank: Cluster) -> str:
    """An account of the test's own, with 10.00."""
    account_id = f"painel-{secrets.token_hex(6)}"
    assert bank.nodes[0].post("/contas", {"id_conta": account_id, "saldo": 10}).status_code == 201
    return account_id


# --- pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_landmarks_and_labels_and_nothing_inline(bank: Cluster, path: str) -> None:
    page = open_page(bank.nodes[1], path)
    assert page.status == 200
    assert page.lang == "pt-BR"
    assert {"header", "nav", "main", "footer", "h1", "title"} <= set(page.tags)
    assert (page.tags.count("main"), page.tags.count("h1")) == (1, 1)
    assert page.inputs <= page.labelled
    assert page.inline == []
    assert "#conteudo" in page.links


@pytest.mark.parametrize("path", [*PAGES, "/painel/contas/nao-ha", "/painel/static/painel.js"])
def test_the_policy_allows_this_host_and_nothing_inline(bank: Cluster, path: str) -> None:
    headers = bank.nodes[0].get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_the_first_load_is_small_and_all_of_it_is_local(bank: Cluster, path: str) -> None:
    node = bank.nodes[0]
    page = open_page(node, path)
    size = len(node.get(path).content)
    wanted = set(page.assets)
    assert len(wanted) >= 3
    loaded: set[str] = set()
    while wanted:
        address = wanted.pop()
        assert not urlsplit(address).netloc, address
        answer = node.get(address)
        assert answer.status_code == 200, address
        assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", ""), address
        size += len(answer.content)
        loaded.add(address)
        imported = re.findall(r'^import .* from "(.*)";$|url\((.*)\)|@import', answer.text, re.MULTILINE)
        wanted |= {urljoin(address, name) for names in imported for name in names if name} - loaded
    assert size < FIRST_LOAD_BYTES_MAX


def test_links_of_the_panel_lead_somewhere(bank: Cluster) -> None:
    node = bank.nodes[0]
    links = {link for path in PAGES for link in open_page(node, path).links if link.startswith(("/", "?"))}
    assert {"/docs", "/problemas", "/saude", "/painel/contas"} <= links
    assert [link for link in links if node.get(link).status_code != 200] == []


def test_the_network_shows_every_node_and_the_books(bank: Cluster) -> None:
    books = bank.settled_books()
    sentences = [f"{node.name} O nó aceita operações." for node in bank.nodes]

    def all_heard() -> Page | None:
        page = open_page(bank.nodes[0], "/")
        return page if all(sentence in page.text for sentence in sentences) else None

    page = eventually(all_heard)
    assert {f"{node.url}/" for node in bank.nodes} <= set(page.links)
    assert f"Contas {books['contas']} " in page.text
    assert "Os livros conferem" in page.text
    whole, _, fraction = books["soma_saldos"].partition(".")
    assert f"R$ {int(whole):,}".replace(",", ".") + f",{fraction}" in page.text


def test_the_pulse_counts_operations(bank: Cluster) -> None:
    node = bank.nodes[0]
    before = node.get("/painel/pulso").json()["lancamentos"]
    movements = [{"op": "deposito", "id_conta": "painel-bia", "valor": "0.01"}] * 7
    node.post("/lote", {"operacoes": movements})
    assert node.get("/painel/pulso").json()["lancamentos"] == before + 7


def test_the_live_page_ends_where_events_go_on(bank: Cluster) -> None:
    node = bank.nodes[0]
    node.post("/contas/painel-bia/deposito", {"valor": "77.77"})
    answer = node.get("/painel/ao-vivo")
    assert "R$ 77,77" in Page(answer).text
    node.post("/contas/painel-bia/deposito", {"valor": "88.88"})
    mark = re.findall(r'data-mark="([^"]+)"', answer.text)[0]
    with node.get("/eventos", headers={"Last-Event-ID": mark}, stream=True) as events:
        told = (line for line in events.iter_lines(chunk_size=1, decode_unicode=True) if line.startswith("data: "))
        assert '"valor":88.88' in next(told)


@pytest.fixture
def empty(data_dir: Path) -> Iterator[NodeProcess]:
    """A node of a bank without accounts."""
    with Cluster.running(data_dir, 1) as cluster:
        yield cluster.nodes[0]


def test_an_empty_bank_says_so_and_its_first_account_is_opened_by_a_form(empty: NodeProcess) -> None:
    assert "O banco está vazio." in open_page(empty, "/").text
    page = open_page(empty, "/painel/contas")
    assert "Nenhuma conta ainda." in page.text
    sent = page.send("/painel/contas", id_conta="zoe", saldo="1,5")
    assert sent.status_code == 303
    assert balance(empty, "zoe") == "1.50"
    assert "vazio" not in open_page(empty, "/").text


# --- accounts ---------------------------------------------------------------------------------------------------


def test_accounts_are_listed_in_pages_and_found_by_the_beginning_of_their_id(bank: Cluster) -> None:
    node = bank.nodes[0]
    wanted = [f"lista-{number:03}" for number in range(60)]
    node.post("/lote", {"operacoes": [{"op": "abertura", "id_conta": name} for name in wanted]})
    found: list[str] = []
    path = "/painel/contas?busca=lista-"
    while path:
        page = open_page(node, path)
        found += [link.rpartition("/")[2] for link in page.links if "/painel/contas/" in link]
        path = next((link for link in page.links if "depois=" in link and "lang=" not in link), "")
        assert len(found) <= len(wanted)
    assert found == wanted
    assert "/painel/contas/lista-007" in open_page(node, "/painel/contas?busca=lista-007").links
    assert "Nenhuma conta começa assim." in open_page(node, "/painel/contas?busca=lista-9").text


def test_a_statement_comes_in_pages(bank: Cluster, account: str) -> None:
    node = bank.nodes[0]
    node.post("/lote", {"operacoes": [{"op": "deposito", "id_conta": account, "valor": 1}] * 30})
    page = open_page(node, f"/painel/contas/{account}")
    [older] = [link for link in page.links if "antes=" in link and "lang=" not in link]
    assert "R$ 40,00" in page.text
    assert "Abertura" not in page.text
    assert "Abertura" in open_page(node, older).text
    assert open_page(node, f"/painel/contas/{account}?antes=1").status == 400


@pytest.mark.parametrize("path", ["nao-ha", "a%20b", "-x", "%3Cscript%3E"])
def test_an_account_that_is_not_there_is_a_page_that_says_so(bank: Cluster, path: str) -> None:
    page = open_page(bank.nodes[0], f"/painel/contas/{path}")
    assert page.status == 404
    assert "Conta não encontrada" in page.text
    assert page.inline == []


def test_what_a_customer_wrote_is_text_and_never_markup(bank: Cluster) -> None:
    node = bank.nodes[0]
    holder = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    page = open_page(node, "/painel/contas")
    assert page.send("/painel/contas", id_conta="painel-html", titular=holder).status_code == 303
    for path in ("/painel/contas/painel-html", "/painel/contas?busca=painel-html", f"/painel/contas?busca={holder}"):
        shown = open_page(node, path)
        assert shown.inline == []
        assert "img" not in shown.tags
    assert " ".join(holder.split()) in open_page(node, "/painel/contas/painel-html").text


# --- forms ------------------------------------------------------------------------------------------------------


def test_money_moves_by_forms_alone_and_each_leads_to_a_receipt(bank: Cluster, account: str) -> None:
    node, other = bank.nodes[:2]
    here = f"/painel/contas/{account}"
    steps = [
        ("deposito", {"valor": "1234,56"}, "Feito: Depósito R$ 1.234,56", "1244.56"),
        ("saque", {"valor": "44.56"}, "Feito: Saque R$ 44,56", "1200.00"),
        (
            "transferencia",
            {"valor": "200", "conta_destino": "painel-bia"},
            "Feito: Transferência R$ 200,00 → painel-bia",
            "1000.00",
        ),
    ]
    for form, fields, receipt, left in steps:
        sent = open_page(node, here).send(f"{here}/{form}", **fields)
        assert sent.status_code == 303
        assert receipt in open_page(node, sent.headers["Location"]).text
        assert balance(other, account) == left


def test_a_form_sent_twice_is_one_deposit(bank: Cluster, account: str) -> None:
    here = f"/painel/contas/{account}"
    page = open_page(bank.nodes[0], here)
    first, second = (page.send(f"{here}/deposito", valor="5") for _ in range(2))
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    assert balance(bank.nodes[2], account) == "15.00"
    assert open_page(bank.nodes[0], here).send(f"{here}/deposito", valor="5").status_code == 303
    assert balance(bank.nodes[2], account) == "20.00", "a page opened anew is another deposit"


def test_every_form_has_a_key_of_its_own_and_no_page_comes_from_a_cache(bank: Cluster) -> None:
    node = bank.nodes[0]
    keys = [form["Idempotency-Key"] for _ in range(2) for form in open_page(node, PAGES[2]).forms.values()]
    assert len(set(keys)) == len(keys) == 6
    assert node.get(PAGES[2]).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("form", "fields", "status", "sentence"),
    [
        ("saque", {"valor": "10,01"}, 422, "não cobre o valor"),
        ("transferencia", {"valor": "1", "conta_destino": "nao-ha"}, 404, "Não há conta com este identificador"),
        ("deposito", {"valor": "9999999999999,99"}, 422, "O saldo passaria de"),
        ("deposito", {"valor": "0"}, 400, "deve ser maior que 0"),
        ("deposito", {"valor": ""}, 400, "é obrigatório"),
        ("deposito", {"valor": "1.234,56"}, 400, "deve ter a forma"),
        ("deposito", {"valor": "1e3"}, 400, "deve ter a forma"),
        ("transferencia", {"valor": "1", "conta_destino": "a b"}, 400, "começar por letra ou dígito"),
        ("deposito", {"valor": "1", "Idempotency-Key": ""}, 400, "sem a sua chave"),
    ],
)
def test_a_refusal_is_explained_on_the_same_page_with_what_was_sent_and_a_new_key(
    bank: Cluster, account: str, form: str, fields: dict[str, str], status: int, sentence: str
) -> None:
    here = f"/painel/contas/{account}"
    before = open_page(bank.nodes[0], here)
    page = Page(before.send(f"{here}/{form}", **fields))
    assert page.status == status
    assert sentence in page.text
    again = page.forms[f"{here}/{form}"]
    assert again["valor"] == fields["valor"]
    assert again["Idempotency-Key"] not in {"", before.forms[f"{here}/{form}"]["Idempotency-Key"]}
    assert balance(bank.nodes[0], account) == "10.00"
    assert page.send(f"{here}/{form}", valor="1", conta_destino="painel-bia").status_code == 303


def test_a_transfer_to_itself_and_an_account_opened_twice_are_refused_in_words(bank: Cluster, account: str) -> None:
    node = bank.nodes[0]
    here = f"/painel/contas/{account}"
    sent = open_page(node, here).send(f"{here}/transferencia", valor="1", conta_destino=account)
    assert (sent.status_code, "a mesma conta" in sent.text) == (422, True)
    sent = open_page(node, "/painel/contas").send("/painel/contas", id_conta=account)
    assert (sent.status_code, "Conta já existe" in sent.text) == (409, True)


@pytest.mark.parametrize("path", ["a%20b", "-x", "%3Cscript%3E"])
def test_what_can_be_no_account_never_reaches_the_log(bank: Cluster, path: str) -> None:
    node = bank.nodes[0]
    bank.settled_books()
    before = node.get("/painel/pulso").json()["lancamentos"]
    fields = {"Idempotency-Key": secrets.token_hex(8), "valor": "1"}
    sent = requests.post(f"{node.url}/painel/contas/{path}/deposito", data=fields, timeout=15)
    assert (sent.status_code, "Conta não encontrada" in sent.text) == (404, True)
    assert node.get("/painel/pulso").json()["lancamentos"] == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "https://example.org", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_a_form_from_another_site_is_refused(bank: Cluster, account: str, headers: dict[str, str]) -> None:
    here = f"/painel/contas/{account}"
    page = open_page(bank.nodes[0], here)
    sent = page.send(f"{here}/deposito", headers=headers, valor="1")
    assert sent.status_code == 403
    assert "veio de outro site" in sent.text
    assert balance(bank.nodes[0], account) == "10.00"
    own = {"Origin": bank.nodes[0].url, "Sec-Fetch-Site": "same-origin"}
    assert page.send(f"{here}/deposito", headers=own, valor="1").status_code == 303


# --- English ----------------------------------------------------------------------------------------------------


def test_english_is_chosen_once_and_remembered(bank: Cluster) -> None:
    node = bank.nodes[0]
    with requests.Session() as visitor:
        assert Page(visitor.get(f"{node.url}/?lang=en", timeout=15)).lang == "en"
        page = Page(visitor.get(f"{node.url}/painel/contas/painel-ana", timeout=15))
        assert page.lang == "en"
        assert "Statement" in page.text
        assert "R$ 100.00" in page.text
        assert Page(visitor.get(f"{node.url}/?lang=pt", timeout=15)).lang == "pt-BR"
        assert Page(visitor.get(f"{node.url}/", timeout=15)).lang == "pt-BR"
    assert open_page(node, "/?lang=xx").lang == "pt-BR"


def test_every_text_has_its_english() -> None:
    english = json.loads((PANEL / "english.json").read_text(encoding="utf-8"))
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in PANEL.rglob("*") if path.suffix in {".html", ".py"}
    )
    texts = set(re.findall(r"""\bt(?:ranslate)?\(["']([^"']+)["']""", sources))
    texts |= {text for pair in re.findall(r'\bt\("([^"]+)" if [^)]* else "([^"]+)"', sources) for text in pair}
    texts |= set(re.findall(r'field\("\w+", "([^"]+)"', sources)) | set(re.findall(r'hint="([^"]+)"', sources))
    texts |= {*words.OPERATIONS.values(), *SENTENCES.values(), *(kind.title for kind in CODIGOS.values())}
    assert len(texts) > 100, "a check that saw nothing proves nothing"
    assert texts - english.keys() == set()
