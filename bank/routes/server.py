"""Waitress in front of the application, in the node's own process.

What waitress itself refuses (a broken request line, headers or bodies too large) leaves as a problem too. The
bounds here are what slow and idle clients run into, not the bank.
"""

import copy
import heapq
import json
import logging
import re
import resource
import time
from functools import partial
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask, WSGITask

from bank.config import Config
from bank.errors import StartRefused
from bank.metrics import NO_ROUTE
from bank.routes.answers import key_of
from bank.routes.problems import Problem, problem_fields
from bank.routes.tracing import REQUEST_ID_HEADER, request_id_of

__all__ = ["listen"]

BODY_BYTES_MAX = 1024 * 1024
BATCH_BODY_BYTES_MAX = 8 * BODY_BYTES_MAX
"""At `/lote`: 10,000 transfers with the longest ids take 5 MB."""
CONNECTIONS_MAX = 4096
IDLE_S_MAX = 60
LOOK_S = 5
"""How often idle connections are looked for."""
ROOM = 64
"""How many connections make room for others at a time, before all places are taken."""
_OTHER_FILES = 256
"""Descriptors kept for journals, logs and calls to other servers."""

_TRANSFER_ENCODING = re.compile(rb"^transfer-encoding:(.*)\r?$", re.IGNORECASE | re.MULTILINE)
_CODIGO_OF_STATUS = {413: "CORPO_GRANDE_DEMAIS", 431: "REQUISICAO_INVALIDA", 500: "ERRO_INTERNO"}


class _Parser(HTTPRequestParser):
    """Refuses what two servers may read differently; whoever takes the other reading smuggles requests."""

    request_uri: str
    proxy_scheme: str
    path: str

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the head of a request. Raises ParsingError."""
        codings = [value.strip(b" \t").lower() for value in _TRANSFER_ENCODING.findall(header_plus)]
        if codings not in ([], [b"chunked"]):
            raise ParsingError("Transfer-Encoding")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a URL or a length that Python refuses
            raise ParsingError(str(error)) from error
        if self.version not in {"1.0", "1.1"}:
            raise ParsingError("HTTP version")
        if codings and (self.version == "1.0" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("Transfer-Encoding with HTTP/1.0 or Content-Length")
        host = self.headers.get("HOST")
        if "," in (host or "") or (host is None and self.version == "1.1"):
            raise ParsingError("Host")
        if not (self.request_uri.startswith("/") or self.proxy_scheme or self.request_uri == "*"):
            raise ParsingError("request target")
        if self.path == "/lote":
            self.adj = copy.copy(self.adj)
            self.adj.max_request_body_size = BATCH_BODY_BYTES_MAX
        if not self.chunked and not 0 < self.content_length < self.adj.max_request_body_size:
            self.expect_continue = False  # nothing to continue with, or it is refused at once


class _ProblemTask(ErrorTask):
    """Answers what never reached the application."""

    def execute(self) -> None:
        """Write the problem and close the connection."""
        error: Any = self.request.error  # type: ignore[attr-defined]
        problem = Problem(_CODIGO_OF_STATUS.get(error.code, "REQUISICAO_INVALIDA"))
        request: Any = self.request
        is_post = getattr(request, "command", "") == "POST"
        key = key_of(request.headers.get("IDEMPOTENCY_KEY", "")) if is_post else None
        body = json.dumps(problem_fields(problem, instance="/", operation_id=key)).encode()
        self.status = f"{problem.kind.status} {error.reason if error.code == problem.kind.status else 'Bad Request'}"
        request_id = request_id_of(request.headers.get("X_REQUEST_ID", ""))
        self.response_headers = [("Content-Type", "application/problem+json"), (REQUEST_ID_HEADER, request_id)]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        server: Any = self.channel.server
        server.metrics.answered(NO_ROUTE, NO_ROUTE, problem.kind.status, time.time() - self.start_time)


class _Task(WSGITask):
    """Answers what reached the application."""

    def write(self, data: bytes) -> None:
        """Write, the head together with what comes first: one packet, and one wait for the interpreter's lock less."""
        if self.wrote_header or not (self.complete and data and self.content_length is not None and self.has_body):
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = min(len(data), self.content_length)
        self.channel.write_soon(head + data[: self.content_length])


class _Channel(HTTPChannel):
    """One connection."""

    error_task_class = _ProblemTask
    parser_class = _Parser
    task_class = _Task
    server: Any

    def __init__(self, server: Any, *rest: Any, **options: Any) -> None:
        """Take a place among the connections."""
        super().__init__(server, *rest, **options)
        if len(server._map) > server.adj.connection_limit - ROOM:  # noqa: SLF001 - waitress' own way to count them
            _make_room(server)

    def service(self) -> None:
        """Serve one request. Should even the answer to a failure fail, the client does not wait for ever."""
        try:
            super().service()
        except Exception:
            self.cancel()
            self.server.pull_trigger()
            raise  # to whoever logs it


def _make_room(server: Any) -> None:
    """Close those connections that have been idle longest. A request that came whole keeps its connection."""
    idle = [channel for channel in server.active_channels.values() if not (channel.requests or channel.will_close)]
    count = min(ROOM, len(idle) // 2)  # never those who have only just come and have said nothing yet
    for channel in heapq.nsmallest(count, idle, key=lambda channel: channel.last_activity):
        # By the loop's next round: a descriptor that is free at once may be another's in this one.
        channel.will_close = True


def _maintain(server: Any, now: Any) -> None:
    """Close what has been idle too long, and more if newcomers wait outside."""
    BaseWSGIServer.maintenance(server, now)
    if server.in_connection_overflow:
        _make_room(server)


def _shut() -> None:
    """End the loop: waitress would go on with nobody listening."""
    raise RuntimeError("what listens failed")


def listen(app: Flask, config: Config) -> Any:
    """Return a waitress server that listens already; `run()` serves. Raises StartRefused if the port is taken."""
    listeners: Any = {}  # by descriptor; a HOST with several addresses gets one for each
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # more requests than threads is not an event
    try:
        server: Any = create_server(
            app,
            map=listeners,
            host=config.host,
            port=config.port,
            threads=config.threads,
            connection_limit=_connections_max(),
            channel_timeout=IDLE_S_MAX,
            cleanup_interval=LOOK_S,
            max_request_body_size=BODY_BYTES_MAX,
            max_request_header_size=64 * 1024,
            backlog=1024,
            asyncore_use_poll=True,  # select() ends at 1,024 connections
            ident=None,
            **_trust(config.trusted_proxy),
        )
    except OSError as error:
        raise StartRefused(
            f"{config.host}:{config.port} cannot be listened on: {error.strerror}. Choose another PORT."
        ) from error
    for listener in listeners.values():
        if isinstance(listener, BaseWSGIServer):
            vars(listener).update(
                channel_class=_Channel,
                metrics=app.extensions["banco"].metrics,
                maintenance=partial(_maintain, listener),
                handle_close=_shut,
            )
    return server


def _trust(proxy: str) -> dict[str, Any]:
    """Return the settings by which what this proxy says of its client counts, and what others say does not."""
    if not proxy:
        return {}
    return {"trusted_proxy": proxy, "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"}}


def _connections_max() -> int:
    """Return how many connections this process may hold; its soft limit of open files is raised for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _OTHER_FILES
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(CONNECTIONS_MAX, max(1, soft - _OTHER_FILES))
