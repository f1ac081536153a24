"""Nodes behind nginx, with the file that docs/SECURITY.md tells of: TLS, who is asking, and nodes that call each other.

The test writes ports, paths and a name that resolves into the file, and makes the certificates.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from replication.snapshot import Peers
from tests.support.authority import Authority
from tests.support.cluster import ROOT, Cluster, NodeProcess, eventually, free_port
from tests.support.doors import KEY, Tokens, asks_from, bearer

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CUSTOMER = "127.0.0.77"
"""From where the customers of these tests come."""


class Proxy:
    """An nginx in front of a node, at https://localhost:PORT."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = authority
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, node: NodeProcess) -> None:
        """Start it and wait until it listens."""
        text = (ROOT / "deploy/nginx/banco.conf").read_text(encoding="ascii")
        for old, new in {
            "127.0.0.1:5000": f"127.0.0.1:{node.port}",
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "listen 80 ": f"listen 127.0.0.1:{self.plain_port} ",
            "https://banco.example": self.url,
            "/etc/ssl/banco.example.pem": str(self._authority.path("server.pem")),
            "/etc/ssl/banco.example.key": str(self._authority.path("server.key")),
            "server_name banco.example": "server_name localhost",
        }.items():
            assert old in text
            text = text.replace(old, new)
        (self._folder / "banco.conf").write_text(text, encoding="ascii")
        paths = "".join(
            f"{kind}_temp_path {self._folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (self._folder / "nginx.conf").write_text(
            f"{user}daemon off;worker_processes 1;pid {self._folder}/pid;error_log {self._folder}/error.log;"
            f"events {{}} http {{access_log off;{paths} include {self._folder}/banco.conf;}}",
            encoding="ascii",
        )
        command = [NGINX, "-p", self._folder, "-c", "nginx.conf", "-e", self._folder / "error.log"]
        self._process = subprocess.Popen([str(part) for part in command])
        eventually(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "error.log").read_text()
        try:
            return requests.get(f"http://localhost:{self.plain_port}/", timeout=5, allow_redirects=False).ok
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(15)


class Town(NamedTuple):
    """Two nodes that ask who comes, each behind its proxy."""

    cluster: Cluster
    proxies: list[Proxy]
    tokens: Tokens
    authority: Authority

    def ask(self, method: str, path: str, body: Any = None, *, who: str = "operador", **headers: str) -> Any:
        """Ask the first node, over TLS, from the customers' address."""
        with asks_from(CUSTOMER) as session:
            return session.request(
                method, self.proxies[0].url + path, json=body, headers=bearer(self.tokens.of[who]) | headers,
                verify=str(self.authority.path("ca.pem")), timeout=20, allow_redirects=False,
            )  # fmt: skip

    def last_address(self) -> str:
        """Return from where the newest entry of the account came, as an auditor sees it."""
        lines = self.ask("GET", "/contas/ana/extrato?limite=1", who="auditor").json()["lancamentos"]
        return str(lines[0]["endereco"])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    if not (NGINX and shutil.which("openssl")):
        sentence = "nginx or openssl is not installed (Debian's packages nginx-light and openssl)"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    folder = tmp_path_factory.mktemp("tls")
    tokens, authority = Tokens(folder), Authority(folder / "own")
    proxies = [Proxy(folder / f"nginx-{number}", authority) for number in (1, 2)]
    trust = {"TRUSTED_PROXY": "127.0.0.1", "SSL_CERT_FILE": str(authority.path("ca.pem"))}
    environments = [tokens.environment | trust | {"PUBLIC_URL": proxy.url} for proxy in proxies]
    with Cluster.running(folder / "dados", 2, environments=environments) as cluster:
        try:
            for proxy, node in zip(proxies, cluster.nodes, strict=True):
                proxy.start(node)
            town = Town(cluster, proxies, tokens, authority)
            assert town.ask("POST", "/contas", {"id_conta": "ana", "saldo": 100}).status_code == 201
            yield town
        finally:
            for proxy in proxies:
                proxy.stop()


