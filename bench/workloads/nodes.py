"""Workloads of several nodes: all asked at once, one more of them, and readers beside the applier."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

from bench.measure import Round, by_wrk, costed, measured, wrk
from bench.measure import together as all_together
from bench.registry import Setting, Situation, workload
from bench.servers import READY_S, Server, open_accounts, server_of, start_nodes
from bench.workloads.batches import deposit_batch
from tests.support.broker import Broker
from tests.support.cluster import NodeProcess

READERS = 31


@workload(needs_wrk=True)
def three(setting: Setting) -> Iterator[Situation]:
    """Deposits over 32 connections at one node, and at three nodes at once with 32 connections to each."""
    bank = setting.bank()
    group = "three nodes, 32 connections to each asked"
    yield Situation(group, "1 asked", partial(wrk, bank, 32, "deposit"))
    yield Situation(group, "3 asked", partial(at_all, bank))


def at_all(bank: Server, seconds: float) -> Round:
    """Let one wrk ask each node."""
    urls = [bank.url, *bank.others]
    with ThreadPoolExecutor(len(urls)) as pool:
        ask = partial(by_wrk, headers=bank.headers, connections=32, script_arguments=("deposit",), seconds=seconds)
        return costed(bank, lambda: all_together(list(pool.map(ask, urls))))


class GrowingBank:
    """A bank of which more or fewer nodes are up."""

    def __init__(self, nodes: list[NodeProcess], broker: Broker) -> None:
        """Begin with these nodes, all up."""
        self._nodes = nodes
        self._broker = broker

    def with_nodes(self, number: int) -> Server:
        """Return the bank with the first nodes alone, after starting or stopping what must be."""
        for node in self._nodes[number:]:
            if node.is_running:
                node.stop()
        started = [node.start() for node in self._nodes[:number] if not node.is_running]
        for node in started:
            node.wait_ready(READY_S)
        return server_of(self._nodes[:number], self._broker)

    def deposit(self, number: int, seconds: float) -> Round:
        """Deposit at the first node, over 32 connections, with so many nodes up."""
        return wrk(self.with_nodes(number), 32, "deposit", seconds)

    def deposit_batches(self, number: int, seconds: float) -> Round:
        """Deposit at the first node, 1,000 a request, with so many nodes up."""
        bank = self.with_nodes(number)
        return measured(bank, partial(deposit_batch, requests.Session(), bank, 1_000), seconds)


@workload(needs_wrk=True)
def nodes(setting: Setting) -> Iterator[Situation]:
    """What one more node costs: deposits and batches at one node, while some are up, more and fewer in turn."""
    processes = start_nodes(setting.stack, setting.broker, setting.new_folder(), max(setting.arguments.nodes))
    bank = GrowingBank(processes, setting.broker)
    open_accounts(server_of(processes, setting.broker), 100)
    for number in setting.arguments.nodes:
        name = f"{number} up"
        yield Situation("nodes, 32 connections to one", name, partial(bank.deposit, number))
        yield Situation("nodes, lote of 1000", name, partial(bank.deposit_batches, number))


@workload(needs_wrk=True)
def readers(setting: Setting) -> Iterator[Situation]:
    """Batches for one account, while nobody reads, while 31 read that account, and while 31 read 100 others.

    Readers take the own state (`local`) of the node that is asked for the batches. What the second costs beyond the
    third is the account's lock; the rest is what 31 customers cost anywhere.
    """
    bank = setting.bank()
    group = f"{READERS} readers, lote of 1000 to one account"
    deposit = partial(deposit_batch, requests.Session(), bank, 1_000, accounts=1)
    yield Situation(group, "no reader", partial(measured, bank, deposit))
    for name, what in (("readers of it", "one"), ("readers of others", "local")):
        yield Situation(group, name, partial(beside_readers, bank, deposit, what))


def beside_readers(bank: Server, deposit: partial[int], what: str, seconds: float) -> Round:
    """Measure a request while wrk reads."""
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(by_wrk, bank.url, bank.headers, READERS, (what,), seconds + 1)
        found = measured(bank, deposit, seconds)
        reading.result()
    return found
