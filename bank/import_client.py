"""How the importer asks: one order of one server, or many at once. Which server is next, `client.servers` says.

An answer is the bank's final word (applied, or refused for a reason) or it is none, and then the order is asked again
under the same key.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urljoin

import requests

from bank.client.servers import retry_after_s
from bank.import_plan import Order

__all__ = ["Again", "NotABank", "Settled", "ask", "ask_all"]

TIMEOUT_S = (3.0, 15.0)
"""To connect and to be answered: a node says something within 10 s."""


class Settled(NamedTuple):
    """The bank's final word on an order: applied, or refused for a reason."""

    refusal: str
    """Empty: applied."""
    replayed: bool
    """The bank knew it already."""


class Again(NamedTuple):
    """No final word: the order is to be asked again, under the same key."""

    trouble: str
    wait_s: float | None


class NotABank(Exception):  # noqa: N818 (it is called what happened)
    """An answer that repeating the question will not change, and that settles nothing."""


def ask(session: requests.Session, url: str, order: Order) -> Settled | Again:
    """Ask one server once. Raises NotABank for an answer that no repetition would change."""
    response = _post(session, url + order.path, order.body, {"Idempotency-Key": order.key})
    if isinstance(response, Again):
        return response
    replayed = response.headers.get("Idempotency-Replayed", "").lower() == "true"
    return _word(response, response.status_code, _object_in(response), replayed=replayed, order=order)


def ask_all(session: requests.Session, url: str, orders: Sequence[Order]) -> list[Settled | Again]:
    """Ask one server once for all of these, in one request; return its word on each. Raises NotABank as well."""
    response = _post(session, f"{url}/lote", {"operacoes": [order.item for order in orders]}, {})
    if isinstance(response, Again):
        return [response] * len(orders)
    answer = _object_in(response)
    results = answer.get("resultados")
    if response.status_code != 200 or not isinstance(results, list) or len(results) != len(orders):
        word = _word(response, response.status_code, answer | {"codigo": None}, replayed=False, order=orders[0])
        if isinstance(word, Again):
            return [word] * len(orders)
        raise NotABank(f"{response.url} não responde como um banco: {response.text[:200]!r}")
    return [
        _word(response, result.get("status", 200), result, replayed=result.get("repetida") is True, order=order)
        for order, result in zip(orders, results, strict=True)
    ]


def _post(session: requests.Session, url: str, body: object, headers: dict[str, str]) -> requests.Response | Again:
    headers = headers | {"Content-Type": "application/json"}
    try:
        return session.post(url, json.dumps(body), headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        return Again(f"{urljoin(url, '/').rstrip('/')} não responde ({type(error).__name__})", None)


def _word(
    response: requests.Response, status: int, answer: dict[str, Any], *, replayed: bool, order: Order
) -> Settled | Again:
    """Return what an answer, or one result of many, says of an order. Raises NotABank."""
    code = answer.get("codigo")
    if status == 429 or status >= 500 or answer.get("resultado") == "desconhecido":
        wait_s = retry_after_s(response.headers.get("Retry-After", ""))
        return Again(f"{response.url} responde {status} {code or ''}", wait_s)
    if status in {200, 201} and answer.get("sucesso") is True:
        return Settled("", replayed)
    if status in {404, 409, 422} and isinstance(code, str) and code != "ROTA_NAO_ENCONTRADA":
        return Settled(code, replayed)
    place = f"linha {order.line}" if order.line else f"abertura da conta {order.accounts[0]}"
    raise NotABank(f"{place}: {response.url} responde {status} {answer.get('mensagem') or response.text[:200]!r}")


def _object_in(response: requests.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
