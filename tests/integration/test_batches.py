"""`POST /lote`: many operations in one request, each with its outcome and in order, or all or none."""

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.support.cluster import Cluster, NodeProcess

NAMES = itertools.count()


@pytest.fixture
def account(three_nodes: Cluster) -> str:
    """An account of the test's own with 100.00 and a limit of 50.00."""
    name = f"lote-{next(NAMES)}"
    opened = three_nodes.nodes[0].post("/contas", {"id_conta": name, "saldo": 100, "limite": 50})
    assert opened.status_code == 201
    return name


@pytest.fixture
def key() -> Iterator[str]:
    """A key of the test's own."""
    return f"chave {next(NAMES)}"


def send(node: NodeProcess, *operations: Any, key: str | None = None, **fields: Any) -> requests.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return node.post("/lote", {"operacoes": list(operations)} | fields, headers=headers)


def deposit(account: str, amount: object = 1, **fields: Any) -> dict[str, Any]:
    return {"op": "deposito", "id_conta": account, "valor": amount} | fields


def outcomes(answer: requests.Response) -> list[object]:
    """Return of each result the balance or the `codigo`."""
    assert answer.status_code == 200, answer.text
    results = answer.json(parse_float=Decimal)["resultados"]
    return [result["saldo"] if result["sucesso"] else result["codigo"] for result in results]


def balance(node: NodeProcess, account: str) -> Decimal:
    return Decimal(node.get(f"/contas/{account}").json(parse_float=Decimal)["saldo"])


def test_each_operation_has_its_outcome_in_the_order_of_the_request(three_nodes: Cluster, account: str) -> None:
    new = f"{account}-b"
    answer = send(
        three_nodes.nodes[1],
        {"op": "abertura", "id_conta": new, "titular": "Bia", "limite": "0.50"},
        deposit(new, "10.5"),
        {"op": "saque", "id_conta": new, "valor": 11.01},
        {"op": "transferencia", "id_conta": new, "conta_destino": account, "valor": "11.00"},
        deposit("ninguem"),
        {"op": "abertura", "id_conta": new},
        {"op": "transferencia", "id_conta": new, "conta_destino": new, "valor": 1},
    )
    assert outcomes(answer) == [
        0, Decimal("10.50"), "SALDO_INSUFICIENTE", Decimal("-0.50"), "CONTA_NAO_ENCONTRADA", "CONTA_JA_EXISTE",
        "MESMA_CONTA",
    ]  # fmt: skip
    content = answer.json()
    assert [result["status"] for result in content["resultados"] if not result["sucesso"]] == [422, 404, 409, 422]
    assert [result["resultado"] for result in content["resultados"] if not result["sucesso"]] == ["nao_aplicado"] * 4
    assert content["resultados"][3]["conta_destino"] == account
    ids = [result["id_operacao"] for result in content["resultados"]]
    assert ids == [f"{content['id_operacao']}/{number}" for number in range(7)]
    assert balance(three_nodes.nodes[2], account) == 111


def test_a_repeat_gets_the_same_outcomes_at_any_node(three_nodes: Cluster, account: str, key: str) -> None:
    asked = [deposit(account, 5), {"op": "saque", "id_conta": account, "valor": 10**6}]
    first = send(three_nodes.nodes[0], *asked, key=key)
    assert "Idempotency-Replayed" not in first.headers
    assert [result["id_operacao"] for result in first.json()["resultados"]] == [f"{key}/0", f"{key}/1"]
    for node in three_nodes.nodes:
        again = send(node, *asked, key=key)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert outcomes(again) == outcomes(first) == [105, "SALDO_INSUFICIENTE"]
        assert [result["repetida"] for result in again.json()["resultados"]] == [True, True]
        assert again.json()["resultados"][0]["posicao"] == first.json()["resultados"][0]["posicao"]
    longer = send(three_nodes.nodes[1], deposit(account, 6), asked[1], deposit(account), key=key)
    assert outcomes(longer) == ["CHAVE_REUTILIZADA", "SALDO_INSUFICIENTE", 106]
    assert "Idempotency-Replayed" not in longer.headers


def test_an_operation_is_the_same_alone_and_in_a_batch(three_nodes: Cluster, account: str, key: str) -> None:
    alone = three_nodes.nodes[0].post(
        f"/contas/{account}/deposito", {"valor": "1.00"}, headers={"Idempotency-Key": f"{key}/1"}
    )
    assert alone.status_code == 200
    answer = send(three_nodes.nodes[1], deposit(account, 2, id="own " + key), deposit(account, 1.0), key=key)
    assert outcomes(answer) == [103, 101]
    assert [result["repetida"] for result in answer.json()["resultados"]] == [False, True]


