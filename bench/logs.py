"""What the log costs: deposits a second and their latency, on RabbitMQ against the embedded log, side by side.

`.venv/bin/python bench/logs.py` starts a broker and the nodes by itself (`python api.py`, customers come over HTTP) and
ends after about three minutes. One node alone and three nodes, customers at the first of them; 1 and 32 connections,
one deposit a request, each answered when it is in the log and fsynced in the journal. All nodes are up all the time;
the situations take turns within each round. Shown are medians over the rounds (min-max), and what the same situation
came to on the embedded log in the same round: the machine is noisy, so compare within a run only.
Customers are wrk's where it is installed, threads of Python otherwise, which take much of a core from the nodes.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.broker import Broker
from tests.support.cluster import NodeProcess

ROUNDS = 7
SECONDS = 2
ACCOUNTS = 100
SCRIPT = Path(__file__).with_name("requests.lua")
LOGS = ("embedded", "RabbitMQ")
SIZES = (1, 3)
CONNECTIONS = (1, 32)


class Speed(NamedTuple):
    """What one situation came to in one round."""

    per_second: float
    p50_ms: float
    p99_ms: float


class Situation(NamedTuple):
    """How many nodes follow which log, and over how many connections their customers come."""

    log: str
    nodes: int
    connections: int


def by_wrk(node: NodeProcess, connections: int) -> Speed:
    """Let wrk make the deposits."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "10s", "-s", str(SCRIPT), node.url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests, duration_us, errors, p50_us, p99_us, _ = map(int, printed.split()[-6:])
    assert errors == 0, printed
    return Speed(requests * 1e6 / duration_us, p50_us / 1000, p99_us / 1000)


def by_threads(node: NodeProcess, connections: int) -> Speed:
    """Make the deposits from threads of this process."""
    taken_ms: list[float] = []
    began = time.perf_counter()

    def deposit(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", node.port, timeout=10)
        while (start := time.perf_counter()) < began + SECONDS:
            number += 1
            path, headers = f"/contas/conta-{number % ACCOUNTS}/deposito", {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps({"valor": 1}), headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
            taken_ms.append((time.perf_counter() - start) * 1000)
        connection.close()

    threads = [threading.Thread(target=deposit, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    per_second = len(taken_ms) / (time.perf_counter() - began)
    parts = statistics.quantiles(taken_ms, n=100, method="inclusive")
    return Speed(per_second, parts[49], parts[98])


def start(stack: ExitStack, folder: Path, *, size: int, amqp_url: str) -> NodeProcess:
    """Start nodes of one log, killed at the end, and open the accounts; return the first node."""
    nodes = [NodeProcess(folder, environment={"AMQP_URL": amqp_url}).start() for _ in range(size)]
    for node in nodes:
        stack.callback(node.kill)
    for node in nodes:
        node.wait_ready()
    for number in range(ACCOUNTS):
        answer = nodes[0].post("/contas", {"id_conta": f"conta-{number}"})
        assert answer.status_code == 201, answer.text
    return nodes[0]


def measure() -> dict[Situation, list[Speed]]:
    """Start everything, and return what each situation came to in each round."""
    deposits = by_wrk if shutil.which("wrk") else by_threads
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        broker = Broker(Path(folder) / "broker").start()
        stack.callback(broker.remove)
        broker.wait_ready()
        first = {
            (log, size): start(
                stack, Path(folder) / f"{log}-{size}", size=size, amqp_url=broker.url if log == "RabbitMQ" else ""
            )
            for log in LOGS
            for size in SIZES
        }
        found: dict[Situation, list[Speed]] = {}
        for number in range(-1, ROUNDS):  # the first one warms up
            for size in SIZES:
                for connections in CONNECTIONS:
                    for log in LOGS if number % 2 else LOGS[::-1]:
                        speed = deposits(first[log, size], connections)
                        if number >= 0:
                            found.setdefault(Situation(log, size, connections), []).append(speed)
    return found


def shown(values: list[float], digits: int) -> str:
    """Return the median, the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def main() -> None:
    """Measure and print the table."""
    load = os.getloadavg()[0]
    found = measure()
    customers = "wrk" if shutil.which("wrk") else "threads of Python"
    print(f"{os.cpu_count()} cores, load {load:.1f} before; customers: {customers}; {ROUNDS} rounds of {SECONDS} s")
    print(f"{'log':<10}{'nodes':>6}{'conn.':>6}{'deposits/s':>22}{'p50 ms':>22}{'p99 ms':>26}{'ratio':>22}")
    for size in SIZES:
        for connections in CONNECTIONS:
            base = found[Situation(LOGS[0], size, connections)]
            for log in LOGS:
                speeds = found[Situation(log, size, connections)]
                ratios = [speed.per_second / other.per_second for speed, other in zip(speeds, base, strict=True)]
                print(
                    f"{log:<10}{size:>6}{connections:>6}"
                    f"{shown([speed.per_second for speed in speeds], 0):>22}"
                    f"{shown([speed.p50_ms for speed in speeds], 1):>22}"
                    f"{shown([speed.p99_ms for speed in speeds], 1):>26}"
                    f"{shown(ratios, 2) if speeds is not base else '1':>22}"
                )


if __name__ == "__main__":
    main()
