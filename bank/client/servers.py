"""Which server to ask next: each in turn; those that failed rest first.

Knows no HTTP. Time is handed in; waiting is the caller's. May be shared by threads.
"""

import threading
from collections import Counter

__all__ = ["REST_S_MAX", "Servers", "retry_after_s"]

REST_S_MIN, REST_S_MAX = 0.1, 5.0
RETRY_AFTER_S_MAX = 30.0


class Servers:
    """Which server to ask next: each in turn, but those that failed rest first, longer each time."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._turn = 0
        self._rests_until = dict.fromkeys(urls, 0.0)
        self._failures: Counter[str] = Counter()
        self._mutex = threading.Lock()

    def pick(self, now_s: float) -> tuple[str, float]:
        """Return a server and the seconds to wait before asking it: 0 unless all of them rest."""
        with self._mutex:
            self._turn += 1
            turned = self._urls[self._turn % len(self._urls) :] + self._urls[: self._turn % len(self._urls)]
            url = min(turned, key=lambda url: max(self._rests_until[url], now_s))
            return url, max(0.0, self._rests_until[url] - now_s)

    def answered(self, url: str) -> None:
        """Note that a server is well."""
        if self._failures[url]:
            with self._mutex:
                self._failures[url] = 0
                self._rests_until[url] = 0.0

    def failed(self, url: str, now_s: float, wait_s: float | None) -> None:
        """Let a server rest: as long as it asked for, else longer with each failure in a row."""
        with self._mutex:
            if wait_s is None and self._rests_until[url] > now_s:
                return  # Several connections saw the same failure: it counts once.
            rest_s = min(REST_S_MIN * 2.0 ** min(self._failures[url], 10), REST_S_MAX) if wait_s is None else wait_s
            self._failures[url] += 1
            self._rests_until[url] = max(self._rests_until[url], now_s + rest_s)


def retry_after_s(text: str) -> float | None:
    """Return the seconds that a server asks for, None if it names none (a date counts as none)."""
    return min(float(text), RETRY_AFTER_S_MAX) if text.isascii() and text.isdigit() else None
