"""Tracing: each request has an id, which its answer and the node's log name, and is counted and timed.

Registered before all that may refuse a request, so that refusals are traced too. An id that a client or a proxy sent
is kept if it can stand in any log and header as it is; whatever else was sent is as good as none.
"""

import re
import time

import uuid_utils
from flask import Flask, Response, g, request

from bank.logs import REQUEST_ID
from bank.metrics import NO_ROUTE
from bank.routes.answers import bank, header

__all__ = ["REQUEST_ID_HEADER", "register", "request_id_of"]

REQUEST_ID_HEADER = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id_of(sent: str) -> str:
    """Return the id that a client sent if it is fit to be one, else a new one."""
    return sent if _ID.fullmatch(sent) else str(uuid_utils.uuid7())


def register(app: Flask) -> None:
    """Trace every request."""

    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()
        g.request_id = request_id_of(header("HTTP_X_REQUEST_ID") or "")
        REQUEST_ID.set(g.request_id)  # not taken back: the next request of this thread sets its own

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[REQUEST_ID_HEADER] = g.request_id
        rule = request.url_rule
        method, route = (request.method, rule.rule) if rule is not None else (NO_ROUTE, NO_ROUTE)
        bank().metrics.answered(method, route, response.status_code, time.monotonic() - g.began)
        return response
