"""The tutorial, in both languages: its commands are typed into terminals, and what it shows is what comes."""

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.cluster import ROOT, free_port
from tests.support.documents import Block, Terminal, at_real_ports, blocks_of, clone_in

pytestmark = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("make") is None, reason="curl or make is not installed"
)

TUTORIALS = ("docs/tutorial/THREE-COUNTERS.md", "docs/tutorial/TRES-BALCOES.md")


def steps(document: str) -> list[Block]:
    return blocks_of(document, "bash", "text")


@pytest.mark.parametrize("document", TUTORIALS)
def test_what_the_tutorial_shows_is_what_comes(document: str, tmp_path: Path) -> None:
    ports = [free_port(), free_port(), free_port()]
    folder = clone_in(tmp_path)
    settings = {"PORTS": " ".join(map(str, ports)), "DATA_DIR": str(folder / "dados")}
    terminals: dict[str, Terminal] = {}
    with ExitStack() as stack:
        for language, where, told in steps(document):
            if where not in terminals:
                opened = Terminal.open(folder / f"{where}.txt", folder=folder, settings=settings)
                terminals[where] = stack.enter_context(opened)
            lines = at_real_ports(told, ports)
            if language == "bash":
                terminals[where].type(lines)
            else:
                terminals[where].shows(lines)
        for address in re.findall(r"<(http://127\.0\.0\.1:\S+)>", (ROOT / document).read_text(encoding="utf-8")):
            assert requests.get(at_real_ports(address, ports), timeout=10).ok, address
    assert "All nodes are stopped." in terminals["terminal-1"].screen(), "Ctrl-C stops them, says the last chapter"
    assert terminals["terminal-3"].screen().count('"id_operacao":"mesa-1"') == 1, "told of one deposit"


@pytest.mark.parametrize("document", TUTORIALS)
def test_every_command_of_the_tutorial_is_followed_by_what_it_shows(document: str) -> None:
    commands = [number for number, step in enumerate(steps(document)) if step.language == "bash"]
    assert len(commands) >= 10
    for number in commands:
        assert steps(document)[number + 1][:2] == ("text", steps(document)[number].where)


def test_both_tutorials_have_the_same_commands_and_show_the_same() -> None:
    english, portuguese = map(steps, TUTORIALS)
    assert portuguese == english
