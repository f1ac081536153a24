"""Clients that harm: connections that send one byte a second, or nothing at all."""

import contextlib
import resource
import socket
import threading
import time
from types import TracebackType
from typing import Self

__all__ = ["Crawlers", "allow_open_files"]

REQUEST = b"POST /contas/A/deposito HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"


def allow_open_files(count: int) -> None:
    """Raise this process's soft limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class Crawlers:
    """`slow` connections that send a byte of a request each second, and `idle` ones that send none; a context."""

    def __init__(self, port: int, *, slow: int = 0, idle: int = 0) -> None:
        """Connect them all."""
        allow_open_files(slow + idle + 512)
        self._ended = threading.Event()
        self.connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(slow + idle)]
        self._thread = threading.Thread(target=self._crawl, args=(self.connections[:slow],), daemon=True)

    def _crawl(self, slow: list[socket.socket]) -> None:
        for byte in REQUEST:
            began = time.monotonic()
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.send(bytes([byte]))
            if self._ended.wait(max(0.0, began + 1 - time.monotonic())):
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(10)
        for connection in self.connections:
            connection.close()
