"""The bank in containers, as a test handles it: Compose does everything, and the banks are where customers find them.

Which file is used is Compose's own matter (COMPOSE_FILE). Without COMPOSE_PROJECT_NAME a project of the test's own is
started, and removed with its volumes at the end: whatever else runs here is left alone, but may hold the same ports.
With it, that project is taken as it runs, and left running.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import requests

from tests.support.cluster import ROOT, eventually

__all__ = ["Project"]

START_S = 240.0
OWN_NAME = "banco-journeys"


class Project:
    """One running project."""

    def __init__(self, name: str) -> None:
        """Start nothing."""
        self._command = _compose_command()
        self._environment = os.environ | {"COMPOSE_PROJECT_NAME": name}
        self.services = self.compose("config", "--services").split()
        self.banks = [f"banco-{number}" for number in (1, 2, 3)]
        """Those that run now."""

    @classmethod
    @contextmanager
    def running(cls) -> "Iterator[Project]":
        """Take the project that COMPOSE_PROJECT_NAME names, or start and remove one of one's own."""
        given = os.environ.get("COMPOSE_PROJECT_NAME")
        project = cls(given or OWN_NAME)
        try:
            if not given:
                project.compose("--profile", "mais", "down", "-v")  # what an interrupted run left
                project.compose("up", "-d", "--build")
            project.wait_ready()
            yield project
        except BaseException:
            print(project.compose("logs", "--no-color", "--tail", "15"))
            raise
        finally:
            if not given:
                project.compose("--profile", "mais", "down", "-v")

    def compose(self, *arguments: str) -> str:
        """Run Compose; return what it printed."""
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(self._command + list(arguments))}: {done.stdout}{done.stderr}"
        return done.stdout

    def exit_status(self, container: str) -> int:
        """Return how a container ended, by its id."""
        shown = subprocess.run(
            ["docker", "inspect", "--format", "{{.State.ExitCode}}", container],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return int(shown.stdout)

    @property
    def urls(self) -> list[str]:
        """Where customers find the banks that run, in their order."""
        return [self.url(bank) for bank in self.banks]

    @staticmethod
    def url(bank: str) -> str:
        """Return where customers find a bank: banco-1 is at port 5000."""
        return f"http://127.0.0.1:{4999 + int(bank.removeprefix('banco-'))}"

    def wait_ready(self) -> None:
        """Wait until all banks accept operations."""
        for url in self.urls:
            eventually(partial(self._is_ready, url), seconds=START_S, every=0.2)

    def _is_ready(self, url: str) -> bool:
        return self.get(url, "/saude/pronto").get("pronto") is True

    def get(self, url: str, path: str) -> dict[str, Any]:
        """Return a bank's answer; empty if there is none."""
        try:
            answer: dict[str, Any] = requests.get(url + path, timeout=15).json()
        except requests.RequestException:
            return {}
        return answer

    def settled_books(self, *, seconds: float = 60.0) -> dict[str, Any]:
        """Return the books once all banks show the very same ones, digests too; fail if they never do."""

        def same() -> dict[str, Any] | None:
            first, *others = (self.get(url, "/auditoria") for url in self.urls)
            return first if first and all(other == first for other in others) else None

        books: dict[str, Any] = eventually(same, seconds=seconds, every=0.1)
        assert books["confere"] is True, books
        return books


def _compose_command() -> list[str]:
    """Return the Compose of this machine: v2, or else 1.29."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            if subprocess.run([*command, "version"], capture_output=True, timeout=60, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            continue
    raise SystemExit("Neither `docker compose` nor `docker-compose` is installed.")
