"""The benchmark: ours beside its peers, in alternating rounds of one run: `make bench`, `make bench-quick`.

Writes RESULTS.md, results.json and two pictures into docs/performance, or elsewhere with `--output`; `--guard` writes
nothing and compares the ratios with bench/baseline.json instead. Machines differ and this one is noisy: only ratios
within one run mean anything. The workloads are in bench/workloads.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.ratios import TOLERANCE, falls
from bench.registry import WORKLOADS, Figures, Setting, run_all
from bench.report import Found, document, figures_table, ratios_of, table, write_plots
from bench.servers import ROOT
from bench.workloads import batches, edge, inside, nodes

assert all((edge, batches, nodes, inside)), "importing them fills WORKLOADS, in this order"

OUTPUT = ROOT / "docs" / "performance"
MOVEMENTS = ROOT.parent / "shared" / "data" / "berka-150.csv"
BASELINE = Path(__file__).with_name("baseline.json")
QUICK = {
    "only": ["single", "mix", "hot", "reads", "lote"], "seconds": 2, "rounds": 3, "connections": [32],
    "sizes": [1, 1_000], "accounts": [],
}  # fmt: skip
"""What two minutes can hold; enough for the guard."""
LONG = {
    "only": list(WORKLOADS), "seconds": 3, "rounds": 7, "connections": [1, 8, 32, 128],
    "sizes": [1, 10, 100, 1_000, 10_000], "accounts": [1_000, 100_000],
}  # fmt: skip


def run(arguments: argparse.Namespace) -> tuple[Found, Figures, list[str]]:
    """Run the workloads; return what each situation came to in each round, the figures, and what failed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        setting = Setting(arguments, Path(folder), stack)
        return run_all(setting), setting.figures, setting.failures


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.run")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, help="workloads by name; else all of them")
    parser.add_argument("--seconds", type=int, help="of each situation in each round (3)")
    parser.add_argument("--rounds", type=int, help="after one that warms up (7)")
    parser.add_argument("--connections", type=int, nargs="+", help="of the workload single (1 8 32 128)")
    parser.add_argument("--sizes", type=int, nargs="+", help="of batches (1 10 100 1000 10000)")
    parser.add_argument("--accounts", type=int, nargs="*", help="of hot and memory (1000 100000)")
    parser.add_argument("--apply-accounts", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--operations", type=int, default=200_000, help="of the log that is replayed")
    parser.add_argument("--history", type=int, nargs="+", default=[200_000, 1_000_000], help="operations before")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 3, 5, 8], help="that are up")
    parser.add_argument("--movements", type=Path, default=MOVEMENTS, help="real ones: CSV as the importer takes it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder to write to (docs/performance)")
    parser.add_argument("--quick", action="store_true", help="a few telling workloads, in two minutes")
    parser.add_argument("--guard", action="store_true", help="compare the quick ratios with bench/baseline.json")
    arguments = parser.parse_args(words)
    for name, value in (QUICK if arguments.quick or arguments.guard else LONG).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


def main() -> int:
    """Measure, print, and write or compare."""
    arguments = parsed()
    load, began = os.getloadavg()[0], time.monotonic()
    found, figures, failures = run(arguments)
    ratios = ratios_of(found)
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} before; {arguments.rounds} rounds"
        f" of {arguments.seconds:g} s, {time.monotonic() - began:.0f} s in all."
    )
    text = "\n\n".join(part for part in [machine, *failures, table(found, ratios), figures_table(figures)] if part)
    print(text)
    if arguments.guard:
        fallen = falls(json.loads(BASELINE.read_text(encoding="utf-8")), ratios, TOLERANCE)
        print("\n".join(fallen) or "No ratio fell beyond the tolerance.")
        return 1 if fallen or failures else 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    pictures = write_plots(found, arguments.output)
    (arguments.output / "RESULTS.md").write_text(document(text, pictures), encoding="utf-8")
    rounds = {workload: {name: [each._asdict() for each in rows] for name, rows in of.items()}
              for workload, of in found.items()}  # fmt: skip
    result = json.dumps({"machine": machine, "ratios": ratios, "figures": figures, "rounds": rounds}, indent=1)
    (arguments.output / "results.json").write_text(result + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
