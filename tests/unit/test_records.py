"""Which bodies are records and which are skipped: one verdict on every Python, for all nodes must skip the same."""

import json
from typing import Any

import pytest

from bank import records
from bank.operations import Deposit
from bank.records import MAX_RECORD_BYTES, Base, InvalidRecord, Record, checksum, decode, encode

DEPOSIT = {"op": "deposito", "id": "k1", "conta": "A", "valor": 1050}
TRANSFER = {"op": "transferencia", "id": "k2", "conta": "A", "destino": "B", "valor": 1}
OPEN = {"op": "abertura", "id": "k3", "conta": "A", "saldo": 0, "limite": 0}
GENESIS = {
    "op": "genesis", "id": "g", "livro": "x1", "moeda": "BRL", "valor_maximo": 1, "registro_maximo": 1, "resumo": "b-1",
}  # fmt: skip
UPHOLD = {"op": "recusa", "id": "k1", "operacao": DEPOSIT, "motivo": "insufficient_funds"}
BATCH = {"op": "lote", "id": "k", "operacoes": [OPEN, DEPOSIT, TRANSFER]}
REOPEN = {"op": "reabertura", "id": "r", "epoca": 2, "posicao": 7, "resumo": "0" * 32}


def body(*operations: Any, **changed: Any) -> bytes:
    """Return the JSON of a valid record, but for what is changed; None removes a field."""
    record: dict[str, Any] = {
        "v": 1, "livro": "x1", "epoca": 1, "banco": "banco-1", "sessao": "s", "seq": 17, "instante": 1_700_000_000_000,
        "base": [3, "0" * 32], "operacoes": list(operations or [DEPOSIT]),
    }  # fmt: skip
    record |= changed
    return json.dumps({key: value for key, value in record.items() if value is not None}).encode()


def changed(operation: dict[str, Any], **fields: Any) -> bytes:
    """Return a record whose one operation is changed; None removes a field."""
    return body({key: value for key, value in (operation | fields).items() if value is not None})


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


VALID = {
    "one deposit": body(),
    "every operation": body(
        DEPOSIT, DEPOSIT | {"op": "saque"}, TRANSFER, OPEN, OPEN | {"titular": "Zé"}, GENESIS,
        {"op": "entrada", "id": "e", "banco": "b", "versoes": [1, 2]}, {"op": "retirar", "id": "r", "banco": "b"},
        UPHOLD, UPHOLD | {"operacao": OPEN}, REOPEN, {"op": "versao", "id": "v", "versao": 2},
    ),
    "a batch": body(BATCH, v=2),
    "a batch of 10,000": body(BATCH | {"operacoes": [DEPOSIT] * 10_000}, v=2),
    "a batch with the longest id": body(BATCH | {"id": "k" * 250}, v=2),
    "a batch that was refused": body(UPHOLD | {"operacao": BATCH, "indice": 2}, v=2),
    "an operation of a principal": body(DEPOSIT | {"id": "ana\x1fk1"}, v=3),
    "which request asked, and from where": body(
        DEPOSIT | {"origem": ["req-1", "127.0.0.1"]}, TRANSFER | {"origem": ["r", "::1"]}, v=3
    ),
    "a batch of a principal": body(BATCH | {"id": "a" * 40 + "\x1f" + "k" * 250, "origem": ["r", ""]}, v=3),
    "no operations": body(operacoes=[]),
    "a marker before genesis": body(livro="", base=[0, ""], operacoes=[]),
    "another version, to be skipped later": body(v=4),
    "largest integers": body(seq=2**63 - 1, instante=2**63 - 1, base=[2**63 - 1, ""]),
    "the largest amount": changed(DEPOSIT, valor=999_999_999_999_999),
    "the longest id": changed(DEPOSIT, id="k" * 255),
    "an id with a blank inside": changed(DEPOSIT, id="a b"),
    "white space around": b" \n" + body() + b"\n ",
    "fields in another order": json.dumps(dict(reversed(json.loads(body()).items()))).encode(),
    "the operation's name last": body({"id": "k", "conta": "A", "valor": 1, "op": "deposito"}),
    "an escaped key": body().replace(b'"v"', b'"\\u0076"'),
    "a field twice, the last counts": body().replace(b'{"v": 1', b'{"v": 1, "v": 1'),
}  # fmt: skip

