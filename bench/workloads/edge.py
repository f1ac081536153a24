"""Workloads of one operation a request, from wrk: what a node's counter costs, beside peers and by kind of request."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import requests

from bench.measure import Round, wrk
from bench.registry import Setting, Situation, workload
from bench.servers import Server, postgres_programs, start_empty, start_naive, start_postgres
from tests.support.doors import Tokens


def beside_postgres(setting: Setting) -> dict[str, Server]:
    """Start a bank, and PostgreSQL if it is here."""
    servers = {"bank": setting.bank()}
    if postgres_programs():
        servers["postgres"] = start_postgres(setting.stack)
    else:
        print("No PostgreSQL here (Debian package postgresql): the comparison with it is skipped.")
    return servers


@workload(needs_wrk=True)
def single(setting: Setting) -> Iterator[Situation]:
    """One deposit a request: the bank, Flask + PostgreSQL, and the empty route, over some connections."""
    servers = beside_postgres(setting) | {"empty route": start_empty(setting.stack)}
    for number in setting.arguments.connections:
        for name, server in servers.items():
            yield Situation(f"single, {number} connections", name, partial(wrk, server, number, "deposit"))


@workload(needs_wrk=True)
def mix(setting: Setting) -> Iterator[Situation]:
    """Three deposits, a withdrawal and a transfer, and again; over 32 connections."""
    for name, server in beside_postgres(setting).items():
        wrk(server, 32, "deposit", 1)  # so that no withdrawal that overtakes its deposit finds nothing there
        yield Situation("mix, 32 connections", name, partial(wrk, server, 32, "mix"))


@workload(needs_wrk=True)
def naive(setting: Setting) -> Iterator[Situation]:
    """Deposits at the bank and at the naive version of its design (bench/naive.py)."""
    group = "naive, 32 connections"
    yield Situation(group, "bank", partial(wrk, setting.bank(), 32, "deposit"))
    yield Situation(group, "naive", partial(wrk, start_naive(setting.stack, setting.broker), 32, "deposit"))


@workload(needs_wrk=True)
def hot(setting: Setting) -> Iterator[Situation]:
    """Deposits to one account, to 100 in turn, and to many at random; over 32 connections."""
    sizes = setting.arguments.accounts
    bank = setting.bank(accounts=max([100, *sizes]))
    group = "accounts, 32 connections"
    yield Situation(group, "one", partial(wrk, bank, 32, "hot"))
    yield Situation(group, "100", partial(wrk, bank, 32, "deposit"))
    for size in sizes:
        yield Situation(group, f"{size} at random", partial(wrk, bank, 32, "random", accounts=size))


@workload(needs_wrk=True)
def reads(setting: Setting) -> Iterator[Situation]:
    """Reads of 100 accounts in turn, by consistency; over 32 connections."""
    bank = setting.bank()
    for consistency in ("default", "forte", "local"):
        yield Situation("reads, 32 connections", consistency, partial(wrk, bank, 32, consistency))


@workload(needs_wrk=True)
def tokens(setting: Setting) -> Iterator[Situation]:
    """Deposits at a bank that asks nobody, and at one that asks for tokens; over 32 connections."""
    locked = setting.bank(tokens=Tokens(Path(setting.folder)))
    yield Situation("tokens, 32 connections", "locked", partial(wrk, locked, 32, "deposit"))
    yield Situation("tokens, 32 connections", "open", partial(wrk, setting.bank(), 32, "deposit"))


@workload(needs_wrk=True)
def events(setting: Setting) -> Iterator[Situation]:
    """Deposits while 8 readers take what `/eventos` tells, a kilobyte at a time, and while nobody does."""
    bank = setting.bank()
    yield Situation("events, 32 connections", "8 slow readers", partial(while_read, bank, 8))
    yield Situation("events, 32 connections", "no reader", partial(wrk, bank, 32, "deposit"))


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
