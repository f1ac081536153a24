"""The file of tokens: what is kept of a secret, and from when on a change counts."""

import os
from pathlib import Path

import pytest

from bank.errors import StartRefused
from bank.tokens import store
from bank.tokens.__main__ import main
from bank.tokens.principals import Principal, Role
from bank.tokens.store import Registry

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def add(path: Path, name: str = "ana", role: Role = Role.CUSTOMER, *accounts: str) -> str:
    return store.add(path, name=name, role=role, accounts=accounts, now=NOW)


def test_a_token_stands_for_its_principal(path: Path) -> None:
    token = add(path, "ana", Role.CUSTOMER, "ana", "ana-2")
    assert Registry(path).principal(token) == Principal("ana", Role.CUSTOMER, frozenset({"ana", "ana-2"}))


def test_the_file_holds_no_secret_and_is_its_owners_alone(path: Path) -> None:
    secret = add(path).split("_", 2)[2]
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_whoever_may_read_the_file_may_read_the_next_one_too(path: Path) -> None:
    add(path)
    path.chmod(0o644)
    add(path, "bia", Role.ADMIN)
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_is_no_token_stands_for_nobody(path: Path) -> None:
    token = add(path)
    registry = Registry(path)
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    for text in (
        "",
        "banco_",
        other,
        token + "x",
        f" {token}",
        token.upper(),
        "banco_000000000000_" + "A" * 43,
        "\x00",
    ):
        assert registry.principal(text) is None, text


def test_a_change_counts_from_the_next_request_on(path: Path) -> None:
    first = add(path)
    registry = Registry(path)
    second = add(path, "bia", Role.ADMIN)
    assert registry.principal(second) == Principal("bia", Role.ADMIN)
    assert store.revoke(path, name="ana", now=NOW) == 1
    assert registry.principal(first) is None
    assert registry.principal(second) is not None


def test_a_file_that_cannot_be_read_any_more_changes_nothing_until_it_can(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = add(path)
    good = path.read_bytes()
    registry = Registry(path)
    path.write_text("{")
    assert registry.principal(token) is not None
    assert registry.principal(token) is not None
    assert [record.getMessage() for record in caplog.records] == ["tokens cannot be read"], "said once"
    path.write_bytes(good.replace(b'"ana"', b'"eva"'))
    os.utime(path)
    assert registry.principal(token) == Principal("eva", Role.CUSTOMER)


@pytest.mark.parametrize("content", ["", "{}", '{"tokens": [{}]}', '{"tokens": [], "x": 1}', '{"tokens": null}'])
def test_a_node_does_not_start_with_a_file_that_cannot_be_read(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(StartRefused, match="cannot be read"):
        Registry(path)


def test_a_node_does_not_start_without_the_file(path: Path) -> None:
    with pytest.raises(StartRefused, match="cannot be read"):
        Registry(path)


@pytest.mark.parametrize("name", ["", "Ana", "a b", "../a", "a" * 41, "-a"])
def test_what_could_not_be_read_again_is_not_written(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="nome"):
        add(path, name)
    assert not path.exists()


def test_the_command_makes_shows_and_revokes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--arquivo", str(path)]
    assert main([*command, "criar", "ana", "--papel", "cliente", "--conta", "ana"]) == 0
    token = capsys.readouterr().out.strip()
    assert Registry(path).principal(token) == Principal("ana", Role.CUSTOMER, frozenset({"ana"}))
    assert main([*command, "listar"]) == 0
    shown = capsys.readouterr().out
    assert "ana" in shown
    assert token.split("_", 2)[2] not in shown
    assert main([*command, "revogar", token.split("_")[1]]) == 0
    assert Registry(path).principal(token) is None
    assert main([*command, "revogar", "ana"]) == 1, "none counted any more"


@pytest.mark.parametrize(
    "arguments",
    [["--papel", "cliente"], ["--papel", "admin", "--conta", "ana"]],
    ids=["a customer without accounts", "an admin with accounts"],
)
def test_accounts_are_a_customers_and_a_customer_has_some(
    path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--arquivo", str(path), "criar", "ana", *arguments]) == 1
    assert "--conta" in capsys.readouterr().err
    assert not path.exists()
