"""Live events: what this node applies, as it applies it, as server-sent events.

Every reader holds a request thread, so there are few of them and none stays long. Waitress blocks the thread of a
response only when more than its `outbuf_high_watermark` (16 MiB) waits to be sent: a stream ends well before, so
that a reader who never reads holds its thread no longer than any other (tests/integration/test_events.py).
"""

import threading
import time
from collections.abc import Iterator
from typing import cast

from flask import Response, current_app, request
from flask_openapi.blueprint import APIBlueprint

from bank.feed import Feed, Mark
from bank.routes.access import may_see_who
from bank.routes.answers import bank, outcome_fields
from bank.routes.door import dump_json
from bank.routes.problems import Problem

__all__ = ["READERS_MAX", "events"]

READERS_MAX = 8
STREAM_S_MAX = 30
STREAM_BYTES_MAX = 4 * 1024 * 1024
HEARTBEAT_MS = 2_000
"""How soon a reader that is gone gives its thread back."""
PAUSE_S = 0.1
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
    stream = _stream(feed, mark, number, with_who=may_see_who())
    response = Response(stream, content_type="text/event-stream; charset=utf-8")
    response.cache_control.no_store = True
    response.call_on_close(seats.release)  # also of a stream that never began
    return response


def _stream(feed: Feed, mark: Mark, number: int, *, with_who: bool) -> Iterator[bytes]:
    """Yield events after the entry with this number."""
    ends = time.monotonic() + STREAM_S_MAX
    # An id without data is no event, but it is what a browser goes on from if nothing happens until the end.
    yield f"retry: {RETRY_MS}\nid: {mark}\n\n".encode()
    size = 0
    while time.monotonic() < ends and size < STREAM_BYTES_MAX and not feed.is_ending:
        position = feed.position
        page = b""
        for behind, entry in feed.after(number):
            number = entry.number
            data = dump_json(outcome_fields(entry, with_who=with_who))
            page += b"id: %s\ndata: %s\n\n" % (str(behind).encode(), data)
        if page:
            size += len(page)
            yield page
            feed.pause(PAUSE_S)
        else:
            feed.wait_beyond(position, HEARTBEAT_MS)
            yield b": vivo\n\n"
