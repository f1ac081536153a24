"""Tracing: each request's id, in its answer and in the node's log, and how long its answer took.

Registered before all that may refuse a request, so that refusals have an id and are counted too.
"""

import time

from flask import Flask, Response, g, request

from bank.metrics import NO_ROUTE
from bank.routes.answers import bank

__all__ = ["register"]


def register(app: Flask) -> None:
    """Count and time every request."""

    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        rule = request.url_rule
        method, route = (request.method, rule.rule) if rule is not None else (NO_ROUTE, NO_ROUTE)
        bank().metrics.answered(method, route, response.status_code, time.monotonic() - g.began)
        return response
