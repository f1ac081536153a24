"""Documents whose commands are run as they stand there: their blocks, a folder like a clone, terminals to type into."""

import doctest
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.support.cluster import ROOT, eventually

__all__ = ["Block", "Terminal", "at_real_ports", "blocks_of", "clone_in", "environment"]

_BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TOLD_PORTS = (5000, 5001, 5002)
"""Where documents say that the nodes are."""


class Block(NamedTuple):
    """A fenced block: its language, what stands behind that, and what stands inside."""

    language: str
    where: str
    text: str


def blocks_of(document: str, *languages: str) -> list[Block]:
    """Return the blocks of a document that are of one of these languages, in order."""
    found = [Block(*match) for match in _BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))]
    return [block for block in found if block.language in languages]


def at_real_ports(text: str, ports: Sequence[int]) -> str:
    """Put real ports where a document speaks of 5000 to 5002."""
    for told, real in zip(_TOLD_PORTS, ports, strict=True):
        text = re.sub(rf"(?<![0-9.,]){told}\b", str(real), text)
    assert not re.search(r"\b(127\.0\.0\.1:|localhost:)50\d\d\b", text), "an address that is none of the three"
    return text


def clone_in(folder: Path) -> Path:
    """Make a folder look to commands like the clone in which their reader stands, without being it."""
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    for name in ("Makefile", "api.py", "bank", "locks", "replication", "tools"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def environment() -> dict[str, str]:
    """Return this process's environment without proxies."""
    return {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}


class Terminal:
    """A shell into which lines are typed, and a screen at which one looks until what should come has come."""

    HEAD = 'make() { command make --no-print-directory -o .venv/node "$@"; }\n'
    """What a node needs is installed: where the tests run it is not for make to say."""

    def __init__(self, screen: Path, process: subprocess.Popen[str]) -> None:
        """Type into this shell, whose output goes to the file `screen`."""
        self._screen = screen
        self._process = process
        self._seen = 0
        self.type(self.HEAD)

    @classmethod
    @contextmanager
    def open(cls, screen: Path, *, folder: Path, settings: dict[str, str]) -> "Iterator[Terminal]":
        """Open a shell in `folder`; in the end press Ctrl-C, and wait for all that it started to stop."""
        with screen.open("w") as output:
            process = subprocess.Popen(
                ["bash"], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                text=True, cwd=folder, env=environment() | settings, start_new_session=True,
            )  # fmt: skip
        assert process.stdin is not None
        try:
            yield cls(screen, process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
                raise

    def type(self, lines: str) -> None:
        """Type lines; does not wait for them."""
        assert self._process.stdin is not None
        self._process.stdin.write(lines)
        self._process.stdin.flush()

    def shows(self, told: str, *, seconds: float = 60.0) -> None:
        """Wait until what came since the last look holds what a document shows, in which `...` is anything."""
        try:
            eventually(lambda: self._holds(told), seconds=seconds)
        except AssertionError:
            raise AssertionError(f"told:\n{told}\nshown:\n{self._since_last_look()}") from None
        self._seen = len(self.screen())

    def _holds(self, told: str) -> bool:
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return doctest.OutputChecker().check_output(f"... {told} ...\n", f". {self._since_last_look()} .\n", options)

    def _since_last_look(self) -> str:
        return self.screen()[self._seen :]

    def screen(self) -> str:
        """Return all that it has shown."""
        return self._screen.read_text(encoding="utf-8", errors="replace")
