"""Money: whole centavos inside, decimal text at the edge, never a float in between.

Knows no JSON and no account. The bound keeps every amount within 15 significant digits, so that even a client
that reads the JSON number as a double gets it exactly.
Invariant: parse_cents(format_cents(c)) == c for 0 <= c <= MAX_CENTS (tests/unit/test_money.py).
"""

import re

__all__ = ["MAX_CENTS", "format_cents", "parse_cents"]

MAX_CENTS = 999_999_999_999_999
"""The largest amount and the largest balance, in centavos: 9999999999999.99."""

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,2}))?")


def parse_cents(text: str) -> int:
    """Return the whole centavos that decimal text such as `100`, `100.5` or `100.50` stands for.

    Raises ValueError for anything else: signs, exponents, separators, white space, a third decimal, other digits.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount of money: {text[:40]!r}")
    whole, fraction = match.groups(default="")
    return int(whole) * 100 + int(fraction.ljust(2, "0"))


def format_cents(cents: int) -> str:
    """Return decimal text with exactly two decimals; the sign, if any, stands before the digits."""
    whole, fraction = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{fraction:02d}"