def test_a_deposit_comes_in_over_tls_and_stands_there_with_its_customers_address(town: Town) -> None:
    answer = town.ask("POST", "/contas/ana/deposito", {"valor": 1}, who="cliente")
    assert (answer.status_code, "Strict-Transport-Security" in answer.headers) == (200, True)
    assert town.last_address() == CUSTOMER


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-By"])
def test_what_a_client_says_of_its_own_address_does_not_count(town: Town, name: str) -> None:
    said = "for=6.6.6.6" if name == "Forwarded" else "6.6.6.6"
    assert town.ask("POST", "/contas/ana/deposito", {"valor": 1}, **{name: said}).status_code == 200
    assert town.last_address() == CUSTOMER


def test_whoever_gets_past_the_proxy_is_not_believed_to_be_one(town: Town) -> None:
    with asks_from(CUSTOMER) as session:
        said = bearer(town.tokens.of["operador"]) | {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6"}
        url = town.cluster.nodes[0].url + "/contas/ana/deposito"
        assert session.post(url, json={"valor": 1}, headers=said, timeout=20).status_code == 200
    assert town.last_address() == CUSTOMER


def test_nodes_call_each_other_at_the_address_of_the_proxy(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    second = town.cluster.nodes[1]
    balance = town.ask("GET", f"/saldo-outro-servidor/ana/{second.name}")
    assert (balance.status_code, balance.json()["servidor"]) == (200, town.proxies[1].url)
    typed = town.proxies[1].url  # slashes and all
    assert town.ask("GET", f"/saldo-outro-servidor/ana/{typed}").json()["servidor"] == town.proxies[1].url
    monkeypatch.setenv("SSL_CERT_FILE", str(town.authority.path("ca.pem")))
    assert Peers(KEY, threading.Event()).digests(town.proxies[1].url, 1) is not None, "what only nodes ask"


def test_forms_of_the_panel_are_taken_from_its_own_pages_only(town: Town) -> None:
    form = {"valor": "1", "Idempotency-Key": "form"}
    for origin, status in ((town.proxies[0].url, 303), ("https://elsewhere.example", 403)):
        sent = requests.post(
            f"{town.proxies[0].url}/painel/contas/ana/deposito", data=form, headers={"Origin": origin},
            auth=("x", town.tokens.of["operador"]), verify=str(town.authority.path("ca.pem")), timeout=20,
            allow_redirects=False,
        )  # fmt: skip
        assert sent.status_code == status


def test_events_come_through_as_they_happen(town: Town) -> None:
    shown = bearer(town.tokens.of["auditor"])
    ca = str(town.authority.path("ca.pem"))
    with closing(
        requests.get(f"{town.proxies[0].url}/eventos", headers=shown, stream=True, verify=ca, timeout=20)
    ) as stream:
        lines = stream.iter_lines(chunk_size=1)
        next(lines)
        assert town.ask("POST", "/contas/ana/deposito", {"valor": "7.77"}).status_code == 200
        assert next(line for line in lines if line.startswith(b"data:") and b"7.77" in line)


def test_plain_http_leads_a_browser_on_and_takes_no_token_and_no_money(town: Town) -> None:
    plain = f"http://localhost:{town.proxies[0].plain_port}"
    led = requests.get(f"{plain}/painel/contas?x=1", timeout=20, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (301, f"{town.proxies[0].url}/painel/contas?x=1")
    shown = bearer(town.tokens.of["operador"])
    assert requests.get(f"{plain}/contas/ana", headers=shown, timeout=20).status_code == 403
    assert requests.post(f"{plain}/contas/ana/deposito", json={"valor": 1}, timeout=20).status_code == 403


def test_another_hosts_name_gets_no_answer(town: Town) -> None:
    assert town.ask("GET", "/saude", Host="elsewhere.example").status_code == 421
    ca = str(town.authority.path("ca.pem"))
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://127.0.0.1:{town.proxies[0].port}/saude", verify=ca, timeout=20)
