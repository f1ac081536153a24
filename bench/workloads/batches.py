"""Workloads of `POST /lote`: sizes, several clients, a growing history, and real movements."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import requests

from bench.measure import Load, Round, costed, measured, repeated, together, wrk
from bench.registry import Setting, Situation, workload
from bench.servers import ACCOUNTS, BATCH, ROOT, Server, post_batch

OVERDRAFT = "100000"
"""Of the accounts of real movements: no movement of theirs should be refused."""


def deposit_batch(session: requests.Session, server: Server, size: int, accounts: int = ACCOUNTS) -> int:
    """Deposit `size` times with one request, to the accounts in turn; return the number of operations."""
    wanted = [{"op": "deposito", "id_conta": f"conta-{number % accounts}", "valor": 1} for number in range(size)]
    post_batch(session, server.url, wanted, server.headers)
    return size


@workload()
def lote(setting: Setting) -> Iterator[Situation]:
    """`POST /lote` of some sizes from one Python client; the time-ordered ids are the node's."""
    bank = setting.bank()
    for size in setting.arguments.sizes:
        request = partial(deposit_batch, requests.Session(), bank, size)
        yield Situation("lote, one client", str(size), partial(measured, bank, request))


@workload()
def clients(setting: Setting) -> Iterator[Situation]:
    """`POST /lote` of 1,000 by one and three Python clients, at one and three nodes."""
    bank = setting.bank()
    pool = setting.stack.enter_context(ProcessPoolExecutor(3, mp_context=get_context("spawn")))
    list(pool.map(time.sleep, [0.5] * 3))  # so that all three are there
    at_one, at_three = [bank.url] * 3, [bank.url, *bank.others]
    for name, urls in (
        ("1 client, 1 node", at_one[:1]), ("3 clients, 1 node", at_one), ("3 clients, 3 nodes", at_three)
    ):  # fmt: skip
        yield Situation("lote of 1000", name, partial(by_clients, pool, bank, urls))


def by_clients(pool: ProcessPoolExecutor, bank: Server, urls: list[str], seconds: float) -> Round:
    """Let one client for each URL ask at the same time."""
    return costed(bank, lambda: together(list(pool.map(client, urls, [seconds] * len(urls)))))


def client(url: str, seconds: float) -> Load:
    """Be one client, in a process of its own."""
    return repeated(partial(deposit_batch, requests.Session(), Server(url, {}), 1_000), seconds)


@workload(needs_wrk=True)
def history(setting: Setting) -> Iterator[Situation]:
    """Deposits over 32 connections at a fresh bank, and beside it at banks with a history; batches while it grows."""
    group = "history, 32 connections"
    yield Situation(group, "fresh", partial(wrk, setting.bank(), 32, "deposit"))
    for operations in setting.arguments.history:
        bank = setting.bank()
        grow(setting, bank, operations)
        yield Situation(group, f"after {operations}", partial(wrk, bank, 32, "deposit"))


def grow(setting: Setting, bank: Server, operations: int) -> None:
    """Deposit so often, and note how fast the first and the last tenth went."""
    session, taken_s = requests.Session(), []
    for _ in range(0, operations, BATCH):
        began = time.perf_counter()
        deposit_batch(session, bank, BATCH)
        taken_s.append(time.perf_counter() - began)
    tenth = max(1, len(taken_s) // 10)
    for name, part in (("first", taken_s[:tenth]), ("last", taken_s[-tenth:])):
        rate = BATCH * len(part) / sum(part)
        setting.figure(f"history: deposits a second by lote, {name} tenth of {operations}", rate)


@workload()
def real(setting: Setting) -> Iterator[Situation]:
    """Real movements by the importer, 1,000 a request, each round under the keys and accounts of a bank of its own."""
    if not (movements := setting.arguments.movements).exists():
        print(f"No file of movements at {movements}: real is skipped.")
        return
    for _ in range(min(3, setting.arguments.rounds)):
        bank = setting.bank(accounts=0)
        command = [sys.executable, "-m", "bank.importer", movements, "--servidor", bank.url, "--lote", "1000"]
        began = time.perf_counter()
        done = subprocess.run(
            [*command, "--limite", OVERDRAFT], capture_output=True, text=True, check=True, timeout=300, cwd=ROOT
        )
        lines = int(re.findall(r"Tudo resolvido: (\d+) linhas", done.stdout)[0])
        setting.figure("real: movements a second, importer's start included", lines / (time.perf_counter() - began))
    yield from ()