INVALID = {
    "nothing": b"",
    "no JSON": b"hello",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"x"',
    "half a record": body()[:-10],
    "two records": body() + body(),
    "trailing comma": body()[:-1] + b",}",
    "a comment": body() + b"//",
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "bad UTF-8 in an id": body().replace(b'"k1"', b'"\xff"'),
    "a lone surrogate": body().replace(b'"k1"', b'"\\ud800"'),
    "NUL in an id": body().replace(b'"k1"', b'"\\u0000"'),
    "a raw control character": body().replace(b'"k1"', b'"\n"'),
    "unknown field": body(extra=1),
    "unknown field in an operation": changed(DEPOSIT, extra=1),
    "unknown field, deep": body(extra=0).replace(b'"extra": 0', b'"extra": ' + nested(100_000)),
    "deep before the operation's name": body().replace(b'"op"', b'"x": ' + nested(100_000) + b', "op"'),
    "deep instead of a record": nested(200_000),
    "deep objects": b'{"v":' * 100_000 + b"1" + b"}" * 100_000,
    "missing field": body(seq=None),
    "operations missing": body(operacoes=None),
    "version 0": body(v=0),
    "version as text": body(v="1"),
    "version as float": body(v=1.0),
    "version true": body(v=True),
    "epoch above 31 bits": body(epoca=2**31),
    "seq 0": body(seq=0),
    "seq above 63 bits": body(seq=2**63),
    "seq above 64 bits": body(seq=2**64),
    "seq of a thousand digits": body(seq=0).replace(b'"seq": 0', b'"seq": ' + b"9" * 1000),
    "negative instant": body(instante=-1),
    "instant with an exponent": body(instante=0).replace(b'"instante": 0', b'"instante": 1e3'),
    "base of one": body(base=[1]),
    "base of three": body(base=[1, "", 2]),
    "base as an object": body(base={"posicao": 1}),
    "base with a short digest": body(base=[1, "ab"]),
    "base in capitals": body(base=[1, "A" * 32]),
    "a node without a name": body(banco=""),
    "a node with a slash": body(banco="a/b"),
    "a node with a newline": body(banco="a\n"),
    "a session too long": body(sessao="s" * 65),
    "an unknown operation": changed(DEPOSIT, op="presente"),
    "an operation without a name": changed(DEPOSIT, op=None),
    "an operation that is a list": body([1]),
    "amount 0": changed(DEPOSIT, valor=0),
    "amount negative": changed(DEPOSIT, valor=-1),
    "amount too large": changed(DEPOSIT, valor=10**15),
    "amount as float": changed(DEPOSIT, valor=1.0),
    "amount as text": changed(DEPOSIT, valor="1"),
    "amount true": changed(DEPOSIT, valor=True),
    "amount null": body(DEPOSIT).replace(b"1050", b"null"),
    "amount NaN": body(DEPOSIT).replace(b"1050", b"NaN"),
    "minus zero": body(DEPOSIT).replace(b"1050", b"-0"),
    "leading zero": body(DEPOSIT).replace(b"1050", b"01050"),
    "account with a newline": changed(DEPOSIT, conta="A\n"),
    "account too long": changed(DEPOSIT, conta="A" * 65),
    "account as integer": changed(DEPOSIT, conta=1),
    "account beginning with a dot": changed(DEPOSIT, conta=".A"),
    "account in other digits": changed(DEPOSIT, conta="\u0661"),
    "empty id": changed(DEPOSIT, id=""),
    "id too long": changed(DEPOSIT, id="k" * 256),
    "id not ASCII": changed(DEPOSIT, id="é"),
    "holder empty": changed(OPEN, titular=""),
    "holder null": body(OPEN | {"titular": 0}).replace(b'"titular": 0', b'"titular": null'),
    "holder with a control character": changed(OPEN, titular="a\tb"),
    "holder too long": changed(OPEN, titular="a" * 201),
    "opening balance negative": changed(OPEN, saldo=-1),
    "limit missing": changed(OPEN, limite=None),
    "transfer without destination": changed(TRANSFER, destino=None),
    "a batch in the first version": body(BATCH),
    "a batch that was refused, in the first version": body(UPHOLD | {"operacao": BATCH}),
    "which part of a batch was refused, in the first version": body(UPHOLD | {"indice": 0}),
    "a principal in a record of version 2": body(DEPOSIT | {"id": "ana\x1fk1"}, v=2),
    "a principal of the log's own operations in a record of version 2": body(GENESIS | {"id": "ana\x1fg"}, v=2),
    "who asked in a record of version 2": body(DEPOSIT | {"origem": ["r", "::1"]}, v=2),
    "who asked, deep inside, in a record of version 2": body(
        UPHOLD | {"operacao": BATCH | {"operacoes": [DEPOSIT | {"origem": ["r", "::1"]}]}}, v=2
    ),
    "a principal without a key": body(DEPOSIT | {"id": "ana\x1f"}, v=3),
    "a key of nobody": body(DEPOSIT | {"id": "\x1fk"}, v=3),
    "a principal of a principal": body(DEPOSIT | {"id": "ana\x1fana\x1fk"}, v=3),
    "a principal that there cannot be": body(DEPOSIT | {"id": "Ana\x1fk"}, v=3),
    "an origin that is too long": body(DEPOSIT | {"origem": ["r" * 129, "::1"]}, v=3),
    "an origin that is no address": body(DEPOSIT | {"origem": ["r", "a b"]}, v=3),
    "more of an origin than there is": body(DEPOSIT | {"origem": ["r", "::1", "x"]}, v=3),
    "a batch of nothing": body(BATCH | {"operacoes": []}, v=2),
    "a batch of too many": body(BATCH | {"operacoes": [DEPOSIT] * 10_001}, v=2),
    "a batch of batches": body(BATCH | {"operacoes": [BATCH]}, v=2),
    "a batch of the log's own": body(BATCH | {"operacoes": [GENESIS]}, v=2),
    "a batch whose parts would have ids too long": body(BATCH | {"id": "k" * 251}, v=2),
    "a part that there cannot be": body(UPHOLD | {"operacao": BATCH, "indice": 10_000}, v=2),
    "no versions": body({"op": "entrada", "id": "e", "banco": "b", "versoes": []}),
    "a refusal of a refusal": body(UPHOLD | {"operacao": UPHOLD}),
    "a refusal of the log's own": body(UPHOLD | {"operacao": GENESIS}),
    "a refusal without a reason": changed(UPHOLD, motivo=None),
    "a refusal for no reason that there is": changed(UPHOLD, motivo="mood"),
    "a reopening in the first epoch": changed(REOPEN, epoca=1),
    "a reopening from nowhere": changed(REOPEN, posicao=0),
    "a reopening with a short digest": changed(REOPEN, resumo="ab"),
    "version 0 to come": body({"op": "versao", "id": "v", "versao": 0}),
    "currency in small letters": changed(GENESIS, moeda="brl"),
    "too many operations": body(*[DEPOSIT] * 8193),
    "too large": body().ljust(MAX_RECORD_BYTES + 1),
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_a_valid_body_is_a_record(name: str) -> None:
    assert isinstance(decode(VALID[name]), Record)


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_body_is_skipped_and_never_raises_anything_else(name: str) -> None:
    with pytest.raises(InvalidRecord):
        decode(INVALID[name])


@pytest.mark.parametrize("depth", [5, 50, 500, 900, 1_000, 5_000, 50_000])
@pytest.mark.parametrize("place", ["extra", "before the name", "as id", "inside a refusal", "inside a batch"])
def test_no_depth_of_nesting_makes_a_difference(depth: int, place: str) -> None:
    whole = {
        "extra": body(extra=0).replace(b'"extra": 0', b'"extra": ' + nested(depth)),
        "before the name": body().replace(b'"op": "deposito"', b'"x": ' + nested(depth) + b', "op": "deposito"'),
        "as id": body().replace(b'"k1"', nested(depth)),
        "inside a batch": body(BATCH, v=2).replace(
            b'{"op": "deposito"', b'{"x": ' + nested(depth) + b', "op": "deposito"'
        ),
        "inside a refusal": body(UPHOLD).replace(
            b'{"op": "deposito"', b'{"x": ' + nested(depth) + b', "op": "deposito"'
        ),
    }[place]
    with pytest.raises(InvalidRecord):
        decode(whole)


def test_a_record_comes_back_from_its_body() -> None:
    record = Record(
        version=1, log_id="x", epoch=1, node="n", session="s", seq=1, instant_ms=5, base=Base(0, ""),
        operations=(Deposit("k", "A", 1),),
    )  # fmt: skip
    assert decode(encode(record)) == record


def test_the_largest_body_is_still_read() -> None:
    assert decode(body().ljust(MAX_RECORD_BYTES))


def test_an_operation_that_no_node_could_read_is_refused_alone() -> None:
    with pytest.raises(InvalidRecord):
        records.check_operation(records.encode_operation(Deposit("k", "A", 0)))
    records.check_operation(records.encode_operation(Deposit("k", "A", 1)))


def test_the_checksum_is_of_the_bytes_and_not_of_their_meaning() -> None:
    assert checksum(body()) != checksum(body() + b" ")
    assert len(checksum(body())) == 16
