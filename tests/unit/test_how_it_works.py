"""docs/HOW-IT-WORKS.md: its exercises fit the code as it is now, as all planted bugs do, and its example is true."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.exercises import EXERCISES
from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "HOW-IT-WORKS.md").read_text(encoding="utf-8")


def test_every_chapter_has_three_exercises() -> None:
    chapters = re.findall(r"^## (\d) ", DOCUMENT, re.MULTILINE)
    assert len(chapters) >= 7
    assert Counter(exercise.name[-3] for exercise in EXERCISES) == dict.fromkeys(chapters, 3)


@pytest.mark.parametrize("mutant", [*EXERCISES, *MUTANTS], ids=lambda mutant: mutant.name)
def test_a_planted_bug_changes_one_place_and_names_a_test_that_exists(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    path, _, name = mutant.tests.partition("::")
    assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")


def test_the_example_is_true() -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    exec(compile(example, "docs/HOW-IT-WORKS.md", "exec"), {})
