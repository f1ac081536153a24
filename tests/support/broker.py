"""Private RabbitMQ brokers for tests: Debian's rabbitmq-server on free ports, in a folder of the test's own."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.cluster import eventually, free_port
from tools.local_broker import PROGRAMS, pid_path, prepare

__all__ = ["Broker", "BrokerCluster"]

START_S = 90.0


class Broker:
    """One broker."""

    def __init__(self, folder: Path, name: str = "solo") -> None:
        """Describe a broker; `start` starts it."""
        self.folder = folder / name
        self.port = free_port()
        self.node = f"{name}-{self.port}@localhost"
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._environment = prepare(self.folder, node=self.node, port=self.port, dist_port=free_port())
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> "Broker":
        """Start the process; does not wait."""
        with (self.folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [PROGRAMS / "rabbitmq-server"], env=self._environment, stdout=output, stderr=output
            )
        return self

    def wait_ready(self) -> "Broker":
        """Wait until clients are served."""
        eventually(self._is_up, seconds=START_S, every=0.2)
        self.control("await_startup")
        return self

    def _is_up(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "output").read_text()
        return self._pid_path.exists()

    @property
    def _pid_path(self) -> Path:
        return pid_path(self.folder, node=self.node)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on this broker; return what it printed."""
        done = subprocess.run(
            [PROGRAMS / "rabbitmqctl", "-q", "-n", self.node, *arguments],
            env=self._environment, capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def send(self, signal_number: int) -> None:
        """Send a signal to the broker itself, not to its wrapper."""
        os.kill(int(self._pid_path.read_text()), signal_number)

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        assert self._server is not None
        if self._server.poll() is None and self._pid_path.exists():
            self.send(signal.SIGCONT)
            self.send(signal.SIGKILL)
        self._server.wait(30)
        self._pid_path.unlink(missing_ok=True)

    def restart(self) -> "Broker":
        """Start again, with what it had on its disk."""
        return self.start().wait_ready()

    @property
    def is_running(self) -> bool:
        """True between start and end."""
        return self._server is not None and self._server.poll() is None

    def remove(self) -> None:
        """Kill it and delete what it left."""
        if self.is_running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class BrokerCluster:
    """Three brokers that share their streams."""

    def __init__(self, folder: Path) -> None:
        """Start three brokers and join them."""
        self.brokers = [Broker(folder, name).start() for name in ("um", "dois", "tres")]
        for broker in self.brokers:
            broker.wait_ready()
        first, *others = self.brokers
        for broker in others:
            broker.control("stop_app")
            broker.control("join_cluster", first.node)
            broker.control("start_app")
        first.control("await_online_nodes", "3")

    @property
    def url(self) -> str:
        """All three, as AMQP_URL takes them."""
        return ",".join(broker.url for broker in self.brokers)

    def leader_of(self, stream: str) -> Broker:
        """Return the broker that leads the stream."""
        for line in self.brokers[0].control("list_queues", "--silent", "name", "leader").splitlines():
            name, _, leader = line.partition("\t")
            if name == stream:
                return next(broker for broker in self.brokers if broker.node == leader.strip())
        raise AssertionError(f"no stream {stream}")

    def remove(self) -> None:
        """Kill all and delete what they left."""
        for broker in self.brokers:
            broker.remove()
