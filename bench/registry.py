"""What a workload is: a function by name, which starts what it needs in its setting and yields its situations.

The situations of one workload take turns within each round; what cannot take turns (a replay, memory) is told to
`Setting.figure` by the workload itself. Whatever a workload started ends before the next one begins.
"""

import argparse
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import SubprocessError
from typing import NamedTuple

from bench.measure import Round
from bench.report import Found
from bench.servers import ACCOUNTS, Server, open_accounts, server_of, start_broker, start_nodes
from tests.support.broker import Broker
from tests.support.doors import Tokens, bearer

__all__ = ["WORKLOADS", "Figures", "Setting", "Situation", "Workload", "run_all", "run_rounds", "workload"]

NODES = 3

Figures = dict[str, list[float]]
"""What is no rate, by a name that says its unit; one value for each time that it was measured."""


class Situation(NamedTuple):
    """One variant of a workload. Situations of one group are compared."""

    group: str
    name: str
    take: Callable[[float], Round]
    """Measures for so many seconds."""


class Setting:
    """What a workload may use. The broker is shared by all, everything else ends with the workload."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, outer: ExitStack) -> None:
        """Keep files in `folder`, and the broker until `outer` ends."""
        self.arguments = arguments
        self.folder = folder
        self.stack = ExitStack()
        self.figures: Figures = {}
        self.failures: list[str] = []
        self._outer = outer
        self._broker: Broker | None = None
        self._banks = 0

    @property
    def broker(self) -> Broker:
        """The broker of this run, started when first asked for."""
        if self._broker is None:
            self._broker = start_broker(self._outer, self.folder)
        return self._broker

    def new_folder(self) -> Path:
        """Return the path of a folder for one more bank."""
        self._banks += 1
        return self.folder / f"bank-{self._banks}"

    def bank(self, *, nodes: int = NODES, accounts: int = ACCOUNTS, tokens: Tokens | None = None) -> Server:
        """Start a bank of its own log, which asks who comes if there are tokens, and open its accounts."""
        processes = start_nodes(self.stack, self.broker, self.new_folder(), nodes, tokens.environment if tokens else {})
        server = server_of(processes, self.broker, bearer(tokens.of["operador"]) if tokens else {})
        open_accounts(server, accounts)
        return server

    def figure(self, name: str, value: float) -> None:
        """Note a figure, once more if it is known already."""
        self.figures.setdefault(name, []).append(value)


class Workload(NamedTuple):
    """What stands behind a name on the command line."""

    situations: Callable[[Setting], Iterator[Situation]]
    needs_wrk: bool


WORKLOADS: dict[str, Workload] = {}
"""By name, in the order in which they run; filled by the modules in bench/workloads."""

Function = Callable[[Setting], Iterator[Situation]]


def workload(*, needs_wrk: bool = False) -> Callable[[Function], Function]:
    """Enter a function under its own name."""

    def enter(function: Function) -> Function:
        assert function.__name__ not in WORKLOADS, f"two workloads {function.__name__}"
        WORKLOADS[function.__name__] = Workload(function, needs_wrk)
        return function

    return enter


def run_all(setting: Setting) -> Found:
    """Run the workloads asked for, one after the other; return the rounds by group and name."""
    found: Found = {}
    for name in setting.arguments.only:
        if WORKLOADS[name].needs_wrk and not shutil.which("wrk"):
            print(f"No wrk here (Debian package wrk): {name} is skipped.")
            continue
        try:
            with setting.stack:
                found |= run_rounds(list(WORKLOADS[name].situations(setting)), setting.arguments)
        except (AssertionError, OSError, SubprocessError) as error:  # the others of a long run are worth something
            traceback.print_exc()
            setting.failures.append(f"{name} failed: {str(error).splitlines()[0] if str(error) else error!r}")
        setting.stack = ExitStack()
    return found


def run_rounds(situations: list[Situation], arguments: argparse.Namespace) -> Found:
    """Let situations take turns, in opposite order in every second round; the first round warms up."""
    found: Found = {}
    for number in range(arguments.rounds + 1):
        for group, variant, take in situations if number % 2 else situations[::-1]:
            taken = take(arguments.seconds)
            if number > 0:
                found.setdefault(group, {}).setdefault(variant, []).append(taken)
    return found
