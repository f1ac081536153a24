"""A private RabbitMQ broker on the loopback: Debian's rabbitmq-server in a folder of one's own, beside any other.

For `make run-rabbitmq` and for the tests. It needs no service, no user and no configuration of the machine's.
"""

import os
from pathlib import Path

__all__ = ["PROGRAMS", "is_installed", "pid_path", "prepare"]

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
"""Not those in /usr/sbin, which change the user."""
COOKIE = "COOKIEOFPRIVATEBROKERS"


def is_installed() -> bool:
    """Tell whether Debian's RabbitMQ is here."""
    return (PROGRAMS / "rabbitmq-server").exists()


def prepare(folder: Path, *, node: str, port: int, dist_port: int) -> dict[str, str]:
    """Make the broker's folder; return the environment in which its server and its tools run. `node` is name@host."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    cookie = home / ".erlang.cookie"
    if not cookie.exists():  # before any tool of RabbitMQ runs: the first one would make another
        cookie.write_text(COOKIE, encoding="ascii")
        cookie.chmod(0o400)
    (folder / "plugins").write_text("[].", encoding="ascii")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = false\n"
        "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 2GB\n"
        "cluster_partition_handling = pause_minority\n",
        encoding="ascii",
    )
    return {key: value for key, value in os.environ.items() if not key.startswith("RABBITMQ_")} | {
        "HOME": str(home),
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


def pid_path(folder: Path, *, node: str) -> Path:
    """Return the file in which the broker writes its process id."""
    return folder / "mnesia" / f"{node}.pid"
