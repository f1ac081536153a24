"""The node's own log: a constant event, then its keys. One line for each change of state, none for each deposit."""

import logging

__all__ = ["EventFormatter"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """Writes `time level logger event key=value ...`."""

    def __init__(self, node: str) -> None:
        """Name the node in every line."""
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._node = node

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Append what the event was logged with."""
        keys = {"node": self._node} | {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return " ".join([super().formatMessage(record), *(f"{key}={value!r}" for key, value in keys.items())])