def test_an_id_twice_in_a_batch_is_done_once(three_nodes: Cluster, account: str, key: str) -> None:
    one, other = deposit(account, id=key), deposit(account, 2, id=key)
    answer = send(three_nodes.nodes[0], one, one, other)
    assert outcomes(answer) == [101, 101, "CHAVE_REUTILIZADA"]
    assert balance(three_nodes.nodes[0], account) == 101


def test_ten_thousand_operations_take_effect_in_their_order(three_nodes: Cluster, account: str, key: str) -> None:
    asked = [deposit(account, 1)] + [
        {"op": "saque" if number % 2 else "deposito", "id_conta": account, "valor": 151} for number in range(1, 10_000)
    ]
    answer = send(three_nodes.nodes[0], *asked, key=key)
    expected = [Decimal(101)] + [Decimal(-50), Decimal(101)] * 4_999 + [Decimal(-50)]
    assert outcomes(answer) == expected, "each withdrawal takes it to its limit: no other order would do"
    assert len({result["posicao"] for result in answer.json()["resultados"]}) > 1, "more than one record"
    assert outcomes(send(three_nodes.nodes[2], *asked, key=key)) == expected


# --- all or none ------------------------------------------------------------------------------------------------


def test_an_atomic_batch_is_one_operation(three_nodes: Cluster, account: str, key: str) -> None:
    new = f"{account}-b"
    asked = [
        {"op": "abertura", "id_conta": new}, deposit(new, 7),
        {"op": "transferencia", "id_conta": new, "conta_destino": account, "valor": 7},
    ]  # fmt: skip
    first = send(three_nodes.nodes[0], *asked, key=key, atomico=True)
    assert outcomes(first) == [0, 7, 0]
    assert first.json()["id_operacao"] == key
    assert {result["posicao"] for result in first.json()["resultados"]} == {first.json()["posicao"]}
    for node in three_nodes.nodes:
        again = send(node, *asked, key=key, atomico=True)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert outcomes(again) == outcomes(first)
        shown = node.get(f"/operacoes/{key}").json()
        assert (shown["op"], shown["situacao"], shown["posicao"]) == ("lote", "aplicada", first.json()["posicao"])
    other = send(three_nodes.nodes[1], *asked[:2], key=key, atomico=True)
    assert (other.status_code, other.json()["codigo"]) == (422, "CHAVE_REUTILIZADA")
    lines = three_nodes.nodes[1].get(f"/contas/{new}/extrato").json()["lancamentos"]
    assert [(line["op"], line["id_operacao"]) for line in lines] == [
        ("transferencia", f"{key}/2"), ("deposito", f"{key}/1"), ("abertura", f"{key}/0"),
    ]  # fmt: skip
    assert balance(three_nodes.nodes[2], account) == 107


def test_an_atomic_batch_is_refused_whole_with_the_first_that_fails(
    three_nodes: Cluster, account: str, key: str
) -> None:
    asked = [deposit(account), {"op": "saque", "id_conta": account, "valor": "151.01"}, deposit("ninguem")]
    for number, node in enumerate(three_nodes.nodes):
        answer = send(node, *asked, key=key, atomico=True)
        content = answer.json()
        assert (answer.status_code, content["codigo"], content["indice"]) == (422, "SALDO_INSUFICIENTE", 1)
        assert answer.headers.get("Idempotency-Replayed") == ("true" if number else None)
        assert content["id_operacao"] == key
    three_nodes.settled_books()
    shown = three_nodes.nodes[2].get(f"/operacoes/{key}").json()
    assert (shown["situacao"], shown["codigo"], shown["indice"]) == ("recusada", "SALDO_INSUFICIENTE", 1)
    assert balance(three_nodes.nodes[1], account) == 100


