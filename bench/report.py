"""What a run found, as a table, as ratios and as a picture."""

import statistics
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from bench.measure import Round

__all__ = ["Found", "ratios_of", "table", "write_plot"]

Found = dict[str, dict[str, list[Round]]]
"""The rounds by workload and variant."""

RATIOS = [
    ("bank", "postgres"), ("bank", "empty route"), ("one", "100"), ("local", "default"), ("locked", "open"),
    ("8 slow readers", "no reader"), ("1000", "1"),
]  # fmt: skip
"""What is compared with what where a workload has both."""


def shown(values: Iterable[float], digits: int = 0) -> str:
    """Return the median, the least and the greatest."""
    every = list(values)
    return f"{statistics.median(every):,.{digits}f} ({min(every):,.{digits}f}-{max(every):,.{digits}f})"


def ratios_of(found: Found) -> dict[str, float]:
    """Return the medians of the ratios of rates, each taken within its round."""
    return {
        f"{workload}: {over} / {under}": statistics.median(
            mine.per_second / other.per_second for mine, other in zip(of[over], of[under], strict=True)
        )
        for (workload, of), (over, under) in product(found.items(), RATIOS)
        if over in of and under in of
    }


def table(found: Found, ratios: dict[str, float]) -> str:
    """Return both tables as markdown."""
    lines = [
        "Medians (least-greatest) of the rounds; CPU: what one operation takes of each server process.\n",
        "| workload | | operations/s | p50 ms | p99 ms | p99.9 ms | CPU µs | records |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for workload, of in found.items():
        for name, rounds in of.items():
            times = (shown((each[place] for each in rounds), 1) for place in (1, 2, 3))
            cpu = ", ".join(
                f"{process} {statistics.median(each.cpu_us[process] for each in rounds):,.0f}"
                for process in rounds[0].cpu_us
            )
            records = statistics.median(each.records for each in rounds)
            rate = shown(each.per_second for each in rounds)
            lines.append(f"| {workload} | {name} | {rate} | {' | '.join(times)} | {cpu} | {records:.4f} |")
    lines += ["", "| ratio of rates | median |", "|---|---|"]
    lines += [f"| {name} | {ratio:.2f} |" for name, ratio in ratios.items()]
    return "\n".join(lines) + "\n"


def write_plot(found: Found, path: Path) -> None:
    """Draw the rate of every situation, with its spread over the rounds."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - the guard draws nothing

    bars = [(f"{workload}: {name}", rounds) for workload, of in found.items() for name, rounds in of.items()][::-1]
    figure = Figure(figsize=(9, 1 + 0.35 * len(bars)), layout="constrained")
    axes = figure.subplots()
    rates = [[each.per_second for each in rounds] for _, rounds in bars]
    middles = [statistics.median(each) for each in rates]
    below = [middle - min(each) for middle, each in zip(middles, rates, strict=True)]
    above = [max(each) - middle for middle, each in zip(middles, rates, strict=True)]
    axes.barh([name for name, _ in bars], middles, xerr=[below, above], color="#4878a8", capsize=3)
    axes.set_xscale("log")
    axes.set_xlabel("operations a second, median and spread (logarithmic)")
    figure.savefig(path)
