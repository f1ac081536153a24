"""Private RabbitMQ brokers for tests: Debian's rabbitmq-server on free ports, in a folder of the test's own."""

import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from bank.errors import LogUnreachable
from replication.log import FIRST
from replication.rabbitmq import Brokers, RabbitLog
from tests.support.cluster import eventually, free_port
from tests.support.network import Host
from tools.local_broker import PROGRAMS, pid_path, prepare

__all__ = ["Broker", "BrokerCluster"]

START_S = 90.0
WARM_S = 60.0


class Broker:
    """One broker, here or on a host of its own."""

    def __init__(self, folder: Path, name: str = "solo", host: Host | None = None) -> None:
        """Describe a broker; `start` starts it."""
        self.folder = folder / name
        self.port = free_port()
        self.address = host.address if host else "127.0.0.1"
        self.node = f"{name}-{self.port}@{host.address if host else 'localhost'}"
        self.url = f"amqp://guest:guest@{self.address}:{self.port}/"
        self._environment = prepare(self.folder, node=self.node, port=self.port, dist_port=free_port())
        self._on_host = host.command if host else lambda *arguments: list(arguments)
        if host:
            self._environment |= {"RABBITMQ_USE_LONGNAME": "true", "ERL_EPMD_ADDRESS": host.address}
            self.configure(f"listeners.tcp.2 = {host.address}:{self.port}", "loopback_users = none")
        self._server: subprocess.Popen[bytes] | None = None

    def configure(self, *lines: str) -> None:
        """Tell it more, before it starts."""
        with (self.folder / "rabbitmq.conf").open("a", encoding="ascii") as settings:
            settings.writelines(f"{line}\n" for line in lines)

    def start(self) -> "Broker":
        """Start the process; does not wait."""
        with (self.folder / "output").open("ab") as output:
            self._server = subprocess.Popen(
                self._on_host(str(PROGRAMS / "rabbitmq-server")), env=self._environment, stdout=output, stderr=output
            )
        return self

    def wait_ready(self) -> "Broker":
        """Wait until clients are served."""
        eventually(self._is_up, seconds=START_S, every=0.2)
        self.control("await_startup")
        return self

    def _is_up(self) -> bool:
        self._assert_alive()
        return self._pid_path.exists()

    def _assert_alive(self) -> None:
        assert self._server is not None
        assert self._server.poll() is None, (self.folder / "output").read_text()

    @property
    def _pid_path(self) -> Path:
        return pid_path(self.folder, node=self.node)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on this broker; return what it printed."""
        done = subprocess.run(
            self._on_host(str(PROGRAMS / "rabbitmqctl"), "-q", "-n", self.node, *arguments),
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
            with suppress(ProcessLookupError):  # killed before, and its wrapper has not noticed yet
                self.send(signal.SIGCONT)
                self.send(signal.SIGKILL)
        self._server.wait(30)
        self._pid_path.unlink(missing_ok=True)

    def restart(self) -> "Broker":
        """Start again, with what it had on its disk."""
        return self.start().wait_ready()

    @property
    def is_listening(self) -> bool:
        """True if clients can connect. Fails if the process has ended."""
        self._assert_alive()
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.address, self.port)) == 0

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

    def __init__(self, folder: Path, hosts: Sequence[Host | None] = (None,) * 3, settings: Sequence[str] = ()) -> None:
        """Start three brokers, join them, and wait until they are whole."""
        self.brokers = [Broker(folder, name, host) for name, host in zip(("um", "dois", "tres"), hosts, strict=True)]
        for broker in self.brokers:
            broker.configure(*settings)
        try:
            self.start()
            self._join()
            self.make_whole()
        except BaseException:
            self.remove()
            raise

    def _join(self) -> None:
        first, *others = [broker.wait_ready() for broker in self.brokers]
        for broker in others:
            broker.control("stop_app")
            broker.control("join_cluster", first.node)
            broker.control("start_app")

    def start(self) -> None:
        """Start whoever does not run; does not wait, for a broker that was killed waits for the others itself."""
        for broker in self.brokers:
            if not broker.is_running:
                broker.start()

    def kill(self) -> None:
        """Kill -9 all three at once, and wait until they are gone."""
        for broker in self.brokers:
            broker.send(signal.SIGKILL)
        for broker in self.brokers:
            broker.kill()

    def make_whole(self) -> None:
        """Bring back whoever was paused or killed, and wait until streams work through each broker."""
        for broker in self.brokers:
            if broker.is_running:
                broker.send(signal.SIGCONT)
        self.start()
        for broker in self.brokers:
            broker.wait_ready()
        for broker in self.brokers:
            broker.control("await_online_nodes", str(len(self.brokers)))
        for broker in self.brokers:
            eventually(partial(self._makes_streams, broker), seconds=WARM_S, every=0.2)

    def _makes_streams(self, broker: Broker) -> bool:
        """Try all that a log needs through this broker: who only just joined closes its clients' connections (541)."""
        name = f"scratch.{uuid.uuid4().hex}"  # a new one each time: one that began short of a replica stays so
        through = Brokers([broker.url])
        everywhere = RabbitLog(Brokers(self.url.split(",")), exchange=name, stream=name)
        try:
            with closing(RabbitLog(through, exchange=name, stream=name)) as log:
                log.append(b"scratch")
                with closing(log.read_from(FIRST)) as reader:
                    works = bool(reader.poll(5.0)) and everywhere.replicas().held == len(self.brokers)
            with through.connection() as connection, closing(connection):
                channel = connection.channel()
                channel.queue_delete(name)
                channel.exchange_delete(name)
        except LogUnreachable:
            return False
        return works

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
