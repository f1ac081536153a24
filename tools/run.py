"""Several nodes of the bank in one foreground: `make run`, and `make start-5001`, `stop-5001`, `status` beside it.

Nodes are children of supervisor, which runs in this very process and starts nothing again by itself: a node that is
killed stays dead, and seen dead, until it is told to start. Each line that a node prints stands behind its name.
What the nodes share in memory is nothing: each is its own `python api.py`, with its own port.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".run"
READY_SECONDS_MAX = 60
NOT_OURS = ("NODE_NAME", "PUBLIC_URL", "PORT")
"""Settings of one node: the same for several of them would be wrong."""
ONE_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main() -> int:
    """Run the nodes, or pass a word (`start`, `stop`, `status`) to those that run. Return the exit status."""
    os.chdir(ROOT)
    if len(sys.argv) == 1:
        return run(ports_from(os.environ.get("PORTS", "5000 5001 5002")))
    return tell(sys.argv[1], sys.argv[2:])


def ports_from(text: str) -> list[int]:
    """Return the ports named in `text`, or end with a sentence."""
    words = text.replace(",", " ").split()
    ports = [int(word) for word in words if re.fullmatch(r"[0-9]{1,5}", word) and 1 <= int(word) <= 65_535]
    if len(ports) != len(words) or not ports or len(set(ports)) != len(ports):
        sys.exit(f'PORTS={text!r} is not a list of different ports, such as PORTS="6000 6001 6002".')
    return ports


def run(ports: list[int]) -> int:
    """Run one node at each port until Ctrl-C or a signal to end, and stop all of them. Return the exit status."""
    host = os.environ.get("HOST") or "127.0.0.1"
    for port in ports:
        refuse_if_taken(host, port)
    # A socket's path may have 108 bytes at most and a clone may lie deep, so the socket lies elsewhere.
    socket_dir = Path(tempfile.mkdtemp(prefix="banco-", dir=None if len(tempfile.gettempdir()) < 60 else "/tmp"))  # noqa: S108 (mkdtemp makes it ours alone)
    STATE.mkdir(exist_ok=True)
    conf = STATE / f"{'-'.join(map(str, ports))}.conf"
    try:
        conf.write_text(supervisor_conf(ports, socket_dir / "s"), encoding="utf-8")
        for name in NOT_OURS:
            os.environ.pop(name, None)
        os.environ |= {"PYTHONUNBUFFERED": "1", "BANCO_PYTHON": sys.executable}
        return Nodes(conf, {f"banco-{port}": base_url(host, port) for port in ports}).serve()
    finally:
        conf.unlink(missing_ok=True)
        shutil.rmtree(socket_dir, ignore_errors=True)


def refuse_if_taken(host: str, port: int) -> None:
    """End with a sentence if nobody could listen at this port now."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        sys.exit(
            f"Port {port} at {host} cannot be had ({error.strerror}): end what uses it, or choose other ports, "
            'as in PORTS="6000 6001 6002" make run'
        )


def base_url(host: str, port: int) -> str:
    """Return where this machine reaches a node that listens at `host`."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not listened at)
    return f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"


def supervisor_conf(ports: list[int], socket_path: Path) -> str:
    """Return supervisor's configuration: it starts nothing twice, and asks politely before it kills."""
    user = "user=root" if os.geteuid() == 0 else ""
    programs = "".join(
        f"""
[program:banco-{port}]
command="%(ENV_BANCO_PYTHON)s" api.py
environment=PORT="{port}"
autorestart=false
startsecs=0
stopwaitsecs=8
redirect_stderr=true
stdout_logfile=NONE
stdout_events_enabled=true
"""
        for port in ports
    )
    return f"""
[supervisord]
nodaemon=true
silent=true
nocleanup=true
logfile={STATE.name}/{"-".join(map(str, ports))}.log
logfile_maxbytes=1MB
logfile_backups=0
pidfile={socket_path.parent}/pid
minfds=256
minprocs=16
{user}

[unix_http_server]
file={socket_path}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket_path}

[group:nodes]
programs={",".join(f"banco-{port}" for port in ports)}
{programs}"""


