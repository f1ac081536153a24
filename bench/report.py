"""What a run found, as a table, as ratios and as a picture."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

from bench.measure import Round

__all__ = ["Found", "document", "figures_table", "ratios_of", "table", "write_plots"]

Found = dict[str, dict[str, list[Round]]]
"""The rounds by workload and variant."""

RATIOS = [
    ("bank", "postgres"), ("bank", "empty route"), ("one", "100"), ("local", "default"), ("locked", "open"),
    ("8 slow readers", "no reader"), ("1000", "1"), ("bank", "naive"), ("one", "1000 at random"),
    ("one", "100000 at random"), ("one", "1000000 at random"), ("1000000 accounts", "1000 accounts"),
    ("100000 accounts", "1000 accounts"), ("100000 accounts, random ids", "100000 accounts"), ("3 asked", "1 asked"),
    ("3 clients, 1 node", "1 client, 1 node"), ("3 clients, 3 nodes", "1 client, 1 node"), ("3 up", "1 up"),
    ("8 up", "1 up"), ("after 200000", "fresh"), ("after 1000000", "fresh"), ("readers of it", "no reader"),
    ("readers of it", "readers of others"),
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
    """Return both tables as markdown; nothing if there is nothing."""
    if not found:
        return ""
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


def figures_table(figures: Mapping[str, Sequence[float]]) -> str:
    """Return what is no rate as markdown; nothing if there is nothing."""
    if not figures:
        return ""
    lines = ["| figure | median (least-greatest) |", "|---|---|"]
    lines += [f"| {name} | {shown(values, _digits(values))} |" for name, values in figures.items()]
    return "\n".join(lines) + "\n"


def _digits(values: Sequence[float]) -> int:
    """Return how many digits behind the point say something."""
    return 0 if statistics.median(values) >= 100 else 2


def document(text: str, pictures: Iterable[tuple[str, str]]) -> str:
    """Return the page of results with its pictures, each a title and a file name."""
    head = "# Results\n\nWritten by `make bench` or `make bench-quick`; [what it means](../PERFORMANCE.md).\n"
    return "\n".join([head, text.rstrip(), "", *(f"![{title}]({name})" for title, name in pictures)]).rstrip() + "\n"


def write_plots(found: Found, folder: Path) -> list[tuple[str, str]]:
    """Draw rates and latencies of every situation; return title and file name of each picture."""
    if not found:
        return []
    import matplotlib as mpl  # noqa: PLC0415 - the guard draws nothing
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = [(f"{workload}: {name}", rounds) for workload, of in found.items() for name, rounds in of.items()][::-1]
    names = [name for name, _ in rows]
    places = range(len(rows))
    pictures = [("Operations a second", "rates.svg"), ("Latencies of requests", "latencies.svg")]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench", "path.simplify": True}):
        for title, file_name in pictures:
            figure = Figure(figsize=(9, 1 + 0.25 * len(rows)), layout="constrained")
            axes = figure.subplots()
            if file_name == "rates.svg":
                rates = [[each.per_second for each in rounds] for _, rounds in rows]
                axes.hlines(places, list(map(min, rates)), list(map(max, rates)), color="#a8c0d8", linewidth=6)
                axes.plot(list(map(statistics.median, rates)), places, "|", color="#204060", label="median")
                axes.set_xlabel("operations a second: median, least to greatest of the rounds (logarithmic)")
            else:
                for place, mark, label in ((1, "o", "p50"), (2, "s", "p99"), (3, "x", "p99.9")):
                    middles = [statistics.median(each[place] for each in rounds) for _, rounds in rows]
                    axes.plot(middles, places, mark, markersize=4, label=label)
                axes.set_xlabel("ms that a request takes, medians of the rounds (logarithmic)")
                axes.legend()
            axes.set_yticks(places, names)
            axes.tick_params(labelsize=8)
            axes.set_xscale("log")
            axes.grid(axis="x", alpha=0.3)
            axes.set_title(title)
            figure.savefig(folder / file_name, metadata={"Date": None})
    return pictures
