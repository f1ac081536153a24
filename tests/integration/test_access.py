"""Who may do what: each route, for each role, with each state of a token, against a real node."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
import requests

from api import create_app
from bank.client import Bank, Refused
from bank.config import Config
from bank.routes.access import ALLOWED, NOT_ASKED
from bank.runtime import open_runtime
from bank.tokens import store
from bank.tokens.principals import Role
from replication.snapshot import KEY_HEADER
from tests.support.cluster import Cluster, NodeProcess
from tests.support.doors import KEY, Tokens, asks_from, bearer

ADDRESSES = itertools.count()


class Locked(NamedTuple):
    """Two nodes that ask who comes."""

    cluster: Cluster
    tokens: Tokens

    def ask(self, who: str, method: str, path: str, json: Any = None, *, node: int = 0, **headers: str) -> Any:
        """Ask as this role, and read no body: a stream has no end."""
        shown = bearer(self.tokens.of[who]) if who in self.tokens.of else {}
        url = self.cluster.nodes[node].url + path.replace("{second}", self.cluster.nodes[1].name)
        # From an address of its own: wrong tokens are counted by address.
        with asks_from(f"127.0.{next(ADDRESSES) // 200}.{next(ADDRESSES) % 200 + 1}") as session, closing(
            session.request(
                method, url, json=json, headers=headers | shown, timeout=15, stream=path == "/eventos",
                allow_redirects=False,
            )
        ) as response:  # fmt: skip
            return response


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("trancado")
    tokens = Tokens(folder)
    with Cluster.running(folder / "dados", 2, environments=[tokens.environment] * 2) as cluster:
        locked = Locked(cluster, tokens)
        for account in ("ana", "bia"):
            assert locked.ask("operador", "POST", "/contas", {"id_conta": account, "saldo": 1000}).status_code == 201
        yield locked


VALUE = {"valor": "0.01"}
ELSEWHERE = {"id_conta": "ana", "valor": "0.01", "endereco_servidor": "{second}", "tipo": "deposito"}
TO_BIA = {"conta_destino": "bia", "valor": "0.01"}
BATCH = {"operacoes": [{"op": "deposito", "id_conta": "ana", "valor": "0.01"}]}

EVERY = "cliente operador auditor admin"
ROUTES: dict[tuple[str, str], tuple[Any, str]] = {
    ("GET", "/contas"): (None, "operador auditor admin"),
    ("POST", "/contas"): ({"id_conta": "bia"}, "operador admin"),
    ("GET", "/contas/ana"): (None, EVERY),
    ("GET", "/contas/bia"): (None, "operador auditor admin"),
    ("GET", "/contas/nobody"): (None, "operador auditor admin"),
    ("GET", "/contas/ana/extrato"): (None, EVERY),
    ("GET", "/contas/bia/extrato"): (None, "operador auditor admin"),
    ("POST", "/contas/ana/deposito"): (VALUE, "cliente operador admin"),
    ("POST", "/contas/bia/deposito"): (VALUE, "operador admin"),
    ("POST", "/contas/ana/saque"): (VALUE, "cliente operador admin"),
    ("POST", "/contas/bia/saque"): (VALUE, "operador admin"),
    ("POST", "/transferencia/ana"): (TO_BIA, "cliente operador admin"),
    ("POST", "/transferenciaana"): (TO_BIA, "cliente operador admin"),
    ("POST", "/contas/ana/transferencia"): (TO_BIA, "cliente operador admin"),
    ("POST", "/transferencia/bia"): ({"conta_destino": "ana", "valor": 1}, "operador admin"),
    ("POST", "/lote"): (BATCH, "operador admin"),
    ("GET", "/saldo-outro-servidor/ana/{second}"): (None, EVERY),
    ("GET", "/saldo-outro-servidor/bia/{second}"): (None, "operador auditor admin"),
    ("POST", "/transacao-outro-servidor"): (ELSEWHERE, "cliente operador admin"),
    ("POST", "/transacao-outro-servidor?"): (ELSEWHERE | {"id_conta": "bia"}, "operador admin"),
    ("GET", "/operacoes/x"): (None, EVERY),
    ("GET", "/eventos"): (None, "operador auditor admin"),
    ("GET", "/cluster"): (None, "operador auditor admin"),
    ("GET", "/auditoria"): (None, "auditor admin"),
    ("GET", "/metrics"): (None, "auditor admin"),
    ("GET", "/"): (None, "operador auditor admin"),
    ("GET", "/painel/ao-vivo"): (None, "operador auditor admin"),
    ("GET", "/painel/auditoria"): (None, "auditor admin"),
    ("GET", "/painel/pulso"): (None, "operador auditor admin"),
    ("GET", "/painel/contas"): (None, "operador auditor admin"),
    ("POST", "/painel/contas"): (None, "operador admin"),
    ("GET", "/painel/contas/ana"): (None, EVERY),
    ("GET", "/painel/contas/bia"): (None, "operador auditor admin"),
    ("POST", "/painel/contas/ana/deposito"): (None, "cliente operador admin"),
    ("POST", "/painel/contas/ana/saque"): (None, "cliente operador admin"),
    ("POST", "/painel/contas/ana/transferencia"): (None, "cliente operador admin"),
    ("POST", "/painel/contas/bia/deposito"): (None, "operador admin"),
}
"""What is asked, and which roles get an answer to it."""
FOR_EVERYBODY = [
    "/saude",
    "/saude/vivo",
    "/saude/pronto",
    "/openapi.json",
    "/docs",
    "/problemas",
    "/problemas/mesma-conta",
]
BEHIND_THE_KEY = {
    ("GET", "/cluster/copia"): None,
    ("GET", "/cluster/resumos/1"): None,
    ("GET", "/cluster/contas"): None,
    ("POST", "/cluster/reabertura"): {},
    ("POST", "/cluster/retorno"): {},
    ("POST", "/cluster/retirada"): {"banco": "nobody"},
    ("POST", "/cluster/versao"): {"versao": 1},
}
WRONG = "banco_000000000000_" + "A" * 43


def spelled(locked: Locked, body: Any) -> Any:
    if body is None or "endereco_servidor" not in body:
        return body
    return body | {"endereco_servidor": locked.cluster.nodes[1].name}


@pytest.mark.parametrize("who", EVERY.split())
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_role_gets_what_it_may_have(locked: Locked, route: tuple[str, str], who: str) -> None:
    body, allowed = ROUTES[route]
    status = locked.ask(who, *route, spelled(locked, body)).status_code
    if who in allowed.split():
        assert status not in {401, 403}
    else:
        assert status == 403


@pytest.mark.parametrize("shown", ["none", "wrong", "revoked", "cut", "another scheme"])
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_nobody_gets_anything_without_a_token_that_counts(locked: Locked, route: tuple[str, str], shown: str) -> None:
    headers = {
        "none": {},
        "wrong": bearer(WRONG),
        "revoked": bearer(locked.tokens.revoked),
        "cut": bearer(locked.tokens.of["admin"][:-1]),
        "another scheme": {"Authorization": f"Token {locked.tokens.of['admin']}"},
    }[shown]
    answer = locked.ask("nobody", *route, spelled(locked, ROUTES[route][0]), **headers)
    assert answer.status_code == 401
    scheme = "Basic" if route[1] == "/" or route[1].startswith("/painel") else "Bearer"
    assert answer.headers["WWW-Authenticate"].startswith(scheme)
    assert "X-Posicao" not in answer.headers


@pytest.mark.parametrize("path", FOR_EVERYBODY)
def test_what_is_for_everybody_asks_nobody(locked: Locked, path: str) -> None:
    assert locked.ask("nobody", "GET", path).status_code in {200, 302}


@pytest.mark.parametrize("who", ["nobody", "admin"])
@pytest.mark.parametrize("route", BEHIND_THE_KEY, ids=" ".join)
def test_what_nodes_ask_one_another_wants_their_key_and_no_token_opens_it(
    locked: Locked, route: tuple[str, str], who: str
) -> None:
    assert locked.ask(who, *route, BEHIND_THE_KEY[route]).status_code == 401


def test_the_key_between_nodes_opens_it(locked: Locked) -> None:
    assert locked.ask("nobody", "GET", "/cluster/resumos/1", None, **{KEY_HEADER: KEY}).status_code == 200


def test_every_endpoint_has_its_row(tmp_path: Any) -> None:
    node = open_runtime(Config(node_name="banco-1", data_dir=tmp_path), on_end=lambda _: None)
    rules = {rule.endpoint for rule in create_app(node).url_map.iter_rules()}
    node.stop()
    assert rules == ALLOWED.keys() | NOT_ASKED
    assert not ALLOWED.keys() & NOT_ASKED


def test_a_refusal_does_not_tell_whether_an_account_is_there(locked: Locked) -> None:
    told = []
    for account in ("bia", "nobody"):
        answer = locked.ask("cliente", "GET", f"/contas/{account}")
        content = requests.get(answer.url, headers=bearer(locked.tokens.of["cliente"]), timeout=15).json()
        del content["instance"]
        told.append((answer.status_code, content, sorted(answer.headers)))
    assert told[0] == told[1]


def test_a_token_is_made_and_revoked_while_nodes_run(locked: Locked) -> None:
    node = locked.cluster.nodes[0]
    token = locked.tokens.add("new", Role.AUDITOR)
    assert node.get("/auditoria", headers=bearer(token)).status_code == 200
    store.revoke(locked.tokens.path, name="new", now="2026-01-01T00:00:00Z")
    assert node.get("/auditoria", headers=bearer(token)).status_code == 401


def test_a_browser_shows_its_token_as_a_password_where_no_other_site_can_use_it(locked: Locked) -> None:
    node, basic = locked.cluster.nodes[0], ("anybody", locked.tokens.of["admin"])
    assert node.get("/", auth=basic).status_code == 200
    assert node.get("/auditoria", auth=basic).status_code == 200, "what the panel's pages ask"
    assert node.post("/contas/ana/deposito", VALUE, auth=basic).status_code == 401
    form = {"valor": "1", "Idempotency-Key": "from-a-page"}
    path = f"{node.url}/painel/contas/ana/deposito"
    sent = requests.post(path, data=form, auth=basic, timeout=15, allow_redirects=False)
    assert sent.status_code == 303
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    assert requests.post(path, data=form, auth=basic, headers=elsewhere, timeout=15).status_code == 403


def test_the_receipt_of_a_form_is_found_by_whoever_sent_it(locked: Locked) -> None:
    node, form = locked.cluster.nodes[0], {"valor": "7,01", "Idempotency-Key": "receipt"}
    for who, sees in (("operador", True), ("admin", False)):
        basic = ("x", locked.tokens.of[who])
        path = f"{node.url}/painel/contas/bia"
        if sees:
            requests.post(f"{path}/deposito", data=form, auth=basic, timeout=15)
        page = requests.get(f"{path}?operacao=receipt", auth=basic, timeout=15).text
        assert ("<code>receipt</code>" in page) == sees


def test_keys_of_two_principals_are_two_keys_and_come_back_as_they_were_sent(locked: Locked) -> None:
    node, asked = locked.cluster.nodes[0], {"valor": 5}
    told = [
        node.post("/contas/ana/deposito", asked, headers=bearer(locked.tokens.of[who]) | {"Idempotency-Key": "same"})
        for who in ("cliente", "operador", "cliente")
    ]
    assert [answer.json()["id_operacao"] for answer in told] == ["same"] * 3
    assert [answer.headers.get("Idempotency-Replayed") for answer in told] == [None, None, "true"]
    assert told[2].json()["saldo"] == told[0].json()["saldo"]


def test_a_key_of_another_tells_nothing(locked: Locked) -> None:
    node, headers = locked.cluster.nodes[0], {"Idempotency-Key": "secret"}
    node.post("/contas/bia/deposito", {"valor": 5}, headers=headers | bearer(locked.tokens.of["operador"]))
    seen = node.get("/operacoes/secret", headers=bearer(locked.tokens.of["cliente"]))
    assert seen.status_code == 404
    used = node.post("/contas/ana/deposito", {"valor": 6}, headers=headers | bearer(locked.tokens.of["cliente"]))
    assert (used.status_code, used.headers.get("Idempotency-Replayed")) == (200, None)
    assert node.get("/operacoes/secret", headers=bearer(locked.tokens.of["cliente"])).json()["valor"] == 6


def test_who_asked_is_seen_by_those_who_audit(locked: Locked) -> None:
    node = locked.cluster.nodes[0]
    shown = bearer(locked.tokens.of["cliente"])
    node.post("/contas/ana/saque", {"valor": 3}, headers=shown | {"X-Request-ID": "caixa-eletronico/7"})
    line = {
        who: node.get("/contas/ana/extrato?limite=1", headers=bearer(locked.tokens.of[who])).json()["lancamentos"][0]
        for who in ("auditor", "admin", "operador", "cliente")
    }
    assert line["auditor"]["autor"] == line["admin"]["autor"] == "ana"
    assert line["auditor"]["endereco"] == "127.0.0.1"
    assert line["auditor"]["pedido"] == "caixa-eletronico/7"
    assert not {"autor", "endereco", "pedido"} & (line["operador"].keys() | line["cliente"].keys())


def test_a_batch_is_its_principals(locked: Locked) -> None:
    node, headers = locked.cluster.nodes[0], bearer(locked.tokens.of["operador"]) | {"Idempotency-Key": "batch"}
    for atomic in (False, True):
        body = BATCH | {"atomico": atomic}
        answer = node.post("/lote", body, headers=headers | {"Idempotency-Key": f"batch-{atomic}"}).json()
        assert answer["id_operacao"] == f"batch-{atomic}"
        assert [result["id_operacao"] for result in answer["resultados"]] == [f"batch-{atomic}/0"]
    line = node.get("/contas/ana/extrato?limite=2", headers=bearer(locked.tokens.of["auditor"])).json()["lancamentos"]
    assert [entry["autor"] for entry in line] == ["operador"] * 2


def test_a_repeat_across_the_day_on_which_tokens_came_is_one_operation(tmp_path: Any) -> None:
    tokens = Tokens(tmp_path)
    node = NodeProcess(tmp_path / "dados").start().wait_ready()
    node.post("/contas", {"id_conta": "ana"})
    node.post("/contas/ana/deposito", {"valor": 5}, headers={"Idempotency-Key": "across"})
    node.stop()
    node = NodeProcess(tmp_path / "dados", port=node.port, environment=tokens.environment).start().wait_ready()
    try:
        shown = bearer(tokens.of["cliente"]) | {"Idempotency-Key": "across"}
        again = node.post("/contas/ana/deposito", {"valor": 5}, headers=shown)
        assert (again.json()["saldo"], again.headers["Idempotency-Replayed"]) == (5, "true")
        assert node.get("/operacoes/across", headers=shown).json()["valor"] == 5
        other = node.post("/contas/ana/deposito", {"valor": 6}, headers=shown)
        assert (other.status_code, other.json()["saldo"]) == (200, 11), "another request than that of old"
    finally:
        node.kill()


def test_the_python_client_shows_its_credential(locked: Locked) -> None:
    with Bank(locked.cluster.urls, credential=locked.tokens.of["cliente"]) as bank:
        assert bank.deposit("ana", "0.01").account_id == "ana"
        with pytest.raises(Refused, match="NAO_AUTORIZADO"):
            bank.account("bia")
    with Bank(locked.cluster.urls) as bank, pytest.raises(Refused, match="NAO_AUTENTICADO"):
        bank.account("ana")


def test_the_document_says_where_a_token_is_asked_for(locked: Locked) -> None:
    document = locked.cluster.nodes[0].get("/openapi.json").json()
    asks = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "security" in operation
    }
    assert ("POST", "/lote") in asks
    assert ("GET", "/saude") not in asks
    for _, path in asks:
        assert all({"401", "403"} <= operation["responses"].keys() for operation in document["paths"][path].values())


def test_no_token_stands_in_any_log(locked: Locked) -> None:
    locked.ask("admin", "GET", "/nowhere")
    locked.ask("nobody", "GET", "/contas", None, **bearer(WRONG))
    for node in locked.cluster.nodes:
        said = node.output()
        assert KEY not in said
        assert [token for token in (*locked.tokens.of.values(), WRONG) if token.split("_", 2)[2] in said] == []
