"""Snapshots: how a new or lost node starts from a peer, over HTTP.

The giver keeps one compressed copy of its journal for a short while and makes one at a time, so that ten joiners
cost what one costs; it goes on serving meanwhile. The taker begins anew after a break, at this peer or another.
What a copy holds is not believed here: see `bank/journal_copy.py`.
"""

import gzip
import shutil
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from bank.errors import LogUnreachable, Overloaded

__all__ = ["KEY_HEADER", "Peers", "Shelf"]

KEY_HEADER = "X-Chave-Da-Rede"
KEPT_S = 20.0
MAKING_S_MAX = 60.0
CONNECT_S = 5.0
SILENT_S = 75.0
"""A giver may first have to make a copy."""
FETCH_S_MAX = 1800.0
CHUNK_BYTES = 256 * 1024


class Shelf:
    """Where a giver keeps its copy."""

    def __init__(self, folder: Path, copy: Callable[[Path], None]) -> None:
        """Keep the copy in `folder`; `copy` writes one to a path."""
        self._plain = folder / "copia.sqlite"
        self._packed = folder / "copia.sqlite.gz"
        self._copy = copy
        self._making = threading.Lock()
        self._made: float | None = None

    def take(self) -> Path:
        """Return the file of a compressed copy, made now or a few seconds ago. Raises Overloaded."""
        if not self._making.acquire(timeout=MAKING_S_MAX):
            raise Overloaded("A copy is being made, and takes long.")
        try:
            if self._made is None or time.monotonic() - self._made > KEPT_S:
                self._copy(self._plain)
                _compress(self._plain, self._packed)
                self._plain.unlink()
                self._made = time.monotonic()
            return self._packed
        finally:
            self._making.release()


def _compress(plain: Path, packed: Path) -> None:
    part = packed.with_suffix(".part")
    with plain.open("rb") as source, gzip.open(part, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, CHUNK_BYTES)
    part.replace(packed)  # who is still sending the old one keeps it open


class Peers:
    """Asks other nodes of this log for what only nodes ask for."""

    def __init__(self, key: str, stopping: threading.Event) -> None:
        """`key` is CLUSTER_KEY; what is under way is given up when `stopping` is set."""
        self._stopping = stopping
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between nodes
        self._session.verify = ssl.get_default_verify_paths().cafile or True  # SSL_CERT_FILE, as for all other calls
        self._session.headers[KEY_HEADER] = key

    def digests(self, address: str, position: int) -> tuple[str, str] | None:
        """Return the chain and state digests that a node has for a position; None if it has none yet.

        Raises LogUnreachable if it does not answer.
        """
        try:
            answer = self._get(f"{address}/cluster/resumos/{position}", timeout=CONNECT_S)
            if answer.status_code == 503:
                return None
            answer.raise_for_status()
            content = answer.json()
            return str(content["resumo_historico"]), str(content["resumo_estado"])
        except (requests.RequestException, ValueError, KeyError) as error:
            raise LogUnreachable(f"{address}: {error}") from error

    def accounts(self, address: str, after: str) -> list[list[Any]]:
        """Return a page of a node's accounts behind this id; empty at the end. Id, balance, limit (centavos), version.

        Raises LogUnreachable if it does not answer.
        """
        try:
            answer = self._get(
                f"{address}/cluster/contas", params={"depois": after} if after else {}, timeout=CONNECT_S
            )
            answer.raise_for_status()
            page: list[list[Any]] = answer.json()["contas"]
        except (requests.RequestException, ValueError, KeyError) as error:
            raise LogUnreachable(f"{address}: {error}") from error
        return page

    def fetch(self, address: str, target: Path, told: Callable[[int, int], None]) -> None:
        """Write a node's copy to `target`, unpacked; `told` hears how many bytes of how many came.

        Raises LogUnreachable if it does not come whole.
        """
        deadline = time.monotonic() + FETCH_S_MAX
        unpacker = zlib.decompressobj(wbits=31)
        try:
            with self._get(f"{address}/cluster/copia", timeout=(CONNECT_S, SILENT_S), stream=True) as answer:
                answer.raise_for_status()
                total = int(answer.headers["Content-Length"])
                came = 0
                with target.open("wb") as file:
                    for chunk in answer.iter_content(CHUNK_BYTES):
                        came += len(chunk)
                        file.write(unpacker.decompress(chunk))
                        told(came, total)
                        if time.monotonic() > deadline or self._stopping.is_set():
                            raise LogUnreachable(f"{address}: given up after {came} of {total} bytes")
        except (requests.RequestException, KeyError, ValueError, zlib.error) as error:
            raise LogUnreachable(f"{address}: {error}") from error
        if not unpacker.eof:
            raise LogUnreachable(f"{address}: the copy ended after {came} of {total} bytes")

    def _get(self, url: str, **options: Any) -> requests.Response:
        return self._session.get(url, allow_redirects=False, **options)
