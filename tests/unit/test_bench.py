"""The benchmark's own arithmetic: what is added up, compared and shown; the guard finds a fall and lets noise pass."""

import json
from collections import Counter

import pytest

from bench.measure import Load, Round, percentiles, together
from bench.ratios import falls
from bench.registry import WORKLOADS, Situation, run_rounds
from bench.report import figures_table, ratios_of, table
from bench.run import BASELINE, parsed
from bench.servers import ROOT
from bench.several_logs import problems, throughput
from bench.workloads.inside import Seen, rate_of


def test_a_fall_beyond_the_tolerance_is_named_and_noise_within_it_is_not() -> None:
    baseline = {"single: ours / postgres": 2.0, "lote: 1000 / 1": 40.0}
    assert falls(baseline, {"single: ours / postgres": 1.5, "lote: 1000 / 1": 31.0}, 0.3) == []
    (sentence,) = falls(baseline, {"single: ours / postgres": 1.3, "lote: 1000 / 1": 41.0}, 0.3)
    assert "single: ours / postgres fell from 2.00 to 1.30" in sentence


def test_a_ratio_that_was_not_measured_is_no_silent_success() -> None:
    assert falls({"single": 2.0}, {}) == ["single: not measured, the baseline has 2.00."]
    assert falls({}, {"new": 0.1}) == []


def test_customers_at_the_same_time_add_up_and_the_slowest_of_them_is_shown() -> None:
    loads = [Load(10, 5.0, 1.0, 9.0, 9.5), Load(20, 10.0, 2.0, 8.0, 99.0)]
    assert together(loads) == Load(30, 15.0, 2.0, 9.0, 99.0)


def test_percentiles_are_those_of_the_values_even_of_a_single_one() -> None:
    assert percentiles([3.0]) == (3.0, 3.0, 3.0)
    median, high, highest = percentiles([float(number) for number in range(1, 1001)])
    assert (round(median), round(high), round(highest)) == (500, 990, 999)


def test_a_replay_is_timed_from_the_last_look_before_it_moved_to_its_end_and_not_to_readiness() -> None:
    seen = [Seen(1.0, 0), Seen(2.0, 0), Seen(3.0, 50), Seen(4.0, 100), Seen(9.0, 100)]
    assert rate_of(seen) == pytest.approx(0.5)
    assert rate_of([Seen(4.0, 100)]) == pytest.approx(0.25), "all of it between two looks"


def test_every_workload_stands_in_the_table_under_its_name_and_in_the_documents() -> None:
    assert parsed(["--only", "apply", "replay"]).only == ["apply", "replay"]
    assert set(parsed(["--quick"]).only) < set(parsed([]).only) == set(WORKLOADS)
    text = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")
    assert [name for name in WORKLOADS if f"**{name}**" not in text] == []


def test_the_guard_measures_each_ratio_of_its_baseline() -> None:
    quick, baseline = parsed(["--guard"]), json.loads(BASELINE.read_text(encoding="utf-8"))
    groups = {"single": "single", "mix": "mix", "hot": "accounts", "reads": "reads", "lote": "lote"}
    assert {name.partition(",")[0] for name in baseline} == {groups[name] for name in quick.only}


def test_ratios_and_figures_are_shown_and_what_was_not_measured_leaves_no_empty_table() -> None:
    found = {"naive": {"bank": [round_of(30.0)], "naive": [round_of(10.0)]}}
    assert ratios_of(found) == {"naive: bank / naive": 3.0}
    assert "| naive | bank | 30 (30-30) |" in table(found, {})
    assert "| memory: bytes | 434 (430-440) |" in figures_table({"memory: bytes": [430.0, 440.0, 434.0]})
    assert table({}, {}) == figures_table({}) == ""


def test_situations_take_turns_in_opposite_orders_and_the_first_round_only_warms_up() -> None:
    asked: list[str] = []

    def measuring(name: str) -> Situation:
        return Situation("group", name, lambda seconds: asked.append(name) or round_of(seconds))

    found = run_rounds([measuring("a"), measuring("b")], parsed(["--rounds", "2", "--seconds", "4"]))
    assert asked == ["b", "a", "a", "b", "b", "a"]
    assert found == {"group": {"a": [round_of(4)] * 2, "b": [round_of(4)] * 2}}


@pytest.mark.parametrize("seed", range(5))
def test_transfers_between_several_logs_lose_and_make_no_money_wherever_their_movers_die(seed: int) -> None:
    died: Counter[str] = Counter()
    assert problems(seed, died) == []
    assert {"asked", "held", "credited", "refused"} <= set(died), "a check that saw nothing proves nothing"


def test_logs_add_up_but_for_transfers_between_them_which_cost_three_operations() -> None:
    assert throughput(4, share=0.0) == pytest.approx(4 * throughput(1, share=0.0))
    assert throughput(4, share=1.0) == pytest.approx(throughput(4, share=0.0) / 3, rel=0.1)


def round_of(per_second: float) -> Round:
    return Round(per_second, 1.0, 2.0, 3.0, {"node 1": 5.0}, 0.0)
