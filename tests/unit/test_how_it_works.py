"""docs/HOW-IT-WORKS.md: its exercises fit the code as it is now, and its example is true."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.exercises import EXERCISES
from tests.mutants.table import Mutant

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "HOW-IT-WORKS.md").read_text(encoding="utf-8")


def test_every_chapter_has_three_exercises() -> None:
    chapters = re.findall(r"^## (\d) ", DOCUMENT, re.MULTILINE)
    assert len(chapters) >= 7
    assert Counter(exercise.name[-3] for exercise in EXERCISES) == dict.fromkeys(chapters, 3)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_an_exercise_changes_one_place_and_names_a_test_that_exists(exercise: Mutant) -> None:
    assert (ROOT / exercise.file).read_text(encoding="utf-8").count(exercise.old) == 1
    path, _, name = exercise.tests.partition("::")
    assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8")


def test_the_example_is_true() -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    exec(compile(example, "docs/HOW-IT-WORKS.md", "exec"), {})
