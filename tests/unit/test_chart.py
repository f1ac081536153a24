"""The chart of a balance: as many steps as operations, to scale, and nothing outside of the drawing."""

import re

from hypothesis import given
from hypothesis import strategies as st

from bank.money import MAX_CENTS
from bank.routes.panel.chart import HEIGHT, WIDTH, chart_of


def test_one_operation_is_no_chart() -> None:
    assert chart_of([]) is None
    assert chart_of([100]) is None


def test_a_balance_is_drawn_as_steps_from_its_lowest_to_its_highest() -> None:
    chart = chart_of([500, 1500, 1000])
    assert chart is not None
    assert chart.line == "M0 116V116H240V4H480V60H720"
    assert (chart.zero, chart.movements, chart.lowest_cents, chart.highest_cents) == (None, 3, 500, 1500)


def test_an_overdraft_is_below_a_line() -> None:
    chart = chart_of([-500, 500])
    assert chart is not None
    assert (chart.line, chart.zero, chart.lowest_cents) == ("M0 116V116H360V4H720", 60, -500)


def test_a_balance_that_stands_still_is_a_straight_line() -> None:
    chart = chart_of([7, 7])
    assert chart is not None
    assert chart.line == "M0 4V4H360V4H720"


@given(st.lists(st.integers(-MAX_CENTS, MAX_CENTS), min_size=2, max_size=25))
def test_whatever_the_balances_the_line_stays_in_the_drawing_and_ends_at_its_edge(balances: list[int]) -> None:
    chart = chart_of(balances)
    assert chart is not None
    places = [int(text) for text in re.findall(r"H(\d+)", chart.line)]
    heights = [int(text) for text in re.findall(r"V(\d+)", chart.line)]
    assert len(heights) == len(balances)
    assert all(0 <= height <= HEIGHT for height in [*heights, chart.zero or 0])
    assert places == sorted(places)
    assert places[-1] == WIDTH
    assert all(
        (low <= high) == (heights[first] >= heights[second]) or heights[first] == heights[second]
        for first, low in enumerate(balances)
        for second, high in enumerate(balances)
    )
