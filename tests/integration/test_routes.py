"""Every route answers what API clients know, at any counter, in the shape that `/openapi.json` tells."""

import itertools
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.support.cluster import Cluster, NodeProcess


@pytest.fixture(scope="module")
def bank(three_nodes: Cluster) -> Cluster:
    """Three nodes with the accounts maria (100.00, limit 50.00) and joao (0.00)."""
    first = three_nodes.nodes[0]
    assert (
        first.post("/contas", {"id_conta": "maria", "saldo": 100, "limite": 50, "titular": "Maria"}).status_code == 201
    )
    assert first.post("/contas", {"id_conta": "joao"}).status_code == 201
    return three_nodes


@pytest.fixture(scope="module")
def document(bank: Cluster) -> dict[str, Any]:
    """The OpenAPI document."""
    content: dict[str, Any] = bank.nodes[0].get("/openapi.json").json()
    return content


def exact(answer: requests.Response) -> Any:
    return answer.json(parse_float=Decimal)


def test_an_account_is_opened_with_what_was_asked(bank: Cluster) -> None:
    answer = bank.nodes[1].post("/contas", {"id_conta": "ana", "saldo": "10.5", "limite": 3, "titular": "Ana"})
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/contas/ana"
    assert '"saldo":10.50' in answer.text, "exactly two decimals"
    shown = exact(bank.nodes[2].get("/contas/ana"))
    assert shown["sucesso"] is True
    assert (shown["saldo"], shown["limite"], shown["saldo_disponivel"]) == (Decimal("10.50"), 3, Decimal("13.50"))
    assert (shown["titular"], shown["banco"], shown["situacao"], shown["versao"]) == (
        "Ana",
        bank.nodes[1].name,
        "ativa",
        1,
    )


@pytest.mark.parametrize("body", [{"id": "k1"}, {"conta": "k2", "saldo_inicial": 1}, {"id_conta": 77}])
def test_the_keys_of_known_clients_are_understood(bank: Cluster, body: dict[str, Any]) -> None:
    assert bank.nodes[0].post("/contas", body).status_code == 201


@pytest.mark.parametrize("key", ["conta_destino", "id_destino", "id_conta_destino", "destino"])
@pytest.mark.parametrize("path", ["/transferencia/maria", "/transferenciamaria", "/contas/maria/transferencia"])
def test_a_transfer_under_every_spelling(bank: Cluster, path: str, key: str) -> None:
    before = [exact(bank.nodes[0].get(f"/contas/{name}"))["saldo"] for name in ("maria", "joao")]
    answer = bank.nodes[1].post(path, {key: "joao", "valor": "0.01", "servidor": bank.nodes[2].name})
    assert answer.status_code == 200, answer.text
    after = [exact(bank.nodes[2].get(f"/contas/{name}"))["saldo"] for name in ("maria", "joao")]
    assert after == [before[0] - Decimal("0.01"), before[1] + Decimal("0.01")]
    content = exact(answer)
    assert (content["id_conta"], content["conta_destino"], content["saldo"]) == ("maria", "joao", after[0])


def test_a_repeat_gets_the_first_answer_at_any_counter(bank: Cluster) -> None:
    headers = {"Idempotency-Key": '"quoted or bare"'}
    first = bank.nodes[0].post("/contas/maria/deposito", {"valor": 7}, headers=headers)
    assert "Idempotency-Replayed" not in first.headers
    for node in bank.nodes:
        again = node.post("/contas/maria/deposito", {"valor": 7}, headers={"Idempotency-Key": "quoted or bare"})
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == first.json()
    other = bank.nodes[2].post("/contas/maria/deposito", {"valor": 8}, headers=headers)
    assert (other.status_code, other.json()["codigo"]) == (422, "CHAVE_REUTILIZADA")


