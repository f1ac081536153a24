"""How a question comes to one answer: another node, the same key, until the deadline.

A mutation may be sent many times, always under one key, so it happens once. Remembers whether an attempt may have
reached the bank: only that makes an exhausted deadline `Unknown` (tests/integration/test_client.py).
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import requests
import urllib3

from bank.client.errors import BankError, NotApplied, Refused, Unknown, Unreachable
from bank.client.servers import Servers, retry_after_s

__all__ = ["Delivery"]

CONNECT_S_MAX = 3.0
ANSWER_S_MAX = 15.0
"""A node says something within 10 s."""
TOKEN = re.compile(r"[0-9]{1,19}-[0-9]{1,19}-[0-9a-f]{8}")
NO_LAST_WORD = {"ROTA_NAO_ENCONTRADA", "POSICAO_ABANDONADA"}
"""Refusals that speak of one attempt; those of the ledger (404, 409, 422) speak of the operation."""


class Delivery:
    """The nodes, and the position up to which they have been seen. For one thread at a time."""

    def __init__(self, urls: Sequence[str], *, deadline_s: float, credential: str | None) -> None:
        self.token: str | None = None
        """The newest `X-Posicao` seen: what any node must have applied before it answers a read."""
        self._servers = Servers([url.rstrip("/") for url in urls])
        self._deadline_s = deadline_s
        self._session = requests.Session()
        self._session.trust_env = False  # a server that was named is asked itself, not a proxy
        if credential is not None:
            self._session.headers["Authorization"] = f"Bearer {credential}"

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def get(
        self, path: str, query: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Read. Raises Refused, NotApplied or Unreachable."""
        shown = {"X-Posicao-Minima": self.token} if self.token else {}
        return self._deliver("GET", path, query, None, "", {**shown, **(headers or {})})

    def post(self, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Change something, once. Raises Refused, NotApplied, Unreachable or Unknown."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._deliver("POST", path, None, body, key, headers)

    def _deliver(
        self, method: str, path: str, query: Mapping[str, Any] | None, body: Mapping[str, Any] | None, key: str,
        headers: Mapping[str, str],
    ) -> dict[str, Any]:  # fmt: skip
        until_s = time.monotonic() + self._deadline_s
        failure: BankError = Unreachable("the deadline left no time to ask")
        may_be_applied = False
        while (left_s := until_s - time.monotonic()) > 0:
            url, wait_s = self._servers.pick(time.monotonic())
            if wait_s >= left_s:
                break
            time.sleep(wait_s)
            left_s = until_s - time.monotonic()
            try:
                response = self._session.request(
                    method,
                    url + path,
                    params=query,
                    data=None if body is None else json.dumps(body),
                    headers=headers,
                    timeout=(max(0.001, min(left_s, CONNECT_S_MAX)), max(0.001, min(left_s, ANSWER_S_MAX))),
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                self._servers.failed(url, time.monotonic(), None)
                trouble = f"{url} does not answer ({type(error).__name__})"
                if not _never_sent(error):
                    may_be_applied = method == "POST"
                    failure = NotApplied(trouble)
                elif isinstance(failure, Unreachable):
                    failure = Unreachable(trouble)
                continue
            answer = _object_in(response)
            self._see(response.headers.get("X-Posicao", ""))
            if response.status_code in {200, 201} and answer:
                self._servers.answered(url)
                return answer
            code, detail = str(answer.get("codigo", "")), str(answer.get("mensagem") or response.reason)
            if 400 <= response.status_code < 500 and response.status_code != 429 and code:
                refused = Refused(code, detail, status=response.status_code)
                if may_be_applied and (response.status_code not in {404, 409, 422} or code in NO_LAST_WORD):
                    raise Unknown(key, str(refused))
                raise refused
            failure = NotApplied(f"{url} answers {response.status_code} {code}: {detail}")
            if response.status_code != 429 and answer.get("resultado") != "nao_aplicado":
                may_be_applied = method == "POST"
            self._servers.failed(url, time.monotonic(), retry_after_s(response.headers.get("Retry-After", "")))
        raise Unknown(key, str(failure)) if may_be_applied else failure

    def _see(self, token: str) -> None:
        """Remember the newest token. What is none, a proxy's or a stranger's, is as good as nothing."""
        if TOKEN.fullmatch(token) and (self.token is None or _place(token) > _place(self.token)):
            self.token = token


def _place(token: str) -> tuple[int, int]:
    epoch, position, _ = token.split("-")
    return int(epoch), int(position)


def _never_sent(error: requests.RequestException) -> bool:
    """Return whether no connection came about, so that no byte of the question left."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, urllib3.exceptions.NewConnectionError)


def _object_in(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object of an answer, its amounts as Decimal; empty if there is none."""
    try:
        answer = json.loads(response.content, parse_float=Decimal)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
