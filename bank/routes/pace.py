"""The pace: how many requests one principal may make, or one address where the bank asks nobody who they are.

RATE_LIMIT says so; without it nobody is held up. Wrong tokens are always counted by address: guessing one is hopeless
(256 bits), and shall not cost the others their answers. Whoever shows a right one is never held up by wrong ones.
"""

import math
import time

from flask import Flask, g, request
from limits import RateLimitItem, RateLimitItemPerSecond, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from bank.routes.problems import Problem

__all__ = ["Pace"]

WRONG_TOKENS = RateLimitItemPerSecond(20, 10, namespace="wrong tokens")


class Pace:
    """Counts requests in this node's memory, as every node does for itself."""

    def __init__(self, rate: str) -> None:
        """`rate` is such as `100/second`, empty for none."""
        self._rate = parse(rate) if rate else None
        self._counts = SlidingWindowCounterRateLimiter(MemoryStorage())

    def register(self, app: Flask, *, asked: frozenset[str]) -> None:
        """Hold up whoever asks too often, after it is known who that is, at all endpoints but health and documents."""
        if (rate := self._rate) is None:
            return

        @app.before_request
        def hold_up() -> None:
            if request.endpoint in asked:
                who = g.get("principal")
                self._count(rate, who.name if who is not None else request.remote_addr or "")

    def count_wrong_token(self) -> None:
        """Note a token that does not count. Raises Problem instead of the caller if there were too many."""
        self._count(WRONG_TOKENS, request.remote_addr or "")

    def _count(self, rate: RateLimitItem, who: str) -> None:
        if not self._counts.hit(rate, who):
            wait_s = max(1, math.ceil(self._counts.get_window_stats(rate, who).reset_time - time.time()))
            raise Problem("SOBRECARGA", "Pedidos demais; espere e repita.", headers={"Retry-After": str(wait_s)})
