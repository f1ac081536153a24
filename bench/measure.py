"""One situation in one round: how many operations a second, how long each, and whose processor time they took."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import requests

from bench.servers import ACCOUNTS, Server

__all__ = [
    "Load",
    "Round",
    "by_wrk",
    "costed",
    "cpu_seconds",
    "measured",
    "percentiles",
    "repeated",
    "together",
    "wrk",
]

SCRIPT = Path(__file__).with_name("requests.lua")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Round(NamedTuple):
    """What one situation came to in one round. Latencies are those of requests."""

    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_us: dict[str, float]
    """Processor time of an operation, by server process."""
    records: float
    """Records of the log for an operation; 0 where there is no log."""


class Load(NamedTuple):
    """What customers did, and how long their requests took."""

    operations: int
    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


def wrk(server: Server, connections: int, what: str, seconds: float, *, accounts: int = ACCOUNTS) -> Round:
    """Let wrk ask for what requests.lua knows under this name, one operation a request, over some connections."""
    return costed(server, lambda: by_wrk(server.url, server.headers, connections, (what, accounts), seconds))


def by_wrk(
    url: str, headers: Mapping[str, str], connections: int, script_arguments: tuple[object, ...], seconds: float
) -> Load:
    """Run wrk once."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(SCRIPT), url]
    command += [f"-H{name}: {value}" for name, value in headers.items()] + ["--", *map(str, script_arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    requests_made, duration_us, errors, *percentiles_us = map(int, done.stdout.split()[-6:])
    assert errors == 0, done.stdout
    return Load(requests_made, requests_made * 1e6 / duration_us, *(each / 1000 for each in percentiles_us))


def measured(server: Server, request: Callable[[], int], seconds: float) -> Round:
    """Repeat a request, which returns its number of operations, for some seconds."""
    return costed(server, lambda: repeated(request, seconds))


def repeated(request: Callable[[], int], seconds: float) -> Load:
    """Repeat a request, which returns its number of operations, for some seconds, at least once."""
    operations, taken_ms = 0, []
    began = now = time.perf_counter()
    while now < began + seconds:
        operations += request()
        then, now = now, time.perf_counter()
        taken_ms.append((now - then) * 1000)
    return Load(operations, operations / (now - began), *percentiles(taken_ms))


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the 50th, the 99th and the 99.9th percentile of at least one value."""
    several = values if len(values) > 1 else [*values, *values]
    parts = statistics.quantiles(several, n=1000, method="inclusive")
    return parts[499], parts[989], parts[998]


def together(loads: Sequence[Load]) -> Load:
    """Return what customers came to who asked at the same time: rates add up, of the latencies the worst is shown."""
    worst = (max(each[place] for each in loads) for place in (2, 3, 4))
    return Load(sum(each.operations for each in loads), sum(each.per_second for each in loads), *worst)


def costed(server: Server, load: Callable[[], Load]) -> Round:
    """Let customers work, and say what each operation took of the server's processors and of its log."""
    cpu_s, position = cpu_seconds(server), position_of(server)
    operations, *found = load()
    spent = per_operation(server, operations, cpu_s, position)
    return Round(*found, *spent)


def per_operation(
    server: Server, operations: int, cpu_s: dict[str, float], position: int
) -> tuple[dict[str, float], float]:
    """Return the microseconds and the records that an operation took since then."""
    after_s = cpu_seconds(server)
    spent_us = {name: (after_s[name] - cpu_s[name]) * 1e6 / operations for name in cpu_s}
    return spent_us, (position_of(server) - position) / operations


def position_of(server: Server) -> int:
    """Return the position of the first node, 0 where there is no log."""
    answer = requests.get(f"{server.url}/contas/conta-0", headers=server.headers, timeout=30)
    return int(answer.headers.get("X-Posicao", "0-0-").split("-")[1])


def cpu_seconds(server: Server) -> dict[str, float]:
    """Return the processor time of each root process and its descendants, ended ones included, since their start."""
    parents, spent_s = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
            spent_s[int(path.parent.name)] = sum(map(int, fields[11:15])) / TICKS_PER_S
    roots = {pid: name for name, pid in server.pids.items()}
    total = dict.fromkeys(server.pids, 0.0)
    for pid, used_s in spent_s.items():
        above = pid
        while above and above not in roots:
            above = parents.get(above, 0)
        if above:
            total[roots[above]] += used_s
    return total
