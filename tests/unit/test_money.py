"""Money: what is an amount and what is not."""

import pytest

from bank.money import MAX_CENTS, format_cents, parse_cents

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")


@hypothesis.given(st.integers(0, MAX_CENTS))
def test_every_amount_comes_back_from_its_text(cents: int) -> None:
    assert parse_cents(format_cents(cents)) == cents


@hypothesis.given(st.integers(0, MAX_CENTS))
def test_a_client_that_reads_the_number_as_a_double_gets_it_exactly(cents: int) -> None:
    assert round(float(format_cents(cents)) * 100) == cents


@pytest.mark.parametrize(
    ("text", "cents"),
    [("0", 0), ("100", 10_000), ("100.5", 10_050), ("100.50", 10_050), ("0.01", 1), ("9999999999999.99", MAX_CENTS)],
)
def test_an_amount_has_at_most_two_decimals(text: str, cents: int) -> None:
    assert parse_cents(text) == cents


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1e2", "007", "00", "NaN", "Infinity", "1e400", "1e999999999", "100.10000000000000000001", "1,00",
        "10.00\n", "\n1", " 1", "1 ", "1_0", "\u0661\u0662", "1.", ".5", "+1", "-1", "-0", "0x10", "1.001",
        "10000000000000", "99999999999999.00", "1.0.0", "\uff11", "1\x00", "true",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount of money"):
        parse_cents(text)


def test_a_negative_balance_shows_its_sign() -> None:
    assert (format_cents(-1), format_cents(-12_345)) == ("-0.01", "-123.45")
