"""The door: what JSON comes in, and that no digit of an amount is lost on the way."""

import json

import pytest

from bank.routes.door import Digits, dump_json, parse_json
from bank.routes.problems import Problem


def test_numbers_keep_their_digits() -> None:
    found = parse_json(b'{"a": 100.10, "b": 1e2, "c": [0.10000000000000000001]}')
    assert found == {"a": "100.10", "b": "1e2", "c": ["0.10000000000000000001"]}
    assert isinstance(found["a"], Digits)


def test_what_came_in_goes_out_digit_by_digit() -> None:
    assert dump_json(parse_json(b'{"saldo":100.10,"x":{"y":[1.50]}}')) == b'{"saldo":100.10,"x":{"y":[1.50]}}'


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"x", b"[]", b'"x"', b"1", b"null", b'"{\\"a\\": 1}"', b'{"a": 1', b'{"a": 1} x', b"{'a': 1}",
        b'{"a": 1,}', b'{"a": 1, "a": 1}', b'{"x": {"a": 1, "a": 1}}', b'{"a": NaN}', b'{"a": -Infinity}',
        b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b'{"a": ["\\ud800"]}', b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), nested(33), nested(100_000), b'{"a": ' + b"[" * 200_000,
        b'{"a": "\n"}', b'{"a": 007}', b'{"a": +1}', b'{"a": 1.}', b'{"a": 0x1}',
    ],
)  # fmt: skip
def test_what_is_no_json_object_of_ours_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse_json(body)
    assert caught.value.codigo == "REQUISICAO_INVALIDA"


def test_the_deepest_that_is_allowed() -> None:
    assert parse_json(nested(31))


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_digits_without_end_are_no_attack() -> None:
    body = b'{"valor": ' + b"9" * 500_000 + b"}"
    assert parse_json(body)["valor"] == "9" * 500_000
    assert json.loads(dump_json({"a": "b"})) == {"a": "b"}
