"""The documents against the code: no route, word or variable is missing, no link is dead, the two READMEs agree."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from pydantic import BaseModel

import bank.operations
from api import create_app
from bank.config import Config
from bank.operations import Reason
from bank.records import Record
from bank.routes import cluster, models
from bank.routes.problems import CODIGOS
from bank.runtime import Runtime, open_runtime

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".venv", ".git", "node_modules", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis", ".run"}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not NOT_OURS & set(path.relative_to(ROOT).parts) and not path.is_relative_to(ROOT / "dados")
)
READMES = ("README.md", "README.pt-BR.md")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def text(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def without_code(content: str) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", content, flags=re.MULTILINE | re.DOTALL)


def in_backticks(content: str) -> set[str]:
    return {word for quoted in re.findall(r"`([^`\n]+)`", without_code(content)) for word in WORD.findall(quoted)}


def tree_of(path: str) -> ast.Module:
    return ast.parse(text(path), path)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """A node that is never started."""
    config = Config(node_name="banco-1", data_dir=tmp_path_factory.mktemp("dados"))
    runtime = open_runtime(config, on_end=lambda _: None)
    yield runtime
    runtime.stop()


@pytest.fixture(scope="module")
def app(node: Runtime) -> Flask:
    """Its application."""
    return create_app(node)


@pytest.fixture(scope="module")
def glossary() -> set[str]:
    """Return the words of the glossary: what stands between backticks in its columns for the API and the code."""
    rows = [line.split("|") for line in text("docs/GLOSSARY.md").splitlines() if line.startswith("|")]
    assert all(len(row) == 6 for row in rows), "four columns"
    return in_backticks("\n".join(" ".join(row[2:4]) for row in rows))


def test_the_documents_are_found() -> None:
    assert {ROOT / name for name in (*READMES, "docs/api.md", "bank/DESIGN.md")} <= set(DOCUMENTS)


# --- routes -----------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_api_reference(app: Flask) -> None:
    quoted = set(re.findall(r"`(?:(?:GET|POST) )?(/[^`\s]*)`", text("docs/api.md")))
    missing = [rule.rule for rule in app.url_map.iter_rules() if rule.rule not in quoted]
    assert missing == []


def test_every_method_of_the_api_reference_is_the_routes(app: Flask) -> None:
    told = re.findall(r"`(GET|POST) (/[^`\s]*)`", text("docs/api.md"))
    real = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert told
    assert [pair for pair in told if pair not in real] == []


def test_every_problem_is_in_the_api_reference_with_its_status() -> None:
    rows = set(re.findall(r"^\| ([0-9]{3}) \| `([A-Z_]+)` \|", text("docs/api.md"), re.MULTILINE))
    assert rows == {(str(kind.status), codigo) for codigo, kind in CODIGOS.items()}


# --- the glossary -----------------------------------------------------------------------------------------------


def test_every_segment_of_a_path_is_in_the_glossary(app: Flask, glossary: set[str]) -> None:
    flasks = {"static", "oauth2-redirect.html"}
    segments = {
        word
        for rule in app.url_map.iter_rules()
        for word in re.sub(r"<[^>]*>", "", rule.rule).split("/")
        if word and word not in flasks
    }
    assert {"contas", "deposito", "saude"} <= segments, "a check that saw nothing proves nothing"
    assert segments - glossary == set()


def operation_classes() -> list[type]:
    found = [getattr(bank.operations, name) for name in bank.operations.__all__]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, bank.operations._Operation)]


def test_every_operation_is_in_the_glossary_with_its_name_in_a_record_and_its_fields(glossary: set[str]) -> None:
    classes = operation_classes()
    assert len(classes) >= 7
    words = {kind.__name__ for kind in classes} | {str(kind.__struct_config__.tag) for kind in classes}
    words |= {field.encode_name for kind in (*classes, Record) for field in msgspec.structs.fields(kind)} | {"op"}
    assert words - glossary == set()


def test_every_reason_is_in_the_glossary(glossary: set[str]) -> None:
    assert {reason.value for reason in Reason} - glossary == set()
    assert {f"Reason.{reason.name}" for reason in Reason} - glossary == set()


def test_every_codigo_is_in_the_glossary(glossary: set[str]) -> None:
    assert CODIGOS.keys() - glossary == set()


def test_every_state_of_a_node_is_in_the_glossary_and_in_operations(glossary: set[str]) -> None:
    assert cluster.SENTENCES.keys() - glossary == set()
    assert cluster.SENTENCES.keys() - in_backticks(text("docs/OPERATIONS.md")) == set()


def test_every_key_that_a_request_may_hold_is_in_the_glossary(glossary: set[str]) -> None:
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    words = {name for kind in kinds for name in kind.model_fields}
    assert {"id_conta", "valor", "depois"} <= words
    assert words - glossary == set()


def properties(part: Any) -> Iterator[str]:
    """Yield the name of every property and parameter that an OpenAPI document tells of, at any level."""
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            yield from part["properties"]
        for parameter in part.get("parameters", []):
            yield parameter["name"]
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from properties(item)


def test_every_key_of_the_openapi_document_is_in_the_glossary(app: Flask, glossary: set[str]) -> None:
    words = set(properties(app.test_client().get("/openapi.json").json))
    assert {"soma_saldos", "violacoes", "X-Posicao-Minima"} <= words
    assert words - glossary == set()


ANSWERING = [
    "accounts.py",
    "answers.py",
    "batches.py",
    "cluster.py",
    "events.py",
    "other_servers.py",
    "pages.py",
    "problems.py",
    "transfers.py",
]


@pytest.mark.parametrize("name", ANSWERING)
def test_every_key_that_a_route_writes_is_in_the_glossary(name: str, glossary: set[str]) -> None:
    tree = tree_of(f"bank/routes/{name}")
    logged = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "extra"}
    written = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict) and id(node) not in logged
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    standard = {"Retry-After", "Location", "http", "https", "name", "Content-Type", "default", "pattern"}
    standard |= {"Cache-Control", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options"}
    assert written - glossary - standard == set()


def test_the_numbers_and_threads_of_a_nodes_health_are_in_the_glossary(node: Runtime, glossary: set[str]) -> None:
    health = node.health()
    assert (health.details.keys() | health.threads.keys()) - glossary == set()


# --- configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readme", READMES)
def test_every_variable_that_a_node_reads_is_in_the_readme(readme: str) -> None:
    read = {
        node.value
        for node in ast.walk(tree_of("bank/config.py"))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[A-Z][A-Z_]+", node.value)
    }
    assert {"PORT", "AMQP_URL", "THREADS"} <= read
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", text(readme), re.MULTILINE))
    assert rows == read


# --- all documents ----------------------------------------------------------------------------------------------


def test_both_readmes_have_the_same_blocks_of_code_in_the_same_order() -> None:
    english, portuguese = (
        re.findall(r"^```(bash|console)\n(.*?)^```$", text(readme), re.MULTILINE | re.DOTALL) for readme in READMES
    )
    assert len(english) > 10
    assert portuguese == english


def test_both_readmes_have_the_same_headings_and_links() -> None:
    english, portuguese = (without_code(text(readme)) for readme in READMES)
    level = re.compile(r"^#+", re.MULTILINE)
    assert level.findall(portuguese) == level.findall(english)
    link = re.compile(r"\]\(([^)]+)\)")
    assert link.findall(portuguese)[1:] == link.findall(english)[1:], "the first is the other README"


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(text(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text(path))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_name_that_leads_to_a_file_of_code_is_defined_there(path: Path) -> None:
    for name, target in re.findall(r"\[`(\w+)`\]\(([^)\s]+\.py)\)", without_code(text(path))):
        definition = rf"^ *(class |def |async def )?{name}\b(?(1)|( *[:=]))"
        assert re.search(definition, text((path.parent / target).resolve()), re.MULTILINE), f"{name} in {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    quoted = re.findall(r"`((?:bank|locks|replication|tests|bench|tools|docs)/[\w./-]*)(?:::\w+)?`", text(path))
    assert [name for name in quoted if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_document_names_a_place_outside_the_project(path: Path) -> None:
    assert [place for place in ("../shared", "/work/", "/root/", "/home/") if place in text(path)] == []