class Nodes(Supervisor):  # type: ignore[misc]  # supervisor has no types
    """Supervisor with a voice: shows what nodes print, says when one is down, and greets when all are ready."""

    def __init__(self, conf: Path, urls: dict[str, str]) -> None:
        options = ServerOptions()
        options.realize(["-c", str(conf)])
        options.first, options.test = True, False
        super().__init__(options)
        self.urls = urls
        self.down: set[str] = set()
        self.greeted = False
        self.failed = False
        self.unfinished: dict[str, bytes] = {}

    def serve(self) -> int:
        """Run until told to end; return the exit status."""
        print(f"Starting {', '.join(self.urls)}...", flush=True)
        try:
            self.main()
        except ExitNow:
            pass
        finally:
            self.options.close_httpservers()
            self.options.close_logger()
        print("No node could start: what they printed above says why." if self.failed else "All nodes are stopped.")
        return 1 if self.failed else 0

    def runforever(self) -> None:
        """Supervisor's loop, with our ears in it."""
        events.subscribe(events.ProcessLogEvent, self.show)
        events.subscribe(events.ProcessStateEvent, self.follow)
        events.subscribe(events.SupervisorStoppingEvent, lambda _: say("Stopping..."))
        threading.Thread(target=self.greet, name="greeter", daemon=True).start()
        super().runforever()

    def show(self, event: events.ProcessLogEvent) -> None:
        """Print the whole lines among what a node wrote, behind its name."""
        name = event.process.config.name
        data = event.data.encode() if isinstance(event.data, str) else event.data
        *lines, self.unfinished[name] = (self.unfinished.get(name, b"") + data).split(b"\n")
        for line in lines:
            say(f"{name} | {line.decode('utf-8', 'replace')}")

    def follow(self, event: events.ProcessStateEvent) -> None:
        """Notice a node that comes up or goes down."""
        name = event.process.config.name
        if isinstance(event, events.ProcessStateStartingEvent):
            self.down.discard(name)
            if self.greeted:
                say(f"{name} is starting.")
        elif isinstance(event, events.ProcessStateStoppedEvent | events.ProcessStateFatalEvent):
            self.down.add(name)
        elif isinstance(event, events.ProcessStateExitedEvent):
            self.down.add(name)
            pid = dict(event.extra_values)["pid"]
            say(f"{name} (process {pid}) ended by itself or was killed. To start it again: make start-{name[6:]}")
            if not self.greeted and len(self.down) == len(self.urls):
                self.failed = True
                self.options.mood = SupervisorStates.SHUTDOWN

    def greet(self) -> None:
        """Wait until each node is ready or down, then say what to do next. A thread of its own runs this."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        waiting = dict(self.urls)
        while waiting and time.monotonic() < deadline:
            waiting = {name: url for name, url in waiting.items() if name not in self.down and not is_ready(url)}
            time.sleep(0.1)
        if self.failed or len(self.down) == len(self.urls):
            return
        self.greeted = True
        for name in waiting:
            say(f"{name} is not ready after {READY_SECONDS_MAX} s: see {waiting[name]}/saude")
        say(greeting(self.urls))


def is_ready(url: str) -> bool:
    """Whether a node says that it may be asked."""
    try:
        with ONE_DIRECT.open(f"{url}/saude/pronto", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def greeting(urls: dict[str, str]) -> str:
    """Return what to click, what to type, and which log is in use."""
    first, last = next(iter(urls.values())), list(urls.values())[-1]
    folder = os.environ.get("DATA_DIR") or "dados"
    if os.environ.get("AMQP_URL"):
        log = f"RabbitMQ, at AMQP_URL. Without AMQP_URL (and with another DATA_DIR than {folder}): the embedded one."
    else:
        log = (
            f"embedded, one SQLite file in {folder}/, for nodes of one machine. RabbitMQ instead:\n"
            "       make run-rabbitmq"
        )
    last_port = last.rpartition(":")[2]
    return f"""
The bank is open. Click:  {"  ".join(urls.values())}   (each also has /docs)
Try:   curl -X POST {first}/contas -H 'Content-Type: application/json' -d '{{"id_conta": "maria", "saldo": 100}}'
       curl {last}/contas/maria
Log:   {log}
Break: make status names the processes; kill -9 one of them, and the others go on. Again: make start-{last_port}
Stop:  Ctrl-C
"""


def say(text: str) -> None:
    """Print at once, in one piece."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(word: str, ports: list[str]) -> int:
    """Pass `word` to the supervisor that runs these ports (all that run, if none is named). Return the exit status."""
    confs = [conf for conf in STATE.glob("*.conf") if set(ports) <= set(conf.stem.split("-"))]
    if not confs:
        sys.exit(f"No `make run` of this folder runs{' port ' if ports else ''}{' '.join(ports)}.")
    status = 0
    for conf in confs:
        supervisorctl = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(conf), word]
        done = subprocess.run([*supervisorctl, *(f"nodes:banco-{port}" for port in ports)], check=False)
        status = max(status, 0 if word == "status" else done.returncode)
    return status


if __name__ == "__main__":
    sys.exit(main())
