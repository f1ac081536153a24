"""The guard of the benchmark's ratios: it finds a fall and lets noise pass."""

from bench.ratios import falls


def test_a_fall_beyond_the_tolerance_is_named_and_noise_within_it_is_not() -> None:
    baseline = {"single: ours / postgres": 2.0, "lote: 1000 / 1": 40.0}
    assert falls(baseline, {"single: ours / postgres": 1.5, "lote: 1000 / 1": 31.0}, 0.3) == []
    (sentence,) = falls(baseline, {"single: ours / postgres": 1.3, "lote: 1000 / 1": 41.0}, 0.3)
    assert "single: ours / postgres fell from 2.00 to 1.30" in sentence


def test_a_ratio_that_was_not_measured_is_no_silent_success() -> None:
    assert falls({"single": 2.0}, {}) == ["single: not measured, the baseline has 2.00."]
    assert falls({}, {"new": 0.1}) == []
