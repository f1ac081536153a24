"""The chart of a balance: a line of steps, for a balance stands still between two operations. Whole numbers alone."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["HEIGHT", "WIDTH", "Chart", "chart_of"]

WIDTH = 720
HEIGHT = 120
"""Of the drawing, in its own units; the page stretches it."""
_ROOM = 4
"""Above the highest and below the lowest balance."""


class Chart(NamedTuple):
    """What the page draws, and what it says of it to who does not see it."""

    line: str
    """A path: the balance from the oldest operation to the newest."""
    zero: int | None
    """How far from the top an empty account is, if some balances were above it and some below."""
    movements: int
    lowest_cents: int
    highest_cents: int


def chart_of(balances_cents: Sequence[int]) -> Chart | None:
    """Return the chart of the balances after each operation, oldest first; None if there are not two."""
    if len(balances_cents) < 2:
        return None
    lowest, highest = min(balances_cents), max(balances_cents)
    span = max(1, highest - lowest)

    def height(cents: int) -> int:
        return _ROOM + (highest - cents) * (HEIGHT - 2 * _ROOM) // span

    steps = [f"M0 {height(balances_cents[0])}"]
    for place, cents in enumerate(balances_cents):
        steps.append(f"V{height(cents)}H{(place + 1) * WIDTH // len(balances_cents)}")
    zero = height(0) if lowest < 0 < highest else None
    return Chart("".join(steps), zero, len(balances_cents), lowest, highest)
