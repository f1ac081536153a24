"""Starts what is compared, each on free ports of the loopback and killed at the end: our nodes, PostgreSQL, peers.

Everything hangs on an ExitStack, so that it ends after Ctrl-C too. Every wait has a deadline.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import requests

from tests.support.broker import Broker
from tests.support.cluster import NodeProcess, eventually, free_port
from tools.local_broker import pid_path

__all__ = [
    "ACCOUNTS",
    "BATCH",
    "Server",
    "open_accounts",
    "post_batch",
    "postgres_programs",
    "server_of",
    "start_broker",
    "start_empty",
    "start_naive",
    "start_nodes",
    "start_postgres",
]

ACCOUNTS = 100
BATCH = 10_000
READY_S = 60.0
STOP_S = 20.0
ROOT = Path(__file__).resolve().parents[1]


class Server(NamedTuple):
    """Where customers go, and whose processor time their operations take: root processes by name."""

    url: str
    pids: dict[str, int]
    headers: Mapping[str, str] = {}
    """What every request to it shows."""
    others: tuple[str, ...] = ()
    """Where else the same bank may be asked."""


def start_broker(stack: ExitStack, folder: Path) -> Broker:
    """Start a broker for the banks of this run."""
    broker = Broker(folder / "broker").start()
    stack.callback(broker.remove)
    return broker.wait_ready()


def start_nodes(
    stack: ExitStack, broker: Broker, folder: Path, number: int, environment: Mapping[str, str] | None = None
) -> list[NodeProcess]:
    """Start nodes of one log, and wait until all accept writes."""
    wanted = {"AMQP_URL": broker.url} | dict(environment or {})
    nodes = [NodeProcess(folder, environment=wanted).start() for _ in range(number)]
    for node in nodes:
        stack.callback(node.kill)
    for node in nodes:
        node.wait_ready(READY_S)
    return nodes


def server_of(nodes: Sequence[NodeProcess], broker: Broker, headers: Mapping[str, str] | None = None) -> Server:
    """Return the nodes, which run, as customers see them: the first one is asked if nothing else is said."""
    pids = {f"node {number}": node.process.pid for number, node in enumerate(nodes, 1) if node.process}
    pids["broker"] = int(pid_path(broker.folder, node=broker.node).read_text())
    return Server(nodes[0].url, pids, headers or {}, tuple(node.url for node in nodes[1:]))


def open_accounts(server: Server, number: int, *, opened: int = 0) -> None:
    """Open conta-0, conta-1 and so on, so many in all; the first ones are open already."""
    for first in range(opened, number, BATCH):
        names = [f"conta-{place}" for place in range(first, min(number, first + BATCH))]
        post_batch(requests, server.url, [{"op": "abertura", "id_conta": name} for name in names], server.headers)


def post_batch(
    session: requests.Session | ModuleType, url: str, operations: list[dict[str, object]], headers: Mapping[str, str]
) -> None:
    """Ask for all of these with one request; fail unless all of them are applied."""
    answer = session.post(f"{url}/lote", json={"operacoes": operations}, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert all(each["sucesso"] for each in answer.json()["resultados"]), "an operation was refused"


def postgres_programs() -> Path | None:
    """Return the folder of Debian's PostgreSQL programs, the newest; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def start_postgres(stack: ExitStack) -> Server:
    """Start a PostgreSQL cluster with its defaults (fsync on) and the comparison application on it."""
    programs = postgres_programs()
    assert programs is not None, "the caller looked before"
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    port = free_port()
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    become = {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}
    if become:
        shutil.chown(folder, user, user)
    data = folder / "data"
    initdb = [programs / "initdb", "--pgdata", data, "--auth=trust", "--username=bench", "--encoding=UTF8"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, timeout=READY_S, cwd=folder, **become)
    with (folder / "output").open("ab") as output:
        postgres = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder],
            stdout=output, stderr=output, cwd=folder, **become,
        )  # fmt: skip
    stack.callback(end, postgres, signal.SIGINT)  # its fast shutdown
    ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    eventually(lambda: subprocess.run(ready, check=False, timeout=READY_S).returncode == 0, seconds=READY_S, every=0.2)
    url, application = _start_peer(
        stack, "bench.peer", str(ACCOUNTS), f"host=127.0.0.1 port={port} user=bench dbname=postgres"
    )
    return Server(url, {"application": application, "postgres": postgres.pid})


def start_empty(stack: ExitStack) -> Server:
    """Start the comparison application's empty route: what Flask and waitress cost by themselves."""
    url, application = _start_peer(stack, "bench.peer", str(ACCOUNTS), "")
    return Server(url, {"application": application})


def start_naive(stack: ExitStack, broker: Broker) -> Server:
    """Start the naive version of the bank: as many nodes as the bank has, asked at the first."""
    exchange = f"naive.{free_port()}"
    nodes = [_start_peer(stack, "bench.naive", broker.url, exchange, str(ACCOUNTS)) for _ in range(3)]
    pids = {f"node {number}": pid for number, (_, pid) in enumerate(nodes, 1)}
    pids["broker"] = int(pid_path(broker.folder, node=broker.node).read_text())
    return Server(nodes[0][0], pids)


def _start_peer(stack: ExitStack, module: str, *arguments: str) -> tuple[str, int]:
    port = free_port()
    command = [sys.executable, "-m", module, str(port), *arguments]
    peer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # Flask's banner
    stack.callback(end, peer, signal.SIGTERM)
    url = f"http://127.0.0.1:{port}"
    eventually(partial(_answers, peer, url), seconds=READY_S, every=0.1)
    return url, peer.pid


def _answers(peer: subprocess.Popen[bytes], url: str) -> bool:
    assert peer.poll() is None, "the comparison application ended"
    try:
        return requests.get(f"{url}/contas/conta-0", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def end(process: subprocess.Popen[bytes], signal_number: int) -> None:
    """Ask a process to end; kill it if it does not."""
    process.send_signal(signal_number)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
