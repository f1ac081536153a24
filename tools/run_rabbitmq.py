"""`make run-rabbitmq`: the nodes of `make run` on RabbitMQ, with a local broker if none answers at AMQP_URL.

The broker is Debian's rabbitmq-server, installed if this is Debian and we are root. It keeps its data beside those
of the nodes in `dados-rabbitmq/`, and stops with them.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tools.local_broker import PROGRAMS, is_installed, pid_path, prepare

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
START_S = 90


def main() -> int:
    """Start a broker if one is needed, run the nodes, stop the broker; return the exit status."""
    os.chdir(ROOT)
    url = os.environ.setdefault("AMQP_URL", DEFAULT_URL)
    data_dir = os.environ.setdefault("DATA_DIR", "dados-rabbitmq")
    if any(answers(one) for one in url.split(",")):
        return nodes()
    place = urlsplit(url)
    if "," in url or place.hostname not in {"127.0.0.1", "localhost"}:
        sys.exit(f"No broker answers at {url}: start it, or unset AMQP_URL to have a local one.")
    install()
    folder = (ROOT / data_dir / "broker").resolve()
    port = place.port or 5672
    node = f"banco-{port}@localhost"
    environment = prepare(folder, node=node, port=port, dist_port=port + 20_000)
    print(f"Starting a RabbitMQ broker at 127.0.0.1:{port}, its data in {folder}...", flush=True)
    with (folder / "output").open("ab") as output:
        # A session of its own: Ctrl-C is for the nodes, and the broker stops after them.
        server = subprocess.Popen(
            [PROGRAMS / "rabbitmq-server"], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await_broker(url, server, folder)
        return nodes()
    finally:
        stop(server, pid_path(folder, node=node))


def answers(url: str) -> bool:
    """Tell whether somebody listens there."""
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname or "127.0.0.1", place.port or 5672), timeout=2):
            return True
    except OSError:
        return False


def install() -> None:
    """Install RabbitMQ if it is missing, or end with a sentence."""
    if is_installed():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(
            "No broker answers, and RabbitMQ is not installed: install Debian's package rabbitmq-server, "
            "name a broker in AMQP_URL, or use `make run`, which needs none."
        )
    print("Installing rabbitmq-server...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "rabbitmq-server"]):
        subprocess.run(["apt-get", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def await_broker(url: str, server: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Wait until the broker's port is open, or end with a sentence."""
    deadline = time.monotonic() + START_S
    while not answers(url):
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"The broker did not start: see {folder}/output and {folder}/log.")
        time.sleep(0.2)


def nodes() -> int:
    """Run the nodes until they are told to end; return their exit status."""
    child = subprocess.Popen([sys.executable, str(ROOT / "tools" / "run.py")])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _frame: child.send_signal(caught))
    return child.wait()


def stop(server: "subprocess.Popen[bytes]", pid_file: Path) -> None:
    """Stop the broker itself, not only the shell around it."""
    if server.poll() is None and pid_file.exists():
        os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGTERM)
    server.wait(60)
    print("The broker is stopped.")


if __name__ == "__main__":
    sys.exit(main())
