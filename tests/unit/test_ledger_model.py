"""The ledger against a bank as a schoolbook would write it, and against itself in another process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bank import digests
from bank.entries import Entry
from bank.ledger import apply
from bank.money import MAX_CENTS
from bank.operations import Applied, Reason
from bank.records import decode
from bank.state import State, account_hash, state_digest
from tests.support.naive import NaiveBank

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

CODES = {
    Reason.ACCOUNT_NOT_FOUND: "CONTA_NAO_ENCONTRADA",
    Reason.ACCOUNT_EXISTS: "CONTA_JA_EXISTE",
    Reason.INSUFFICIENT_FUNDS: "SALDO_INSUFICIENTE",
    Reason.SAME_ACCOUNT: "MESMA_CONTA",
    Reason.ABOVE_LIMIT: "VALOR_ACIMA_DO_LIMITE",
}
GENESIS = {
    "op": "genesis", "id": "genesis", "livro": "x", "moeda": "BRL", "valor_maximo": MAX_CENTS,
    "registro_maximo": 1_048_576, "resumo": "blake2b-128",
}  # fmt: skip

accounts = st.sampled_from(["A", "B", "C", "d.1"])
amounts = st.one_of(st.integers(1, 300), st.integers(MAX_CENTS - 300, MAX_CENTS))
keys = st.integers(0, 60).map(lambda number: f"id-{number}")
ids = st.builds(lambda scope, key: scope + key, st.sampled_from(["", "", "ana\x1f", "bia\x1f"]), keys)
origins = st.fixed_dictionaries({}, optional={"origem": st.sampled_from([["r1", "::1"], ["r2", "127.0.0.1"]])})
operations = st.one_of(
    st.fixed_dictionaries(
        {
            "op": st.just("abertura"),
            "id": ids,
            "conta": accounts,
            "saldo": st.integers(0, 200),
            "limite": st.integers(0, 99),
        },
        optional={"titular": st.sampled_from(["Zé", "Ana"])},
    ),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["deposito", "saque"]), "id": ids, "conta": accounts, "valor": amounts}
    ),
    st.fixed_dictionaries(
        {"op": st.just("transferencia"), "id": ids, "conta": accounts, "destino": accounts, "valor": amounts}
    ),
)
batches = st.fixed_dictionaries(
    {
        "op": st.just("lote"),
        "id": st.one_of(ids, st.just("id-0")),
        "operacoes": st.lists(operations, min_size=1, max_size=5),
    }
)
parts = st.builds(lambda operation, index: operation | {"id": f"id-0/{index}"}, operations, st.integers(0, 2))
"""Single operations under ids that belong to the parts of a batch."""
asked = st.builds(lambda operation, origin: operation | origin, st.one_of(operations, batches, parts), origins)
histories = st.lists(st.lists(asked, min_size=1, max_size=6), max_size=25)


def bodies(history: Iterable[list[dict[str, Any]]]) -> list[bytes]:
    """Return one record for each list of operations, behind a genesis."""
    return [
        json.dumps(
            {
                "v": 3, "livro": "x", "epoca": 1, "banco": f"banco-{seq % 3}", "sessao": "s", "seq": seq,
                "instante": seq * 7 % 50, "base": [0, ""], "operacoes": operations,
            }
        ).encode()
        for seq, operations in enumerate([[GENESIS], *history], start=1)
    ]  # fmt: skip


def replay(log: list[bytes]) -> tuple[State, dict[str, Entry], list[Entry]]:
    """Return the state, what is remembered, and the outcome of every operation in order."""
    state, known, outcomes = State(), dict[str, Entry](), list[Entry]()
    for body in log:
        change = apply(state, decode(body), body, known)
        known |= {entry.operation.id: entry for entry in change.entries}
        outcomes += change.outcomes
    return state, known, outcomes


@hypothesis.given(histories)
@hypothesis.settings(max_examples=300, deadline=None)
def test_the_ledger_agrees_with_a_naive_bank(history: list[list[dict[str, Any]]]) -> None:
    log = bodies(history)
    state, known, _ = replay(log)
    naive = NaiveBank().replay(log)
    assert {name: account.balance_cents for name, account in state.accounts.items()} == naive.balances
    for operation_id, entry in known.items():
        expected = naive.results[operation_id]
        found = entry.outcome.balance_cents if isinstance(entry.outcome, Applied) else CODES[entry.outcome.reason]
        assert found == expected
    assert known.keys() == naive.results.keys()


@hypothesis.given(histories)
@hypothesis.settings(max_examples=100, deadline=None)
def test_what_no_history_may_break(history: list[list[dict[str, Any]]]) -> None:
    state, known, _ = replay(bodies(history))
    assert sum(account.balance_cents for account in state.accounts.values()) == state.in_accounts_cents
    assert state.in_accounts_cents == state.deposited_cents - state.withdrawn_cents
    assert all(-account.limit_cents <= account.balance_cents <= MAX_CENTS for account in state.accounts.values())
    assert sorted(entry.number for entry in known.values()) == list(range(1, state.entries + 1))
    kept_up = sum(account_hash(name, account) for name, account in state.accounts.items()) % digests.MODULUS
    assert state.accounts_sum == kept_up, "the digest kept up record by record is that of the accounts"


SCRIPT = """
import sys
from tests.unit.test_ledger_model import replay
from bank.state import state_digest
import msgspec
state, known, outcomes = replay(sys.stdin.buffer.read().split(b"\\n"))
print(msgspec.json.encode([state, outcomes]).hex(), state_digest(state).hex())
"""


def test_two_processes_with_different_hash_seeds_hold_byte_identical_states() -> None:
    history = [
        [
            {"op": "abertura", "id": f"a{number}", "conta": f"c{number}", "saldo": number, "limite": number % 7},
            {"op": "entrada", "id": f"e{number}", "banco": f"b{number % 5}", "versoes": [1, 2]},
            {
                "op": "transferencia",
                "id": f"t{number}",
                "conta": f"c{number}",
                "destino": f"c{number // 2}",
                "valor": 3,
            },
            {"op": "saque", "id": f"s{number}", "conta": f"c{number // 3}", "valor": 2},
            {
                "op": "lote",
                "id": f"l{number}",
                "operacoes": [
                    {"op": "deposito", "id": "0", "conta": f"c{number}", "valor": 7},
                    {
                        "op": "transferencia",
                        "id": "1",
                        "conta": f"c{number}",
                        "destino": "c1",
                        "valor": number % 11 + 1,
                    },
                ],
            },
        ]
        for number in range(1, 60)
    ]
    log = b"\n".join(bodies(history))
    results = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=log,
            cwd=Path(__file__).resolve().parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(results) == 1
    assert len(results.pop()) > 10_000


def test_the_state_digest_covers_every_field_of_the_content() -> None:
    def built() -> State:
        return replay(bodies([[{"op": "abertura", "id": "1", "conta": "A", "saldo": 1, "limite": 2}]]))[0]

    reference = state_digest(built())
    for field, value in {
        "accounts_sum": 1, "in_accounts_cents": 5, "deposited_cents": 5, "withdrawn_cents": 5, "instant_ms": 99,
        "version": 2, "members": {"b": (1,)},
    }.items():  # fmt: skip
        state = built()
        setattr(state, field, value)
        assert state_digest(state) != reference, field
