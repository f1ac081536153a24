"""Compares the ratios of a run with the committed ones: a fall beyond the tolerance is found, noise is not."""

from collections.abc import Mapping

__all__ = ["TOLERANCE", "falls"]

TOLERANCE = 0.35
"""How far a ratio may lie below its baseline: medians of a small shared machine differ by about a quarter."""


def falls(baseline: Mapping[str, float], measured: Mapping[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """Return a sentence for each ratio (greater is better) that fell beyond the tolerance, or was not measured."""
    sentences = []
    for name, before in baseline.items():
        if (now := measured.get(name)) is None:
            sentences.append(f"{name}: not measured, the baseline has {before:.2f}.")
        elif now < before * (1 - tolerance):
            sentences.append(f"{name} fell from {before:.2f} to {now:.2f}, by more than {tolerance:.0%}.")
    return sentences
