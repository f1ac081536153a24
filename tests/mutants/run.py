"""`make mutants`: plant one bug after the other in a copy of the tree, and see that a test catches each.

The exercises of docs/HOW-IT-WORKS.md are among them.

`python -m tests.mutants.run [WORD ...]` runs those whose names hold one of the words. Exit status 1 if one got away.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.exercises import EXERCISES
from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("api.py", "bank", "locks", "replication", "tests", "tools", "pyproject.toml", "requirements.txt")
SECONDS_MAX = 300


def main() -> int:
    """Run the chosen mutants, print the table, return the exit status."""
    words = sys.argv[1:]
    chosen = [mutant for mutant in (*MUTANTS, *EXERCISES) if not words or any(word in mutant.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        survivors = [mutant.name for mutant in chosen if not _is_caught(mutant, Path(folder))]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} caught.")
    return 1 if survivors or not chosen else 0


def _is_caught(mutant: Mutant, folder: Path) -> bool:
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tree / name)
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        sys.exit(f"{mutant.name}: what it changes stands {text.count(mutant.old)} times in {mutant.file}.")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", mutant.tests],
        cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False,
        timeout=SECONDS_MAX,
    )  # fmt: skip
    caught = done.returncode == 1  # 2 and more: the tests did not run
    by = next((line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR "))), "")
    verdict = by.partition(" ")[2] if caught else f"GOT AWAY (status {done.returncode})"
    print(f"{time.monotonic() - began:6.1f} s  {mutant.name:58} {verdict}", flush=True)
    return caught


if __name__ == "__main__":
    sys.exit(main())
