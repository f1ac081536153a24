"""The benchmark: ours beside its peers, in alternating rounds of one run: `make bench`, `make bench-quick`.

Writes docs/performance/RESULTS.md, results.json and rates.svg; `--guard` writes nothing and compares the ratios with
bench/baseline.json instead. Machines differ and this one is noisy: only ratios within one run mean anything.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import requests

from bench.measure import Round, measured, wrk
from bench.ratios import TOLERANCE, falls
from bench.report import Found, ratios_of, table, write_plot
from bench.servers import ACCOUNTS, Server, postgres_programs, start_bank, start_broker, start_empty, start_postgres
from tests.support.doors import Tokens

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "performance"
BASELINE = Path(__file__).with_name("baseline.json")
LOTE_SIZES = (1, 10, 100, 1_000, 10_000)
WORKLOADS = ("single", "mix", "hot", "reads", "tokens", "events", "lote")
Situation = Callable[[float], Round]


def single(servers: dict[str, Server], connections: list[int]) -> Iterator[tuple[str, str, Situation]]:
    """One deposit a request: the bank, Flask + PostgreSQL, and the empty route, over some connections."""
    for number in connections:
        for name, server in servers.items():
            yield f"single, {number} connections", name, partial(wrk, server, number, "deposit")


def mix(servers: dict[str, Server]) -> Iterator[tuple[str, str, Situation]]:
    """Three deposits, a withdrawal and a transfer, and again; over 32 connections."""
    for name, server in servers.items():
        yield "mix, 32 connections", name, partial(wrk, server, 32, "mix")


def hot(bank: Server) -> Iterator[tuple[str, str, Situation]]:
    """Deposits to one account, and to 100 in turn; over 32 connections."""
    yield "accounts, 32 connections", "one", partial(wrk, bank, 32, "hot")
    yield "accounts, 32 connections", "100", partial(wrk, bank, 32, "deposit")


def reads(bank: Server) -> Iterator[tuple[str, str, Situation]]:
    """Reads of 100 accounts in turn, by consistency; over 32 connections."""
    for consistency in ("default", "forte", "local"):
        yield "reads, 32 connections", consistency, partial(wrk, bank, 32, consistency)


def tokens(open_bank: Server, locked_bank: Server) -> Iterator[tuple[str, str, Situation]]:
    """Deposits at a bank that asks nobody, and at one that asks for tokens; over 32 connections."""
    yield "tokens, 32 connections", "locked", partial(wrk, locked_bank, 32, "deposit")
    yield "tokens, 32 connections", "open", partial(wrk, open_bank, 32, "deposit")


def events(bank: Server) -> Iterator[tuple[str, str, Situation]]:
    """Deposits while 8 readers take what `/eventos` tells, a kilobyte at a time, and while nobody does."""
    yield "events, 32 connections", "8 slow readers", partial(while_read, bank, 8)
    yield "events, 32 connections", "no reader", partial(wrk, bank, 32, "deposit")


def while_read(bank: Server, readers: int, seconds: float) -> Round:
    """Deposit while slow readers hold `/eventos`."""
    with ExitStack() as stack:
        for _ in range(readers):
            stack.enter_context(slow_reader(bank.url))
        return wrk(bank, 32, "deposit", seconds)


@contextmanager
def slow_reader(url: str) -> Iterator[None]:
    """Read events, 1 kB every 50 ms, until the block ends."""
    enough = threading.Event()

    def read() -> None:
        while not enough.is_set():
            with requests.get(f"{url}/eventos", stream=True, timeout=30) as answer:
                if answer.status_code == 429:  # the node has not noticed yet that the last round's readers are gone
                    enough.wait(0.5)
                for _ in answer.iter_content(1024):
                    if enough.wait(0.05):
                        break

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(10)


def lote(bank: Server, sizes: list[int]) -> Iterator[tuple[str, str, Situation]]:
    """`POST /lote` of some sizes from one Python client; the time-ordered ids are the node's."""
    for size in sizes:
        yield "lote, one client", str(size), partial(measured, bank, partial(post_lote, requests.Session(), bank, size))


