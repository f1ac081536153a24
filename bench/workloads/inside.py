"""Workloads inside one node: its applier alone, its restart, and its memory."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import requests

from bench import applying
from bench.measure import Round, cpu_seconds
from bench.registry import Setting, Situation, workload
from bench.servers import BATCH, Server, open_accounts, server_of, start_nodes
from bench.workloads.batches import deposit_batch
from tests.support.cluster import NodeProcess, eventually

REPLAY_S = 600.0
SETTLE_S = 5.0
"""After what a node does at its start and just after it."""
IDLE_S = 10.0


@workload()
def apply(setting: Setting) -> Iterator[Situation]:
    """Decode, look-up, locks, apply, digests and journal of 2,000 transfers a record, over more and more accounts.

    Beside them random ids over the middle number of accounts, in a journal that grows by what is applied.
    """
    sizes = sorted(setting.arguments.apply_accounts)
    middle = sizes[len(sizes) // 2]
    variants = [(f"{size} accounts", size, False) for size in sizes]
    variants.append((f"{middle} accounts, random ids", middle, True))
    pools = []
    for name, size, random_ids in variants:
        pool = setting.stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        ready = pool.submit(applying.prepare, setting.new_folder(), size, random_ids=random_ids)
        pools.append((name, pool, ready))
    for *_, ready in pools:
        ready.result()
    for name, pool, _ in pools:
        yield Situation("apply, records of 2000 transfers", name, partial(in_process, pool))


def in_process(pool: ProcessPoolExecutor, seconds: float) -> Round:
    """Measure in the process that was prepared."""
    return pool.submit(applying.measure, seconds).result()


@workload()
def replay(setting: Setting) -> Iterator[Situation]:
    """Start a node again after so many deposits by lote: from the log alone, and with its journal."""
    operations = setting.arguments.operations
    (node,) = start_nodes(setting.stack, setting.broker, setting.new_folder(), 1)
    bank = server_of([node], setting.broker)
    open_accounts(bank, 100)
    session = requests.Session()
    for _ in range(0, operations, BATCH):
        deposit_batch(session, bank, BATCH)
    for _ in range(min(3, setting.arguments.rounds)):
        node.stop()
        shutil.rmtree(node.folder)
        seen = restart(node)
        setting.figure(f"replay: s until ready, {operations} operations, no journal", seen[-1].since_start_s)
        setting.figure("replay: operations a second", operations * rate_of(seen))
        node.stop()
        seen = restart(node)
        setting.figure(f"replay: s until ready, {operations} operations, with its journal", seen[-1].since_start_s)
    yield from ()


class Seen(NamedTuple):
    """Where a node was in its history at some moment."""

    since_start_s: float
    position: int


def restart(node: NodeProcess) -> list[Seen]:
    """Start a node, look at its position until it is ready, and return what was seen; the last look is the end."""
    began = time.perf_counter()
    node.start()
    seen: list[Seen] = []

    def is_ready() -> bool:
        assert node.is_running, node.output()
        try:
            health = requests.get(f"{node.url}/saude", timeout=10).json()
        except requests.RequestException:
            return False
        seen.append(Seen(time.perf_counter() - began, health["detalhes"]["posicao"]))
        return bool(health["pronto"])

    eventually(is_ready, seconds=REPLAY_S, every=0.05)
    return seen


def rate_of(seen: list[Seen]) -> float:
    """Return which part of the whole history went by in a second, from the last look before it moved to its end."""
    end = next(look for look in seen if look.position == seen[-1].position)
    before = max((look for look in seen if look.position == seen[0].position), key=lambda look: look.since_start_s)
    if end.since_start_s <= before.since_start_s:  # all of it between two looks
        return 1 / end.since_start_s
    return (1 - before.position / end.position) / (end.since_start_s - before.since_start_s)


@workload()
def memory(setting: Setting) -> Iterator[Situation]:
    """Memory and processor time of an idle node, and what each account takes, while it runs and started again."""
    (node,) = start_nodes(setting.stack, setting.broker, setting.new_folder(), 1)
    time.sleep(SETTLE_S)
    bank = server_of([node], setting.broker)
    empty_bytes = resident_bytes(node)
    setting.figure("memory: MB of an empty node", empty_bytes / 1e6)
    setting.figure("memory: % of a core of an idle node", idle_percent(bank))
    opened = 0
    for accounts in sorted(setting.arguments.accounts or [1_000]):
        open_accounts(bank, accounts, opened=opened)
        opened = accounts
        note_bytes(setting, f"{accounts} accounts just opened", (resident_bytes(node) - empty_bytes) / accounts)
    node.stop()
    restart(node)
    time.sleep(SETTLE_S)
    note_bytes(setting, f"{opened} accounts, started again", (resident_bytes(node) - empty_bytes) / opened)
    busy_percent = idle_percent(server_of([node], setting.broker))
    setting.figure(f"memory: % of a core of an idle node with {opened} accounts", busy_percent)
    yield from ()


def note_bytes(setting: Setting, when: str, bytes_each: float) -> None:
    """Note what an account takes, on top of an empty node."""
    setting.figure(f"memory: bytes an account, {when}", bytes_each)


def resident_bytes(node: NodeProcess) -> int:
    """Return what a node's process holds of the machine's memory."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def idle_percent(bank: Server) -> float:
    """Return the share of a core that the first node takes while nobody asks for anything."""
    before_s = cpu_seconds(bank)["node 1"]
    time.sleep(IDLE_S)
    return (cpu_seconds(bank)["node 1"] - before_s) / IDLE_S * 100
