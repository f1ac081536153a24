"""The exercises of docs/HOW-IT-WORKS.md as planted bugs: what a reader is asked to break, and the test to see fail."""

import re
from pathlib import Path

from tests.mutants.table import Mutant

__all__ = ["EXERCISES"]

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "HOW-IT-WORKS.md"
_EXERCISE = re.compile(r"^\*\*(\d\.\d)\*\* (.*?)^<details>", re.MULTILINE | re.DOTALL)
_TESTS = re.compile(r"Run\s`pytest (tests/\S+)`")
_DIFF = re.compile(r"^```diff (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _exercises() -> list[Mutant]:
    found = []
    for number, text in _EXERCISE.findall(_DOCUMENT.read_text(encoding="utf-8")):
        [tests] = _TESTS.findall(text)
        for file, diff in _DIFF.findall(text):
            lines = [(line[:1], line[1:]) for line in diff.splitlines(keepends=True)]
            old, new = ("".join(line for sign, line in lines if sign in {" ", kept}) for kept in "-+")
            found.append(Mutant(f"exercise {number}", file, old, new, tests))
    return found


EXERCISES = tuple(_exercises())
