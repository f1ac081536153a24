"""Live events: what this node applies, as it applies it, as server-sent events.

Every reader holds a request thread, so there are few of them and none stays long. Waitress blocks the thread of a
response only when more than its `outbuf_high_watermark` (16 MiB) waits to be sent: a stream ends well before, so
that a reader who never reads holds its thread no longer than any other (tests/integration/test_events.py).
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import cast

import msgspec
from flask import Response, current_app, request
from flask_openapi.blueprint import APIBlueprint

from bank.feed import Feed, Mark
from bank.routes.access import may_see_who
from bank.routes.answers import bank, outcome_fields
from bank.routes.problems import Problem

__all__ = ["READERS_MAX", "events"]

READERS_MAX = 8
STREAM_S_MAX = 30
STREAM_BYTES_MAX = 4 * 1024 * 1024
HEARTBEAT_MS = 2_000
"""How soon a reader that is gone gives its thread back."""
RECENT_MAX = 4096
"""Entries: more than a busy node applies between two pages of a reader."""
PAUSE_S = 0.5
"""Between two pages, so that readers of a busy node do not read the journal at every commit."""
RETRY_MS = 1_000

events = APIBlueprint("eventos", __name__, abp_tags=[{"name": "rede"}])


@events.get("/eventos", summary="O que é aplicado, ao vivo / What is applied, live")
def stream_events() -> Response:
    """From `Last-Event-ID` on, or from now on; ends after 30 s, and whoever resumes misses nothing."""
    feed = bank().feed
    asked = request.headers.get("Last-Event-ID", "")
    try:
        mark = Mark.parse(asked) if asked else feed.now()
        bank().wait_for(mark.token)
        number = feed.number_at(mark)
    except ValueError:
        violation = {"propriedade": "Last-Event-ID", "razao": "não é o id de um evento", "valor": asked[:60]}
        raise Problem("REQUISICAO_INVALIDA", "Last-Event-ID inválido.", [violation]) from None
    seats = cast("threading.BoundedSemaphore", current_app.extensions["banco_leitores"])
    if not seats.acquire(blocking=False):
        raise Problem("SOBRECARGA", "Já há leitores demais de eventos neste nó.", headers={"Retry-After": "5"})
    recent: dict[bool, _Recent] = current_app.extensions.setdefault("banco_eventos", {})
    with_who = may_see_who()
    stream = _stream(feed, recent.setdefault(with_who, _Recent(feed, with_who=with_who)), mark, number)
    response = Response(stream, content_type="text/event-stream; charset=utf-8")
    response.cache_control.no_store = True
    response.call_on_close(seats.release)  # also of a stream that never began
    return response


class _Recent:
    """What was told last, as it was told: all readers are told the same, so each entry is read and written once."""

    def __init__(self, feed: Feed, *, with_who: bool) -> None:
        self._feed = feed
        self._with_who = with_who
        self._told: deque[tuple[int, bytes]] = deque(maxlen=RECENT_MAX)
        self._mutex = threading.Lock()

    def after(self, number: int) -> tuple[int, bytes]:
        """Return what is to be told after the entry with this number, and the number of the last one in it."""
        with self._mutex:
            told = self._told
            if not told or number > told[-1][0]:
                told.clear()
            elif number < told[0][0] - 1:
                return _joined(number, self._spelled(number))  # longer ago than is kept
            told.extend(self._spelled(told[-1][0] if told else number))
            return _joined(number, islice(told, number + 1 - told[0][0], None) if told else ())

    def _spelled(self, number: int) -> Iterator[tuple[int, bytes]]:
        for behind, entry in self._feed.after(number):
            data = msgspec.json.encode(outcome_fields(entry, with_who=self._with_who))
            yield entry.number, b"id: %s\ndata: %s\n\n" % (str(behind).encode(), data)


def _joined(number: int, told: Iterable[tuple[int, bytes]]) -> tuple[int, bytes]:
    lines = list(told)
    return lines[-1][0] if lines else number, b"".join(line for _, line in lines)


def _stream(feed: Feed, recent: _Recent, mark: Mark, number: int) -> Iterator[bytes]:
    """Yield events after the entry with this number."""
    ends = time.monotonic() + STREAM_S_MAX
    # An id without data is no event, but it is what a browser goes on from if nothing happens until the end.
    yield f"retry: {RETRY_MS}\nid: {mark}\n\n".encode()
    size = 0
    while time.monotonic() < ends and size < STREAM_BYTES_MAX and not feed.is_ending:
        position = feed.position
        number, page = recent.after(number)
        if page:
            size += len(page)
            yield page
            feed.pause(PAUSE_S)
        else:
            feed.wait_beyond(position, HEARTBEAT_MS)
            yield b": vivo\n\n"
