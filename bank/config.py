"""Configuration: all a node may be told, read once from the environment by api.py and handed down.

The only file that reads `os.environ`. Wrong values are refused with a sentence that names the variable.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bank.errors import StartRefused
from bank.operations import BATCH_OPERATIONS_MAX, NODE_NAME

__all__ = ["Config"]

CLUSTER_KEY = r"^([!-~]{16,200})?\Z"
RATE_LIMIT = r"^([1-9][0-9]{0,6}/(second|minute|hour))?\Z"
AMQP_NAME = r"^[A-Za-z][A-Za-z0-9._-]{0,199}\Z"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One node's settings. Names carry their units."""

    node_name: str
    host: str = "127.0.0.1"
    port: int = 5000
    data_dir: Path = Path("dados")
    public_urls: tuple[str, ...] = ()
    """Where customers and peers reach this node, the peers' address first. Empty: http://host:port."""
    amqp_urls: tuple[str, ...] = ()
    """Brokers of one RabbitMQ cluster; empty: the embedded log in `data_dir`."""
    amqp_exchange: str = "banco.operacoes"
    amqp_stream: str = "banco.livro"
    amqp_ca: str = ""
    amqp_certificate: str = ""
    amqp_key: str = ""
    cluster_key: str = field(default="", repr=False)
    """What nodes and operators show one another; empty: not asked for."""
    servers_allowed: tuple[str, ...] = ()
    """Other banks, outside this log, that this node may ask on behalf of a customer."""
    join_only: bool = False
    """True: this node never begins a bank, however empty its log looks."""
    tokens_file: Path | None = None
    """Who may use the bank; None: whoever reaches it."""
    rate_limit: str = ""
    """How often one principal, or one address, may ask: `100/second`; empty: as often as it likes."""
    trusted_proxy: str = ""
    """The address of the proxy that says from where a request came; empty: nobody's word counts."""
    allow_anonymous: bool = False
    threads: int = 32
    log_format: str = "text"
    """Of the node's own log: "text" or "json"."""
    request_deadline_ms: int = 10_000
    read_deadline_ms: int = 500
    """A default read that waited this long for the log answers from the node's own state, marked."""
    strong_read_deadline_ms: int = 2_000
    queue_operations_max: int = 65_536
    lag_ms_max: int = 2_000
    clock_skew_ms_max: int = 2_000
    record_silent_ms_max: int = 5_000
    """A record of one's own that did not come back within this time means trouble with the log."""
    heartbeat_ms: int = 500
    peer_silent_ms_max: int = 5_000
    genesis_wait_ms: int = 2_000
    log_heartbeat_ms: int = 5_000
    log_silent_ms_max: int = 10_000
    stop_ms_max: int = 5_000

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if not re.search(NODE_NAME, self.node_name):
            raise StartRefused(
                f"NODE_NAME {self.node_name!r} must be 1-64 of A-Z a-z 0-9 . _ - and begin with a letter or digit."
            )
        if not 1 <= self.port <= 65_535:
            raise StartRefused(f"PORT {self.port} is not between 1 and 65535.")
        if not 1 <= self.threads <= 512:
            raise StartRefused(f"THREADS {self.threads} is not between 1 and 512.")
        if self.log_format not in {"text", "json"}:
            raise StartRefused(f"LOG_FORMAT {self.log_format!r} is neither text nor json.")
        if self.queue_operations_max < BATCH_OPERATIONS_MAX:
            raise StartRefused("queue_operations_max is below a batch: the largest would never be accepted.")
        if self.peer_silent_ms_max < 3 * self.heartbeat_ms:
            raise StartRefused("peer_silent_ms_max is below 3 heartbeats: slow peers would look dead.")
        self._check_who_comes()
        self._check_urls()

    def _check_who_comes(self) -> None:
        if not _is_loopback(self.host) and not self.allow_anonymous and self.tokens_file is None:
            raise StartRefused(
                f"HOST {self.host} can be reached by others, and this bank asks nobody who they are: "
                "set TOKENS_FILE, or listen on 127.0.0.1, or set ALLOW_ANONYMOUS=1 if that is what you want."
            )
        if self.allow_anonymous and self.tokens_file is not None:
            raise StartRefused("ALLOW_ANONYMOUS=1 and TOKENS_FILE contradict each other: set one of them.")
        if self.tokens_file is not None and not self.cluster_key:
            raise StartRefused("TOKENS_FILE without CLUSTER_KEY would leave the routes between nodes open: set both.")
        if not re.search(CLUSTER_KEY, self.cluster_key):
            raise StartRefused("CLUSTER_KEY must be 16-200 printable ASCII characters without spaces, or not be set.")
        if not re.search(RATE_LIMIT, self.rate_limit):
            raise StartRefused(f"RATE_LIMIT {self.rate_limit!r} is not such as 100/second, 600/minute or 5000/hour.")
        if self.trusted_proxy and not _is_address(self.trusted_proxy):
            raise StartRefused(f"TRUSTED_PROXY {self.trusted_proxy!r} is not an IP address.")

    def _check_urls(self) -> None:
        if any(urlsplit(url).scheme not in {"amqp", "amqps"} or not urlsplit(url).hostname for url in self.amqp_urls):
            raise StartRefused("AMQP_URL is not a list of amqp or amqps URLs, with commas between them.")
        files = self.amqp_ca or self.amqp_certificate or self.amqp_key
        if files and any(urlsplit(url).scheme != "amqps" for url in self.amqp_urls or ("",)):
            raise StartRefused("AMQP_CA, AMQP_CERT and AMQP_KEY are for amqps:// URLs, and AMQP_URL names another.")
        for name, value in (("AMQP_EXCHANGE", self.amqp_exchange), ("AMQP_STREAM", self.amqp_stream)):
            if not re.search(AMQP_NAME, value):
                raise StartRefused(f"{name} {value!r} must be 1-200 of A-Z a-z 0-9 . _ - and begin with a letter.")
        for url in self.public_urls + self.servers_allowed:
            if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
                raise StartRefused(f"{url!r} in PUBLIC_URL or SERVERS_ALLOWED is not an http or https URL.")

    @property
    def addresses(self) -> tuple[str, ...]:
        """URLs of this node, the one for its peers first."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_urls or (f"http://{host}:{self.port}",)

    @property
    def node_dir(self) -> Path:
        """Where this node keeps its journal."""
        return self.data_dir / self.node_name

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Read PORT, HOST, NODE_NAME, DATA_DIR, PUBLIC_URL, SERVERS_ALLOWED, ALLOW_ANONYMOUS, THREADS and the rest.

        Raises StartRefused, with a sentence, for a value that cannot be meant.
        """
        port = _whole_number(environ, "PORT", 5000)
        return cls(
            node_name=environ.get("NODE_NAME") or f"banco-{port}",
            host=environ.get("HOST") or "127.0.0.1",
            port=port,
            data_dir=Path(environ.get("DATA_DIR") or "dados"),
            public_urls=_urls(environ, "PUBLIC_URL"),
            amqp_urls=tuple(url.strip() for url in environ.get("AMQP_URL", "").split(",") if url.strip()),
            amqp_exchange=environ.get("AMQP_EXCHANGE") or "banco.operacoes",
            amqp_stream=environ.get("AMQP_STREAM") or "banco.livro",
            amqp_ca=environ.get("AMQP_CA", ""),
            amqp_certificate=environ.get("AMQP_CERT", ""),
            amqp_key=environ.get("AMQP_KEY", ""),
            cluster_key=environ.get("CLUSTER_KEY", ""),
            servers_allowed=_urls(environ, "SERVERS_ALLOWED"),
            join_only=environ.get("JOIN_ONLY") == "1",
            tokens_file=Path(environ["TOKENS_FILE"]) if environ.get("TOKENS_FILE") else None,
            rate_limit=environ.get("RATE_LIMIT", ""),
            trusted_proxy=environ.get("TRUSTED_PROXY", ""),
            allow_anonymous=environ.get("ALLOW_ANONYMOUS") == "1",
            threads=_whole_number(environ, "THREADS", 32),
            log_format=environ.get("LOG_FORMAT") or "text",
        )


def _whole_number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise StartRefused(f"{name}={text!r} is not a whole number.")
    return int(text)


def _urls(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(url.strip().rstrip("/") for url in environ.get(name, "").split(",") if url.strip())


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