def test_a_refusal_is_repeated_too(bank: Cluster) -> None:
    headers = {"Idempotency-Key": "too-much"}
    for node, replayed in ((bank.nodes[0], None), (bank.nodes[1], "true")):
        answer = node.post("/contas/joao/saque", {"valor": 10**9}, headers=headers)
        assert (answer.status_code, answer.json()["codigo"]) == (422, "SALDO_INSUFICIENTE")
        assert answer.headers.get("Idempotency-Replayed") == replayed
        assert answer.json()["id_operacao"] == "too-much"
    seen = {"X-Posicao-Minima": answer.headers["X-Posicao"]}
    shown = bank.nodes[2].get("/operacoes/too-much", headers=seen).json()
    assert (shown["situacao"], shown["codigo"]) == ("recusada", "SALDO_INSUFICIENTE")


def test_accounts_come_in_pages(bank: Cluster) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = bank.nodes[1].get("/contas", params={"depois": after, "limite": 2}).json()
        seen += [account["id_conta"] for account in page["contas"]]
        after = page["proxima"]
    assert seen == sorted(set(seen))
    assert {"maria", "joao"} <= set(seen)


def test_a_statement_leads_from_the_balance_back_to_the_opening(bank: Cluster) -> None:
    lines: list[dict[str, Any]] = []
    cursor: int | None = None
    while not lines or cursor is not None:
        page = exact(
            bank.nodes[0].get("/contas/maria/extrato", params={"limite": 3} | ({"antes": cursor} if cursor else {}))
        )
        lines += page["lancamentos"]
        cursor = page["anterior"]
    assert [line["versao"] for line in lines] == list(range(len(lines), 0, -1))
    assert lines[-1]["op"] == "abertura"
    assert lines[0]["saldo"] == exact(bank.nodes[0].get("/contas/maria"))["saldo"]
    for newer, older in itertools.pairwise(lines):
        assert newer["saldo"] == older["saldo"] + newer["valor"]


def by_any_name(node: NodeProcess) -> list[str]:
    return [
        node.name,
        f"127.0.0.1:{node.port}",
        f"localhost:{node.port}",
        node.url,
        f"http:%2F%2Flocalhost:{node.port}",
    ]