def post_lote(session: requests.Session, bank: Server, size: int) -> int:
    """Deposit `size` times with one request; return the number of operations."""
    wanted = [{"op": "deposito", "id_conta": f"conta-{number % ACCOUNTS}", "valor": 1} for number in range(size)]
    answer = session.post(f"{bank.url}/lote", json={"operacoes": wanted}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert all(each["sucesso"] for each in answer.json()["resultados"]), "an operation was refused"
    return size


def run(arguments: argparse.Namespace) -> Found:
    """Start what the workloads need, and return what each situation came to in each round."""
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        broker = start_broker(stack, Path(folder))
        servers = {"bank": start_bank(stack, broker, Path(folder, "bank"))}
        situations: list[tuple[str, str, Situation]] = []
        if shutil.which("wrk"):
            situations += by_wrk(stack, servers, arguments)
            if "tokens" in arguments.only:
                locked = start_bank(stack, broker, Path(folder, "locked"), Tokens(Path(folder)))
                situations += tokens(servers["bank"], locked)
        elif set(arguments.only) != {"lote"}:
            print("No wrk here (Debian package wrk): all workloads but lote are skipped.")
        if "lote" in arguments.only:
            situations += lote(servers["bank"], arguments.sizes)
        for number in range(arguments.rounds + 1):
            for workload, name, situation in situations if number % 2 else situations[::-1]:
                taken = situation(arguments.seconds)
                if number > 0:  # the first one warms up
                    found.setdefault(workload, {}).setdefault(name, []).append(taken)
    return found


def by_wrk(
    stack: ExitStack, servers: dict[str, Server], arguments: argparse.Namespace
) -> Iterator[tuple[str, str, Situation]]:
    """Start the peers that these workloads compare the bank with, and yield their situations."""
    bank = servers["bank"]
    if {"single", "mix"} & set(arguments.only):
        if postgres_programs():
            servers["postgres"] = start_postgres(stack)
        else:
            print("No PostgreSQL here (Debian package postgresql): the comparison with it is skipped.")
    if "mix" in arguments.only:
        yield from mix(dict(servers))
    if "single" in arguments.only:
        servers["empty route"] = start_empty(stack)
        yield from single(servers, arguments.connections)
    if "hot" in arguments.only:
        yield from hot(bank)
    if "reads" in arguments.only:
        yield from reads(bank)
    if "events" in arguments.only:
        yield from events(bank)


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.run")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--seconds", type=int, default=3, help="of each situation in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(LOTE_SIZES))
    parser.add_argument("--quick", action="store_true", help="the same in two minutes: fewer rounds and sizes")
    parser.add_argument("--guard", action="store_true", help="compare the ratios with bench/baseline.json")
    arguments = parser.parse_args()
    if arguments.quick or arguments.guard:
        arguments.seconds, arguments.rounds, arguments.connections, arguments.sizes = 2, 3, [32], [1, 1_000]
    return arguments


def main() -> int:
    """Measure, print, and write or compare."""
    arguments = parsed()
    load, began = os.getloadavg()[0], time.monotonic()
    found = run(arguments)
    ratios = ratios_of(found)
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} before; {arguments.rounds} rounds"
        f" of {arguments.seconds:g} s, {time.monotonic() - began:.0f} s in all."
    )
    text = f"{machine}\n\n{table(found, ratios)}"
    print(text)
    if arguments.guard:
        fallen = falls(json.loads(BASELINE.read_text(encoding="utf-8")), ratios, TOLERANCE)
        print("\n".join(fallen) or "No ratio fell beyond the tolerance.")
        return 1 if fallen else 0
    OUTPUT.mkdir(exist_ok=True)
    head = "# Results\n\nWritten by `make bench` or `make bench-quick`; [what it means](../PERFORMANCE.md).\n\n"
    (OUTPUT / "RESULTS.md").write_text(f"{head}{text}\n![Operations a second](rates.svg)\n", encoding="utf-8")
    rounds = {workload: {name: [each._asdict() for each in rows] for name, rows in of.items()}
              for workload, of in found.items()}  # fmt: skip
    result = json.dumps({"machine": machine, "ratios": ratios, "rounds": rounds}, indent=1)
    (OUTPUT / "results.json").write_text(result + "\n", encoding="utf-8")
    write_plot(found, OUTPUT / "rates.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
