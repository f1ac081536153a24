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
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import requests

from tests.support.broker import Broker
from tests.support.cluster import NodeProcess, eventually, free_port
from tests.support.doors import Tokens, bearer
from tools.local_broker import pid_path

__all__ = ["ACCOUNTS", "Server", "postgres_programs", "start_bank", "start_broker", "start_empty", "start_postgres"]

ACCOUNTS = 100
NODES = 3
READY_S = 60.0
STOP_S = 20.0
ROOT = Path(__file__).resolve().parents[1]


class Server(NamedTuple):
    """Where customers go, and whose processor time their operations take: root processes by name."""

    url: str
    pids: dict[str, int]
    headers: Mapping[str, str] = {}
    """What every request to it shows."""


def start_broker(stack: ExitStack, folder: Path) -> Broker:
    """Start a broker for the banks of this run."""
    broker = Broker(folder / "broker").start()
    stack.callback(broker.remove)
    return broker.wait_ready()


def start_bank(stack: ExitStack, broker: Broker, folder: Path, tokens: Tokens | None = None) -> Server:
    """Start three nodes, which ask who comes if there are tokens, and open the accounts."""
    environment = {"AMQP_URL": broker.url} | (tokens.environment if tokens else {})
    headers = bearer(tokens.of["operador"]) if tokens else {}
    nodes = [NodeProcess(folder, environment=environment).start() for _ in range(NODES)]
    for node in nodes:
        stack.callback(node.kill)
    for node in nodes:
        node.wait_ready(READY_S)
    opened = [{"op": "abertura", "id_conta": f"conta-{number}"} for number in range(ACCOUNTS)]
    answer = nodes[0].post("/lote", {"operacoes": opened}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert all(each["sucesso"] for each in answer.json()["resultados"]), answer.text
    pids = {f"node {number}": node.process.pid for number, node in enumerate(nodes, 1) if node.process}
    pids["broker"] = int(pid_path(broker.folder, node=broker.node).read_text())
    return Server(nodes[0].url, pids, headers)


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
    url, application = _start_peer(stack, f"host=127.0.0.1 port={port} user=bench dbname=postgres")
    return Server(url, {"application": application, "postgres": postgres.pid})


def start_empty(stack: ExitStack) -> Server:
    """Start the comparison application's empty route: what Flask and waitress cost by themselves."""
    url, application = _start_peer(stack, "")
    return Server(url, {"application": application})


def _start_peer(stack: ExitStack, conninfo: str) -> tuple[str, int]:
    port = free_port()
    peer = subprocess.Popen([sys.executable, "-m", "bench.peer", str(port), str(ACCOUNTS), conninfo], cwd=ROOT)
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
