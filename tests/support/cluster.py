"""Real nodes for tests: processes of `python api.py` on free ports of the loopback, in a folder of the test's own."""

import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import requests

from replication.log import FIRST, LAST, Reader, Stored
from replication.rabbitmq import Brokers, RabbitLog
from tests.support.naive import bodies_of

__all__ = ["Cluster", "NodeProcess", "eventually", "free_port", "log_bodies"]

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0


def eventually(what: Callable[[], Any], *, seconds: float = 10.0, every: float = 0.02) -> Any:
    """Return the first value of `what()` that is neither None nor False; fail if none comes in time."""
    deadline = time.monotonic() + seconds
    while (value := what()) is None or value is False:
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(every)
    return value


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(10_000 + _WORKER, 32_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
"""Below those that outgoing connections get, which could take one between its choice and its use.

Each process that runs tests has its own.
"""
_handed_out: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on now, and that this process has not handed out yet."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _handed_out:
                _handed_out.add(port)
                return port


def rabbit_names(data_dir: Path) -> dict[str, str]:
    """Return an exchange and a stream for this folder alone: the nodes of a test share one, tests do not."""
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return {"AMQP_EXCHANGE": f"operacoes.{name}", "AMQP_STREAM": f"livro.{name}"}


def log_bodies(data_dir: Path) -> list[bytes]:
    """Return the bodies of the log that the nodes of this folder follow, in order."""
    if not (url := os.environ.get("AMQP_URL")):
        return bodies_of(data_dir / "livro.sqlite")
    names = rabbit_names(data_dir)
    log = RabbitLog(Brokers(url.split(",")), exchange=names["AMQP_EXCHANGE"], stream=names["AMQP_STREAM"])
    with closing(log), closing(log.read_from(LAST)) as tail, closing(log.read_from(FIRST)) as reader:
        log.append(b"end")
        end = next(stored for stored in iter_records(tail) if stored.body == b"end")
        bodies = [stored.body for stored in takewhile(lambda stored: stored.offset < end.offset, iter_records(reader))]
    return [body for body in bodies if body != b"end"]


def iter_records(reader: Reader) -> Iterator[Stored]:
    """Yield records for ever; fail if none comes for a while."""
    while True:
        batch = reader.poll(10.0)
        assert batch, "the log brings nothing"
        yield from batch


class NodeProcess:
    """One node in a process of its own."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        environment: dict[str, str] | None = None,
        output_dir: Path | None = None,
    ) -> None:
        """Describe a node; `start` starts it. What it prints goes to `output_dir`, or else to its data."""
        self.port = port or free_port()
        self.name = f"banco-{self.port}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = data_dir / self.name
        self.output_path = (output_dir or data_dir) / f"{self.name}.log"
        inherited = {key: value for key, value in os.environ.items() if key not in {"HOST", "NODE_NAME"}}
        own = {"PORT": str(self.port), "DATA_DIR": str(data_dir)} | rabbit_names(data_dir)
        self._environment = inherited | own | (environment or {})
        self.command = [sys.executable, "api.py"]
        self.process: subprocess.Popen[bytes] | None = None
        data_dir.mkdir(parents=True, exist_ok=True)

    def start(self) -> "NodeProcess":
        """Start the process; does not wait until it is ready."""
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=self._environment, stdout=output, stderr=output)
        return self

    def wait_ready(self, seconds: float = START_S) -> "NodeProcess":
        """Wait until the node accepts writes."""
        eventually(lambda: self._is_ready() or self._assert_alive(), seconds=seconds)
        return self

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/saude/pronto", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def _assert_alive(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} ended:\n{self.output()}"

    def output(self) -> str:
        """Return what the node printed so far."""
        return self.output_path.read_text(errors="replace")

    def send(self, signal_number: int) -> None:
        """Send a signal to this process alone."""
        assert self.process is not None
        self.process.send_signal(signal_number)

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM, and return the exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: float = 15.0) -> int:
        """Wait for the process to end; return its exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    @property
    def is_running(self) -> bool:
        """True between start and end."""
        return self.process is not None and self.process.poll() is None

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET from this node."""
        return requests.get(self.url + path, timeout=options.pop("timeout", 15), **options)

    def post(self, path: str, json: object = None, **options: Any) -> requests.Response:
        """POST JSON to this node."""
        return requests.post(self.url + path, json=json, timeout=options.pop("timeout", 15), **options)


class Cluster:
    """Nodes that share one folder, and so one embedded log."""

    def __init__(
        self,
        data_dir: Path,
        size: int,
        *,
        output_dir: Path | None = None,
        environments: Sequence[dict[str, str]] | None = None,
    ) -> None:
        """Describe the nodes. What an environment says goes for one of them, and before that of the test."""
        self.data_dir = data_dir
        self.nodes = [
            NodeProcess(data_dir, output_dir=output_dir, environment=environment)
            for environment in environments or [{}] * size
        ]

    @classmethod
    @contextmanager
    def running(cls, data_dir: Path, size: int, **options: Any) -> "Iterator[Cluster]":
        """Start all nodes, wait until all are ready, and kill what is left of them at the end."""
        cluster = cls(data_dir, size, **options)
        try:
            for node in cluster.nodes:
                node.start()
            for node in cluster.nodes:
                node.wait_ready()
            yield cluster
        finally:
            for node in cluster.nodes:
                if node.is_running:
                    node.kill()

    @property
    def urls(self) -> list[str]:
        """The nodes' base URLs."""
        return [node.url for node in self.nodes]

    def books(self) -> list[dict[str, Any]]:
        """Return every node's books, without asking for agreement."""
        return [node.get("/auditoria").json() for node in self.nodes]

    def settled_books(self, *, seconds: float = 20.0) -> dict[str, Any]:
        """Return the books once all nodes show the very same ones; fail if they never do."""

        def same() -> dict[str, Any] | None:
            first, *others = self.books()
            keys = ("contas", "soma_saldos", "epoca", "posicao", "resumo_historico", "resumo_estado", "confere")
            return first if all(other[key] == first[key] for other in others for key in keys) else None

        books: dict[str, Any] = eventually(same, seconds=seconds)
        assert books["confere"] is True
        return books
