"""A network of one's own: a namespace for each host, all joined by a bridge, and cables that can be pulled.

The test's own process is on the bridge, at `Network.address`, and so is what it starts outside of the namespaces.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pytest

__all__ = ["Host", "Network"]


class Host:
    """A network namespace with one interface."""

    def __init__(self, name: str, address: str) -> None:
        """Describe it; `Network` makes it."""
        self.name = name
        self.address = address

    def command(self, *arguments: str) -> list[str]:
        """Return what runs a command on this host; the process is the command itself, with its pid."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def reaches(self, address: str, port: int) -> bool:
        """True if a connection from this host to that address opens within two seconds."""
        attempt = self.command("timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
        return subprocess.run(attempt, capture_output=True, check=False).returncode == 0

    @contextmanager
    def without_port(self, port: int) -> Iterator[None]:
        """Drop all that goes from this host to that port, and all that comes from there."""
        rules = [["OUTPUT", "-p", "tcp", "--dport", str(port)], ["INPUT", "-p", "tcp", "--sport", str(port)]]
        with ExitStack() as mended:
            for rule in rules:
                _run(*self.command("iptables", "-A", *rule, "-j", "DROP"))
                mended.callback(_run, *self.command("iptables", "-D", *rule, "-j", "DROP"))
            yield

    @contextmanager
    def cut_from(self, addresses: Sequence[str], *, except_ports: Sequence[int]) -> Iterator[None]:
        """Drop all TCP between this host and those addresses, but for what goes to these ports and comes from them."""
        spared = ["-m", "multiport", "!", "--ports", ",".join(map(str, except_ports)), "-j", "DROP"]
        with ExitStack() as mended:
            for address in addresses:
                for end in (["INPUT", "-s", address], ["OUTPUT", "-d", address]):
                    rule = [*end, "-p", "tcp", *spared]
                    _run(*self.command("iptables", "-A", *rule))
                    mended.callback(_run, *self.command("iptables", "-D", *rule))
            yield

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Pull its cable at the other end: nothing comes or goes, and the host sees nothing of it."""
        _run("ip", "link", "set", self.name, "nomaster")
        try:
            yield
        finally:
            _run("ip", "link", "set", self.name, "master", self.name.partition("-")[0])


class Network:
    """A bridge and its hosts."""

    def __init__(self, address: str, hosts: Sequence[Host]) -> None:
        """What `joined` has made."""
        self.address = address
        self.hosts = hosts

    @classmethod
    @contextmanager
    def joined(cls, size: int) -> "Iterator[Network]":
        """So many hosts on one bridge; all of it is taken away at the end. Skips where there can be none."""
        if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("iptables") is None:
            pytest.skip("network namespaces need root, ip (Debian's iproute2) and iptables")
        bridge = f"bd{os.getpid()}"
        subnet = f"10.213.{os.getpid() % 256}"
        with ExitStack() as rest:
            _run("ip", "link", "add", bridge, "type", "bridge")
            rest.callback(_run, "ip", "link", "del", bridge)
            _run("ip", "addr", "add", f"{subnet}.1/24", "dev", bridge)
            _run("ip", "link", "set", bridge, "up")
            hosts = [Host(f"{bridge}-{number}", f"{subnet}.{number + 10}") for number in range(size)]
            for host in hosts:
                _run("ip", "netns", "add", host.name)
                rest.callback(_run, "ip", "netns", "del", host.name)
                rest.callback(_end_all, host)
                _run("ip", "link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
                rest.callback(_run, "ip", "link", "del", host.name)
                _run("ip", "link", "set", host.name, "master", bridge, "up")
                _run("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
                for interface in ("lo", "eth0"):
                    _run("ip", "-n", host.name, "link", "set", interface, "up")
            yield cls(f"{subnet}.1", hosts)


def _end_all(host: Host) -> None:
    """End what still runs on the host: Erlang's epmd outlives its broker, and nobody told us its pid."""
    running = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True, check=True)
    for pid in running.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