def test_a_key_is_not_used_both_ways(three_nodes: Cluster, account: str, key: str) -> None:
    assert outcomes(send(three_nodes.nodes[0], deposit(account), deposit(account), key=key)) == [101, 102]
    answer = send(three_nodes.nodes[1], deposit(account), deposit(account), key=key, atomico=True)
    assert (answer.status_code, answer.json()["codigo"], answer.json()["indice"]) == (422, "CHAVE_REUTILIZADA", 0)
    assert outcomes(send(three_nodes.nodes[2], deposit(account), key=f"{key}b", atomico=True)) == [103]
    assert outcomes(send(three_nodes.nodes[2], deposit(account), key=f"{key}b")) == [103], "it was done already"
    assert balance(three_nodes.nodes[0], account) == 103


def test_an_atomic_batch_that_fits_no_record_is_too_large(three_nodes: Cluster, account: str) -> None:
    holder = "Z" * 200
    asked = [{"op": "abertura", "id_conta": f"{account}-{number:05}", "titular": holder} for number in range(5_000)]
    answer = send(three_nodes.nodes[0], *asked, atomico=True)
    assert (answer.status_code, answer.json()["codigo"]) == (413, "CORPO_GRANDE_DEMAIS")
    assert three_nodes.nodes[0].get(f"/contas/{account}-00000").status_code == 404


# --- what is refused before anything happens --------------------------------------------------------------------

