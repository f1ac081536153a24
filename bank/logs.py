"""The node's own log: a constant event, then its keys. One line for each change of state, none for each deposit.

`LOG_FORMAT` says for whom: lines for people (`text`), or one JSON object a line for programs (`json`). Both hold the
same keys. What a request caused, in its own thread, holds its id.
"""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from bank.config import Config

__all__ = ["REQUEST_ID", "JsonFormatter", "TextFormatter", "log_to_stderr"]

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that this thread serves: each sets its own when it begins. Empty in threads that serve none."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def log_to_stderr(config: Config) -> None:
    """Let the whole process log as `config` says."""
    handler = logging.StreamHandler()
    handler.setFormatter((JsonFormatter if config.log_format == "json" else TextFormatter)(config.node_name))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class TextFormatter(logging.Formatter):
    """Writes `time level logger event key=value ...`, and below it the stack of an error."""

    def __init__(self, node: str) -> None:
        """Name the node in every line."""
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._node = node

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Append what the event was logged with."""
        keys = _keys(record, self._node)
        return " ".join([super().formatMessage(record), *(f"{key}={value!r}" for key, value in keys.items())])


class JsonFormatter(logging.Formatter):
    """Writes one JSON object a line, in ASCII, so that no locale can tear it; a stack is one text inside."""

    def __init__(self, node: str) -> None:
        """Name the node in every line."""
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": time, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        stack = {"stack": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps(line | _keys(record, self._node) | stack, default=str)


def _keys(record: logging.LogRecord, node: str) -> dict[str, object]:
    """Return what stands in a line beside the event."""
    keys: dict[str, object] = {"node": node}
    if request_id := REQUEST_ID.get():
        keys["request_id"] = request_id
    return keys | {key: value for key, value in vars(record).items() if key not in _STANDARD}
