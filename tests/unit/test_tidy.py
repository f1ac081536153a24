"""What no linter sees: which file may import what, how SQLite files are opened, how long things get, what is pinned.

The arrows are those of docs/ARCHITECTURE.md: inward only. Files are found by looking, so a new one is held too.
"""

import ast
import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted(
    path.relative_to(ROOT).as_posix()
    for place in ("api.py", "bank", "locks", "replication")
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    if path.is_file()
)
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 300

CORE = ["bank/ledger.py", "bank/money.py", "bank/node.py", "bank/operations.py", "bank/records.py", "locks/bakery.py"]
"""These are pure, and so is all of ours that they import, and each file whose docstring says `Pure:`."""
PURE_LIBRARIES = {
    "__future__", "collections", "contextlib", "dataclasses", "enum", "hashlib", "heapq", "itertools", "msgspec", "re",
    "types", "typing",
}  # fmt: skip
PURE_LIBRARIES_TOO = {
    "bank/entries.py": {"uuid"},  # to read and write ids, not to make them: see MADE_ELSEWHERE
    "bank/import_plan.py": {"csv"},  # the file to import is text in, orders out
    "locks/bakery.py": {"sys", "threading", "time", "weakref"},  # the lock is about threads, and waits
}
MADE_ELSEWHERE = {"float", "getnode", "hash", "id", "input", "open", "print", "uuid1", "uuid4", "uuid7"}
"""What differs between nodes or replays: nothing in PURE calls it."""

GATES = {
    "flask": ["api.py", "bank/routes/*.py"],
    "flask_openapi": ["api.py", "bank/routes/*.py"],
    "waitress": ["bank/routes/server.py"],
    "pydantic": ["bank/routes/*.py"],
    "pika": ["replication/rabbitmq.py"],
    "sqlite3": ["bank/journal*.py", "bank/sqlite.py", "replication/embedded.py"],
    "click": ["bank/cli/*.py"],
    "rich": ["bank/cli/*.py", "bank/importer.py", "bank/tokens/__main__.py"],
    "limits": ["bank/routes/pace.py"],
    "prometheus_client": ["bank/metrics.py", "bank/gauges.py"],
}
"""One file, or few, to open when one of these changes."""

LAYERS = [["locks/*.py"], ["replication/*.py", "bank/*.py"], ["bank/runtime.py"], ["bank/routes/*.py"], ["api.py"]]
"""From the inside out; the pure files are inside of all. A file stands in the last layer that names it."""

SQLITE_FILES = ["bank/journal*.py", "bank/sqlite.py", "replication/embedded.py", "replication/snapshot.py"]
PLAIN_HANDLES = {
    "copy", "copy2", "copyfile", "copyfileobj", "copytree", "fdopen", "open", "read_bytes", "read_text", "sendfile",
    "write_bytes", "write_text",
}  # fmt: skip
LOCK_FILE_OPENERS = {
    "bank/journal.py": {"_own"},
    "bank/journal_copy.py": {"sync"},
    "replication/snapshot.py": {"_compress", "fetch"},
}
"""Functions that open what is no SQLite file, the lock file `trava`, or a copy that is closed and in nobody's use."""