BAD: dict[str, tuple[object, str]] = {
    "no field": ({"op": "deposito", "id_conta": "A"}, "valor"),
    "an unknown field": (deposit("A", servidor="x"), "servidor"),
    "another operation": ({"op": "genesis", "id_conta": "A", "valor": 1}, "op"),
    "no operation": ({"id_conta": "A", "valor": 1}, "op"),
    "a batch": ({"op": "lote", "operacoes": []}, "op"),
    "an amount with three decimals": (deposit("A", "1.005"), "valor"),
    "nothing": (deposit("A", 0), "valor"),
    "less than nothing": (deposit("A", -1), "valor"),
    "true": (deposit("A", amount=True), "valor"),
    "no amount": (deposit("A", None), "valor"),
    "a list": (deposit("A", [1]), "valor"),
    "too much": (deposit("A", 10**13), "valor"),
    "other digits": (deposit("A", "\u0661"), "valor"),
    "a balance below nothing": ({"op": "abertura", "id_conta": "A", "saldo": -1}, "saldo"),
    "an account id too long": (deposit("a" * 65), "id_conta"),
    "an account number too long": (deposit(10**64), "id_conta"),
    "a negative account number": (deposit(-1), "id_conta"),
    "an account true": (deposit(True), "id_conta"),  # type: ignore[arg-type] # noqa: FBT003
    "an empty id": (deposit("A", id=""), "id"),
    "an id too long": (deposit("A", id="k" * 256), "id"),
    "an id not ASCII": (deposit("A", id="é"), "id"),
    "a holder with a NUL": ({"op": "abertura", "id_conta": "A", "titular": "a\x00"}, "titular"),
    "no destination": ({"op": "transferencia", "id_conta": "A", "valor": 1}, "conta_destino"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("atomic", [False, True])
def test_one_malformed_operation_and_nothing_is_accepted(
    three_nodes: Cluster, account: str, name: str, *, atomic: bool
) -> None:
    bad, field = BAD[name]
    node = three_nodes.nodes[0]
    answer = send(node, deposit(account), deposit(account), bad, deposit(account), atomico=atomic)
    assert (answer.status_code, answer.json()["codigo"]) == (400, "REQUISICAO_INVALIDA")
    assert [violation["propriedade"] for violation in answer.json()["violacoes"]] == [f"operacoes[2].{field}"]
    assert balance(node, account) == 100


@pytest.mark.parametrize(
    "amount",
    [
        "1e2",
        "007",
        "NaN",
        "1e400",
        "1e999999999",
        "100.10000000000000000001",
        "1.",
        "+1",
        '"1,00"',
        '"10.00\\n"',
        '"1_0"',
    ],
)
def test_an_amount_is_read_digit_by_digit(three_nodes: Cluster, account: str, amount: str) -> None:
    body = f'{{"operacoes": [{{"op": "deposito", "id_conta": "{account}", "valor": {amount}}}]}}'
    answer = raw(three_nodes.nodes[0], body)
    assert (answer.status_code, answer.json()["codigo"]) == (400, "REQUISICAO_INVALIDA")


@pytest.mark.parametrize(
    ("amount", "cents"), [("0.29", 29), ('"0.29"', 29), ('"0\\u002e29"', 29), ("1", 100), ("0.1", 10)]
)
def test_an_amount_is_exact(three_nodes: Cluster, account: str, amount: str, cents: int) -> None:
    answer = raw(three_nodes.nodes[0], f'{{"operacoes":[{{"op":"deposito","id_conta":"{account}","valor":{amount}}}]}}')
    assert outcomes(answer) == [100 + Decimal(cents) / 100]


def raw(node: NodeProcess, body: str | bytes, **headers: str) -> requests.Response:
    sent = body.encode() if isinstance(body, str) else body
    return requests.post(f"{node.url}/lote", sent, headers={"Content-Type": "application/json"} | headers, timeout=30)


@pytest.mark.parametrize(
    "body",
    [
        "", "[]", "null", "{}", "{", '{"operacoes": []}', '{"operacoes": {}}', '{"operacoes": [1]}',
        '{"operacoes": null}',
        '{"operacoes": [{"op":"deposito","id_conta":"A","valor":1,"valor":1}]}',
        '{"operacoes": [{"op":"deposito","id_conta":"A","valor":1,"\\u0076alor":1}]}',
        '{"operacoes": [{"op":"deposito","op":"saque","id_conta":"A","valor":1}]}',
        '{"atomico": true, "atomico": true, "operacoes": [{"op":"deposito","id_conta":"A","valor":1}]}',
        '{"atomico": 1, "operacoes": [{"op":"deposito","id_conta":"A","valor":1}]}',
        '{"mais": 1, "operacoes": [{"op":"deposito","id_conta":"A","valor":1}]}',
        '{"operacoes": [{"op":"deposito","id_conta":"A","valor":' + "[" * 100_000 + "]" * 100_000 + "}]}",
        '{"operacoes": [{"op":"deposito","id_conta":"A","valor":"\\ud800"}]}',
        '{"operacoes": [{"op":"deposito","id_conta":"\\ud800","valor":1}]}',
        '{"operacoes": [{"op":"deposito","id_conta":' + "9" * 5_000 + ',"valor":1}]}',
        b'{"operacoes": [{"op":"deposito","id_conta":"\xff","valor":1}]}',
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused(three_nodes: Cluster, body: str | bytes) -> None:
    answer = raw(three_nodes.nodes[0], body)
    assert (answer.status_code, answer.json()["codigo"]) == (400, "REQUISICAO_INVALIDA"), answer.text


def test_ids_inside_an_atomic_batch_are_refused(three_nodes: Cluster, account: str) -> None:
    answer = send(three_nodes.nodes[0], deposit(account), deposit(account, id="k"), atomico=True)
    assert answer.status_code == 400
    assert answer.json()["violacoes"][0]["propriedade"] == "operacoes[1].id"
    assert balance(three_nodes.nodes[0], account) == 100


def test_ten_thousand_and_one_operations_are_too_many(three_nodes: Cluster, account: str) -> None:
    answer = send(three_nodes.nodes[0], *[deposit(account)] * 10_001)
    assert answer.status_code == 400
    assert [violation["propriedade"] for violation in answer.json()["violacoes"]] == ["operacoes"]
    assert balance(three_nodes.nodes[0], account) == 100


def test_a_key_that_leaves_no_room_is_refused(three_nodes: Cluster, account: str) -> None:
    assert send(three_nodes.nodes[0], deposit(account), key="k" * 251).status_code == 400
    assert outcomes(send(three_nodes.nodes[0], deposit(account), key=f"{account:k<250}")) == [101]


def test_a_body_may_be_larger_here_than_elsewhere_and_no_larger_than_8_mib(three_nodes: Cluster, account: str) -> None:
    node = three_nodes.nodes[0]
    body = json.dumps({"operacoes": [deposit(account)]})
    assert outcomes(raw(node, body.ljust(2 * 1024 * 1024))) == [101]
    assert outcomes(raw(node, body.ljust(8 * 1024 * 1024 - 1))) == [102]
    assert raw(node, body.ljust(8 * 1024 * 1024)).status_code == 413
    elsewhere = requests.post(
        f"{node.url}/contas/{account}/deposito", '{"valor": 1}'.ljust(1024 * 1024),
        headers={"Content-Type": "application/json"}, timeout=30,
    )  # fmt: skip
    assert elsewhere.status_code == 413
    assert balance(node, account) == 102


def test_another_content_type_is_refused(three_nodes: Cluster) -> None:
    answer = raw(three_nodes.nodes[0], '{"operacoes": []}', **{"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["codigo"]) == (415, "TIPO_NAO_SUPORTADO")
