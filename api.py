"""One node of the bank: configuration, wiring, serving. `python api.py` starts it on PORT (default 5000).

The way of a request from here: `bank/routes/accounts.py` -> `bank/runtime.py` -> `bank/node.py` -> the log ->
`bank/replica.py` -> `bank/ledger.py` -> `bank/journal.py` -> the answer.
"""

import gc
import logging
import os
import signal
import sys
import threading
from types import FrameType

from flask import Flask
from flask_openapi_swagger.plugins import RegisterPlugin as Swagger

from bank.config import Config
from bank.errors import StartRefused
from bank.logs import log_to_stderr
from bank.routes import access, answers, problems, tracing
from bank.routes.accounts import accounts
from bank.routes.batches import batches
from bank.routes.cluster import cluster
from bank.routes.document import BankAPI
from bank.routes.door import BankRequest
from bank.routes.events import READERS_MAX, events
from bank.routes.models import refuse_invalid
from bank.routes.office import office
from bank.routes.other_servers import AddressConverter, other_servers
from bank.routes.pace import Pace
from bank.routes.pages import pages
from bank.routes.panel.frame import panel
from bank.routes.server import listen
from bank.routes.transfers import transfers
from bank.runtime import Ending, Runtime, open_runtime
from bank.tokens.store import Registry

__all__ = ["create_app", "main"]

log = logging.getLogger(__name__)


def create_app(bank: Runtime) -> Flask:
    """Return the HTTP application of a node. The node may be started before or after."""
    app = BankAPI(
        "banco",
        info={"title": "Banco Distribuído", "version": "0.1.0", "description": "Um banco igual em todos os balcões."},
        doc_ui=False,
    )
    app.request_class = BankRequest
    app.url_map.converters["endereco"] = AddressConverter
    app.url_map.merge_slashes = False  # an address with // may stand in a path
    app.validation_error_callback = refuse_invalid
    app.extensions["banco"] = bank
    app.extensions["banco_lugares"] = threading.BoundedSemaphore(max(1, bank.config.threads // 4))
    app.extensions["banco_leitores"] = threading.BoundedSemaphore(min(READERS_MAX, max(1, bank.config.threads // 4)))
    tracing.register(app)
    problems.register(app)
    registry = Registry(bank.config.tokens_file) if bank.config.tokens_file else None
    access.register(app, registry, Pace(bank.config.rate_limit))
    answers.register(app)
    for blueprint in (accounts, transfers, batches, other_servers, cluster, events, office):
        app.register_api(blueprint)
    app.register_blueprint(panel)
    app.register_blueprint(pages)
    app.register_blueprint(Swagger.register(doc_url="/openapi.json"), url_prefix="/docs")
    app.add_url_rule("/openapi.json", "openapi", lambda: app.api_doc)
    return app


class _Serving:
    """One process: a node, its server, and how both end."""

    def __init__(self, config: Config) -> None:
        self._ended = threading.Event()
        self.status = 0
        self.begins_anew = False
        self._bank = open_runtime(config, on_end=self._end)
        self._server = listen(create_app(self._bank), config)

    def run(self) -> int:
        """Serve until a signal or a failed disk ends it; return the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        # Accounts and locks never become garbage in cycles: without this, looking for some among them took a twentieth
        # of the time of a deposit, and the longest pauses.
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        self._bank.start()
        threading.Thread(target=self._serve, name="server", daemon=True).start()
        self._ended.wait()
        # The node first: it answers what waits and refuses the rest; then the door is closed.
        self._bank.stop()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        self._server.close()
        return self.status

    def _serve(self) -> None:
        """Run the server's loop. A node whose door is shut must not go on as if it were open."""
        try:
            self._server.run()
        except Exception:
            log.critical("thread died", extra={"thread_name": "server"}, exc_info=True)
        if not self._ended.is_set():
            self._end(Ending.FAILED)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._ended.set()

    def _end(self, ending: Ending) -> None:
        self.begins_anew = ending is Ending.BEGIN_ANEW
        self.status = 1
        self._ended.set()


def main() -> int:
    """Run one node; return the exit status."""
    if not __debug__:
        print("The bank does not run under -O: its assertions guard the money.", file=sys.stderr)
        return 1
    try:
        config = Config.from_environment()
        log_to_stderr(config)
        serving = _Serving(config)
    except StartRefused as refused:
        print(f"The node does not start: {refused}", file=sys.stderr)
        return 1
    status = serving.run()
    if serving.begins_anew:
        # A new life in the same process: whatever a thread still held of the old journal is gone.
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell is what is wanted
    return status


if __name__ == "__main__":
    sys.exit(main())