def tree_of(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def imports(path: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, wherever in it; `from bank import x` counts as bank.x."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_file(name: str) -> str | None:
    """Return the product file that an imported name stands for or stands in."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        for path in ("/".join(parts[:end]) + ".py", "/".join(parts[:end]) + "/__init__.py"):
            if path in PRODUCT:
                return path
    return None


def library(name: str) -> str:
    return name.partition(".")[0]


def is_one_of(path: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def pure_files() -> set[str]:
    """Return the core, with all of ours that it imports in turn."""
    found: set[str] = set()
    more = {path for path in PRODUCT if path in CORE or "Pure:" in (ast.get_docstring(tree_of(path)) or "")}
    while more:
        found |= more
        more = {other for path in more for name in imports(path) if (other := own_file(name))} - found
    return found


PURE = pure_files()


def layer_of(path: str) -> int:
    return -1 if path in PURE else max(number for number, paths in enumerate(LAYERS) if is_one_of(path, paths))


def calls(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yield (object, function, line) of each call; the object is empty for a bare name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield "", node.func.id, node.lineno
            elif isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node.lineno


def test_the_product_is_found() -> None:
    assert "bank/money.py" in PURE, "a check that saw nothing proves nothing"


@pytest.mark.parametrize("path", sorted(PURE))
def test_the_core_imports_only_itself_and_what_is_the_same_at_every_node(path: str) -> None:
    allowed = PURE_LIBRARIES | PURE_LIBRARIES_TOO.get(path, set())
    strangers = [name for name in imports(path) if own_file(name) is None and library(name) not in allowed]
    assert strangers == []


@pytest.mark.parametrize("path", sorted(PURE))
def test_the_core_calls_nothing_that_differs_between_nodes(path: str) -> None:
    assert [(name, line) for _, name, line in calls(tree_of(path)) if name in MADE_ELSEWHERE] == []


@pytest.mark.parametrize("path", PRODUCT)
def test_imports_point_inward(path: str) -> None:
    outward = [
        name
        for name in imports(path)
        if (other := own_file(name)) and not other.endswith("__init__.py") and layer_of(other) > layer_of(path)
    ]
    assert outward == []


def test_nothing_of_the_node_imports_the_client_or_the_importer_and_they_know_only_money() -> None:
    family = {path for path in PRODUCT if is_one_of(path, ["bank/cli/*.py", "bank/client/*.py", "bank/import*.py"])}
    known = {path: {own_file(name) for name in imports(path)} - {None} for path in PRODUCT}
    assert [path for path in PRODUCT if path not in family and known[path] & family] == []
    assert [path for path in family if known[path] - family - {"bank/money.py"}] == []


@pytest.mark.parametrize("path", PRODUCT)
def test_a_library_is_imported_where_it_belongs_and_nowhere_else(path: str) -> None:
    strangers = [name for name in imports(path) if library(name) in GATES and not is_one_of(path, GATES[library(name)])]
    assert strangers == []


@pytest.mark.parametrize("path", [path for path in PRODUCT if path != "bank/config.py"])
def test_only_the_configuration_reads_the_environment(path: str) -> None:
    touched = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if (
            (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"})
            and ast.unparse(node) != "request.environ"
        )  # WSGI's name for what belongs to one request
        or (isinstance(node, ast.alias) and node.name in {"environ", "environb", "getenv", "putenv"})
    ]
    assert touched == []


@pytest.mark.parametrize("path", [path for path in PRODUCT if is_one_of(path, SQLITE_FILES)])
def test_sqlite_files_are_opened_by_sqlite_alone(path: str) -> None:
    """Closing any other handle on such a file drops the process's locks on it, and loses transactions."""
    spared = {
        node.lineno + offset
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.name in LOCK_FILE_OPENERS.get(path, set())
        for offset in range((node.end_lineno or node.lineno) - node.lineno + 1)
    }
    opened = [(name, line) for _, name, line in calls(tree_of(path)) if name in PLAIN_HANDLES and line not in spared]
    assert opened == []


@pytest.mark.parametrize("path", PRODUCT)
def test_a_function_fits_a_screen_and_a_file_holds_one_idea(path: str) -> None:
    tree = tree_of(path)
    long = [
        (node.name, node.end_lineno - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == [], f"longer than {FUNCTION_LINES_MAX} lines"
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES_MAX, f"{path} has {lines} lines: it is two ideas"


@pytest.mark.parametrize("path", PRODUCT)
def test_every_file_says_what_it_is(path: str) -> None:
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_every_dependency_is_pinned_and_has_its_reason(path: str) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert wanted
    pinned = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[a-z,]+\])?==[0-9][A-Za-z0-9.]*  # \S.*")
    assert [line for line in wanted if not pinned.fullmatch(line)] == []


def test_every_library_that_the_product_imports_is_required() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    required = {name.replace("-", "_").lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    ours = {"api", "bank", "locks", "replication"}
    used = {library(name) for path in PRODUCT for name in imports(path)} - ours - sys.stdlib_module_names
    assert used - required <= {"urllib3", "werkzeug"}, "not required (these two come with requests, flask)"