def test_another_counter_is_asked_by_any_of_its_names(bank: Cluster) -> None:
    asked, other = bank.nodes[:2]
    for name in by_any_name(other):
        answer = asked.get(f"/saldo-outro-servidor/maria/{name}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["servidor"] == other.url
        assert exact(answer)["saldo"] == exact(other.get("/contas/maria"))["saldo"]


def test_an_operation_at_another_counter_passes_its_key_on(bank: Cluster) -> None:
    asked, other = bank.nodes[:2]
    body = {"id_conta": "maria", "valor": 1, "endereco_servidor": other.name, "tipo": "saque"}
    first = asked.post("/transacao-outro-servidor", body, headers={"Idempotency-Key": "elsewhere"})
    assert first.status_code == 200
    assert (first.json()["servidor"], first.json()["id_operacao"]) == (other.url, "elsewhere")
    again = asked.post("/transacao-outro-servidor", body, headers={"Idempotency-Key": "elsewhere"})
    assert again.headers["Idempotency-Replayed"] == "true"
    refused = asked.post("/transacao-outro-servidor", body | {"id_conta": "nobody"})
    assert (refused.status_code, refused.json()["codigo"]) == (404, "CONTA_NAO_ENCONTRADA")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["servidor"] == other.url


def test_the_cluster_shows_every_counter_alike(bank: Cluster) -> None:
    bank.settled_books()
    for node in bank.nodes:
        content = node.get("/cluster").json()
        assert content["livro"]["tipo"] in {"embutido", "rabbitmq"}
        assert content["livro"]["estado"] == "conectado"
        assert [peer["nome"] for peer in content["nos"]] == sorted(other.name for other in bank.nodes)


@pytest.mark.parametrize("path", ["/saude", "/saude/vivo", "/saude/pronto"])
def test_a_healthy_node_says_so(bank: Cluster, path: str) -> None:
    content = bank.nodes[0].get(path).json()
    assert (content["estado"], content["vivo"], content["pronto"], content["motivos"]) == ("pronto", True, True, [])
    assert all(content["linhas"].values())


@pytest.mark.parametrize("path", ["/", "/problemas", "/problemas/saldo-insuficiente", "/docs", "/docs/swagger"])
def test_pages_for_people(bank: Cluster, path: str) -> None:
    answer = bank.nodes[0].get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


def test_every_problem_explains_itself(bank: Cluster, document: dict[str, Any]) -> None:
    for codigo in document["components"]["schemas"]["Problema"]["properties"]["codigo"]["enum"]:
        page = bank.nodes[0].get(f"/problemas/{codigo.lower().replace('_', '-')}")
        assert page.status_code == 200
        assert codigo in page.text


def test_answers_have_the_shape_that_the_document_tells(bank: Cluster, document: dict[str, Any]) -> None:
    node, other = bank.nodes[:2]
    asked = {
        ("post", "/contas"): node.post("/contas", {"id_conta": "shape"}),
        ("get", "/contas"): node.get("/contas"),
        ("get", "/contas/{id_conta}"): node.get("/contas/maria"),
        ("post", "/contas/{id_conta}/deposito"): node.post("/contas/maria/deposito", {"valor": 1}),
        ("post", "/contas/{id_conta}/saque"): node.post("/contas/maria/saque", {"valor": 1}),
        ("get", "/contas/{id_conta}/extrato"): node.get("/contas/maria/extrato"),
        ("post", "/transferencia/{id_conta}"): node.post("/transferencia/maria", {"destino": "joao", "valor": 1}),
        ("post", "/transferencia{id_conta}"): node.post("/transferenciamaria", {"destino": "joao", "valor": 1}),
        ("post", "/contas/{id_conta}/transferencia"): node.post(
            "/contas/maria/transferencia", {"destino": "joao", "valor": 1}
        ),
        ("post", "/lote"): node.post("/lote", {"operacoes": [{"op": "deposito", "id_conta": "maria", "valor": 1}]}),
        ("get", "/saldo-outro-servidor/{id_conta}/{endereco_servidor}"): node.get(
            f"/saldo-outro-servidor/maria/{other.name}"
        ),
        ("post", "/transacao-outro-servidor"): node.post(
            "/transacao-outro-servidor", {"id_conta": "maria", "valor": 1, "servidor": other.name}
        ),
        ("get", "/cluster"): node.get("/cluster"),
        ("get", "/auditoria"): node.get("/auditoria"),
        ("get", "/saude"): node.get("/saude"),
        ("get", "/saude/vivo"): node.get("/saude/vivo"),
        ("get", "/saude/pronto"): node.get("/saude/pronto"),
    }
    last = asked["post", "/contas/{id_conta}/saque"].json()["id_operacao"]
    asked["get", "/operacoes/{id_operacao}"] = node.get(f"/operacoes/{last}")
    told = {(method, path) for path, item in document["paths"].items() for method in item}
    no_json = {("get", "/eventos"), ("get", "/metrics")}  # test_events.py and test_metrics.py read them
    assert asked.keys() == told - no_json, "every other route of the document, and no other"
    for (method, path), answer in asked.items():
        good = "201" if (method, path) == ("post", "/contas") else "200"
        assert str(answer.status_code) == good, f"{method} {path}: {answer.text}"
        schema = document["paths"][path][method]["responses"][good]["content"]["application/json"]["schema"]
        assert_shape(answer.json(), schema, f"{method} {path}")


def assert_shape(value: Any, schema: dict[str, Any], where: str) -> None:
    """Check names only, at every level; tests/integration/test_schema.py checks types."""
    if "properties" in schema:
        assert value.keys() <= schema["properties"].keys(), where
        assert set(schema["required"]) <= value.keys(), where
        for name, item in value.items():
            assert_shape(item, schema["properties"][name], f"{where} {name}")
    elif "items" in schema:
        for item in value:
            assert_shape(item, schema["items"], where)
